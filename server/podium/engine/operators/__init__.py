"""What each task type does when it is scheduled, one file per operator; table.py registers them."""

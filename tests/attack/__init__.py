"""What a hostile peer can do to the port, done to a real server while others are served."""

"""Facts about Conductor, a verdict for each, and tests of those that no other test names."""

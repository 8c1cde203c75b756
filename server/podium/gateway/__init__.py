"""The HTTP edge: one listener, on which everything that speaks HTTP is served."""

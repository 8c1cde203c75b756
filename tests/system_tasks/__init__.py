"""System tasks of another distribution: the example package, and what the server makes of it."""

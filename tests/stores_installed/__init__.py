"""A store of another distribution."""

"""A strict stand-in for Dynomite: what it refuses, the store must not need (dynomite.md)."""

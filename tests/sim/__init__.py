"""Deterministic simulation: production code above the ports, on virtual time, with seeded faults."""

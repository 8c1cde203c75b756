"""Deterministic simulation: production code above the ports, on virtual time, seeded faults."""

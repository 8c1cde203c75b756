"""Tests mirror the source; simulation, chaos and bench are programs of their own beside them."""

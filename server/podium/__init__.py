"""Podium: an orchestration server that speaks Conductor's gRPC and streams tasks to workers."""

__version__ = "0.1.0"

"""Stores behind one port: executions, queues, deadlines, outbox, members and definitions."""

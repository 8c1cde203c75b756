"""Searching executions and tasks: documents, the query language, the port, sqlite."""

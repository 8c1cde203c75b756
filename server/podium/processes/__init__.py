"""Several server processes on one port: the supervisor, its tie to each, who has too many streams.

Nothing here imports grpc, whose core must not be loaded before a process is its own.
"""

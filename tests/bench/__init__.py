"""The benchmark: Podium's speed as a ratio to a bare floor program, measured in the same run.

`python -m tests.bench` (make bench) starts the servers and the generator as processes of their own
and prints one line per figure. The floor program says what the parts (gRPC, the loop, SQLite, the
disk) cost on this machine without an engine, so a ratio holds on any machine where a rate does not.
"""

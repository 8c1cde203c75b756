"""Workers made only of the stubs that protoc generates from protos/podium/v1: Python and Go."""

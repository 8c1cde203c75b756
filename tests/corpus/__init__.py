"""The corpus test: real definitions run through real gRPC, judged by what Conductor did."""

"""The gRPC edge: one file per service, and the translation between protobuf and plain records."""

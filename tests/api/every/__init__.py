"""One row per rpc that is served: it drives the rpc over a real channel and checks its effect."""

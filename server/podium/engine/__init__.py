"""The pure engine: an execution, a command and the time in, a transition or a rejection out."""

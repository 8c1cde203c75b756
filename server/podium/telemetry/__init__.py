"""What operators see of a server: metrics, traces, log lines. Nothing here decides anything."""

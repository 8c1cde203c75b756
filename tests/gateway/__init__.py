"""The HTTP edge, asked over sockets."""

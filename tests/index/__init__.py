"""The index: its language, its conformance suite, and what it costs."""

"""One operation per function, used by every edge: what clients ask for, in plain records."""

"""Definitions of workflows and tasks: checked, versioned, bound, cached by generation."""

"""Tests of the command line, as programs and as functions."""

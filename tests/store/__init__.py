"""Tests of the stores: one conformance suite for all, and what each backend adds."""

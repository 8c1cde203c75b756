"""Tests of the runtime over the memory store: real engine, real clock, no network."""

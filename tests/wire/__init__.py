"""Tests of the protos and of the code generated from them."""

"""Chaos: a real server killed again and again under load, judged by ledgers kept outside it."""

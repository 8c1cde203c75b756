"""Plain frozen records that every layer may import; this package imports nothing of Podium."""

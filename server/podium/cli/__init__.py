"""The command `podium`: serve, demo."""

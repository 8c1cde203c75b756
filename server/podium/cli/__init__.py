"""The command `podium`: serve, key, admin, demo."""

"""Copying between two stores that no server uses: `podium admin copy`."""

"""Room that is kept on the disk, so that something can be deleted when it is full."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

RESERVE_BYTES: Final = 1_048_576


class Reserve:
    """A file beside the database."""

    def __init__(self, database: Path) -> None:
        self._path: Final = Path(f"{database}-reserve")

    def keep(self) -> None:
        """Have it, where there is space for it."""
        try:
            if self._path.exists() and self._path.stat().st_size == RESERVE_BYTES:
                return
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
        except OSError:
            self.spend()

    def spend(self) -> bool:
        """Give the room back to the disk, for a deletion. False where it is spent."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

"""Closed executions as lines of JSON in a folder, one file per server life and day.

Lines are on the disk when `write` returns. What a death cut off is the last line of a file that
nobody writes any more; a write that fails takes back what it began.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PRIVATE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700


class ClosedFolder:
    """Blocks: call it in a thread. All methods raise OSError."""

    def __init__(self, folder: Path, incarnation: str) -> None:
        self._folder = folder
        self._incarnation = incarnation

    def open(self) -> None:
        """See that it can be written to."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        trial = self._folder / f".{self._incarnation}"
        os.close(os.open(trial, os.O_WRONLY | os.O_CREAT, PRIVATE))
        trial.unlink()

    def write(self, lines: Sequence[bytes], now_ms: int) -> None:
        """Append to the day's file. A file that was moved away is begun anew."""
        day = datetime.fromtimestamp(now_ms / 1000, UTC)
        path = self._folder / f"workflows-{day:%Y%m%d}-{self._incarnation}.jsonl"
        new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE)
        try:
            before = os.fstat(descriptor).st_size
            try:
                for line in lines:
                    _write_all(descriptor, line)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)
        if new:
            self._sync_name()

    def _sync_name(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_all(descriptor: int, line: bytes) -> None:
    rest = memoryview(line)
    while rest:
        rest = rest[os.write(descriptor, rest) :]

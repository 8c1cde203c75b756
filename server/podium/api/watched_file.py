"""A file that is read again when it has changed, and whose last good content stays in use.

An editor, a secret mount or a rotation may show half a change; such a moment must neither end a
server nor open it. What is wrong is logged once per change.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOG = logging.getLogger("podium.files")

Content = TypeVar("Content")
State = tuple[int, int, int] | None
"""Inode, size and ns of the last change; None = it cannot be seen."""


class FileUnsound(Exception):
    """The file cannot be read; the text says which and why."""


class WatchedFile(Generic[Content]):
    """`read` takes the setting's name and the bytes; it raises what is wrong with them."""

    def __init__(self, setting: str, path: Path, read: Callable[[str, bytes], Content]) -> None:
        """Raises FileUnsound and as `read`."""
        self._setting = setting
        self._path = path
        self._read = read
        self._state = state_of(path)
        self._content = read(setting, bytes_of(setting, path))

    def content(self) -> Content:
        """The newest that could be read."""
        state = state_of(self._path)
        if state != self._state:
            self._state = state
            try:
                self._content = self._read(self._setting, bytes_of(self._setting, self._path))
            except Exception as problem:  # noqa: BLE001 - whatever is wrong, the former stays
                noted = {"event": "file_unreadable", "setting": self._setting}
                LOG.warning("the former content stays in use: %s", problem, extra=noted)
        return self._content


def state_of(path: Path) -> State:
    """Changes whenever the file does."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def bytes_of(setting: str, path: Path) -> bytes:
    """Raises FileUnsound."""
    try:
        return path.read_bytes()
    except OSError as problem:
        raise FileUnsound(
            f"{setting}: expected a file that can be read, found {path}: {problem.strerror}"
        ) from None

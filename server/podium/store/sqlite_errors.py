"""SQLite's errors as the port's: which verb may be repeated when, and what helps."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from podium.store.port import StoreClosed, StoreError, StoreFull, StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path


def translate(error: sqlite3.Error, path: Path) -> StoreError:
    """SQLite's error as the port's; the text names the file and the remedy."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(f"expected space for {path}, found the disk full: free some")
    if code == sqlite3.SQLITE_READONLY:
        return StoreFull(f"expected to write {path}, found it read-only: make it writable")
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreFull(
            f"expected to create or open {path}, found that impossible: "
            f"the folder must exist and be writable, and have space"
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreClosed(
            f"expected {path} to be free, found it in use by another server: "
            f"stop that one, or give this one a file of its own"
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreClosed(
            f"expected a sound database in {path}, found it damaged: restore a copy of it"
        )
    return StoreUnavailable(f"expected {path} to work, found: {error}")

"""Takes the database file for this process alone, and keeps its log where closing would lose it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final

from podium.store.port import StoreClosed, StoreFull, StoreUnavailable
from podium.store.sqlite_errors import translate
from podium.store.sqlite_migrate import add_functions
from podium.store.sqlite_schema import MIGRATIONS, SCHEMA, SCHEMA_VERSION
from podium.store.wal_frames import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE_KIB: Final = 32_768
STATEMENTS_CACHED: Final = 512


def log_of(database: Path) -> Path:
    """SQLite's write-ahead log."""
    return Path(f"{database}-wal")


def connect(path: Path) -> sqlite3.Connection:
    """Open, lock, and bring the schema up to date. Raises StoreError with reason and remedy."""
    # SQLite would report a file system mounted read-only as a failing disk.
    if path.parent.is_dir() and not os.access(path.parent, os.W_OK):
        raise StoreFull(f"expected {path.parent} to be writable, found it read-only")
    with contextlib.ExitStack() as on_failure:
        try:
            connection = sqlite3.connect(
                path, timeout=0, isolation_level=None, cached_statements=STATEMENTS_CACHED
            )
            on_failure.callback(connection.close)
            _take(connection, path)
        except sqlite3.Error as error:
            raise translate(error, path) from error
        on_failure.pop_all()
    return connection


def _take(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    found: str = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if found != "wal":
        raise StoreUnavailable(
            f"expected write-ahead logging for {path}, found journal mode {found}: "
            f"use a local file system"
        )
    for pragma in (
        "synchronous=NORMAL",
        "wal_autocheckpoint=0",
        "secure_delete=OFF",
        "temp_store=MEMORY",
        f"cache_size=-{CACHE_KIB}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("BEGIN IMMEDIATE")  # takes the lock and tells whether it can be written
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StoreClosed(
            f"expected schema version {SCHEMA_VERSION} or less in {path}, "
            f"found {version}: it was written by a newer Podium, use that one"
        )
    if version < SCHEMA_VERSION:
        add_functions(connection)
        for statement in _missing(version):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    # A write of any kind makes the -wal file exist, so that it can be opened.
    connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'openings'")
    connection.execute("COMMIT")


def _missing(version: int) -> Iterator[str]:
    """Statements that make the present schema of a file with that one; 0 = an empty file."""
    if version == 0:
        yield from SCHEMA
        return
    for step in range(version, SCHEMA_VERSION):
        yield from MIGRATIONS[step]


def keep_log(database: Path) -> None:
    """Let the log survive the closing of the connection, which deletes it."""
    with contextlib.suppress(OSError):
        os.link(log_of(database), _kept_of(database))


def restore_log(database: Path) -> None:
    """Put a log that was kept back in its place. Raises OSError."""
    kept = _kept_of(database)
    if kept.exists():
        kept.replace(log_of(database))
        kept.unlink(missing_ok=True)  # two links of one file: `replace` does nothing


def _kept_of(database: Path) -> Path:
    return Path(f"{database}-wal-kept")

"""The tables of the sqlite store.

Everything of an execution hangs on its number `n`, which rises with each start, so that rows that
are written together lie on few pages; only the index over ids is random. A schema is never changed
in place: raise SCHEMA_VERSION and migrate.
"""

from __future__ import annotations

from typing import Final

SCHEMA_VERSION: Final = 6

ARCHIVE: Final = """CREATE TABLE archive (id TEXT PRIMARY KEY, archived_ms INTEGER NOT NULL,
    value BLOB NOT NULL)"""
CACHED: Final = (
    """CREATE TABLE cached (name TEXT PRIMARY KEY, at_ms INTEGER NOT NULL,
        until_ms INTEGER NOT NULL, value BLOB NOT NULL)""",
    "CREATE INDEX cached_until ON cached (until_ms)",
)
AUDIT: Final = (
    """CREATE TABLE audit (sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
        at_ms INTEGER NOT NULL, value BLOB NOT NULL)""",
    """CREATE TABLE audit_name (name TEXT, sequence INTEGER, PRIMARY KEY (name, sequence))
        WITHOUT ROWID""",
    "CREATE INDEX audit_name_sequence ON audit_name (sequence)",
)
# What the index has yet to see. Version 0 = the execution of this number, or an archived copy (then
# the number is negative), was removed. Keyed by number, so that a group of commits writes one page.
CHANGE: Final = (
    """CREATE TABLE change (n INTEGER PRIMARY KEY, id TEXT NOT NULL,
        version INTEGER NOT NULL)""",
    "CREATE INDEX change_removed ON change (id) WHERE version = 0",
)

SCHEMA: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO meta VALUES ('generation', 0), ('openings', 0), ('checkpoints', 0)",
    # idem_* repeat the key of the start, so that a removal finds its record.
    """CREATE TABLE execution (n INTEGER PRIMARY KEY, partition INTEGER NOT NULL,
        id TEXT NOT NULL, version INTEGER NOT NULL, running INTEGER NOT NULL, header BLOB,
        idem_name TEXT, idem_key TEXT)""",
    "CREATE UNIQUE INDEX execution_id ON execution (partition, id)",
    """CREATE TABLE field (n INTEGER, name TEXT, value BLOB NOT NULL,
        PRIMARY KEY (n, name)) WITHOUT ROWID""",
    """CREATE TABLE history (n INTEGER, position INTEGER, row BLOB NOT NULL,
        PRIMARY KEY (n, position)) WITHOUT ROWID""",
    """CREATE TABLE due (n INTEGER, task TEXT, kind TEXT, at_ms INTEGER NOT NULL,
        PRIMARY KEY (n, task, kind)) WITHOUT ROWID""",
    "CREATE INDEX due_at ON due (at_ms)",
    """CREATE TABLE mark (n INTEGER, task TEXT, kind TEXT, value BLOB NOT NULL,
        PRIMARY KEY (n, task, kind)) WITHOUT ROWID""",
    # AUTOINCREMENT: a sequence is never given twice, also when the table was empty at the end.
    """CREATE TABLE outbox (sequence INTEGER PRIMARY KEY AUTOINCREMENT, partition INTEGER NOT NULL,
        incarnation TEXT NOT NULL, n INTEGER NOT NULL, effect BLOB NOT NULL)""",
    "CREATE INDEX outbox_n ON outbox (n)",
    """CREATE TABLE idempotency (name TEXT, key TEXT, n INTEGER NOT NULL,
        PRIMARY KEY (name, key)) WITHOUT ROWID""",
    "CREATE INDEX idempotency_n ON idempotency (n)",
    "CREATE TABLE tombstone (id TEXT PRIMARY KEY, until_ms INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE member (incarnation TEXT PRIMARY KEY, seen_ms INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE seen (task_type TEXT, domain TEXT, worker TEXT, at_ms INTEGER NOT NULL,
        PRIMARY KEY (task_type, domain, worker)) WITHOUT ROWID""",
    # Hand-outs of rate-limited types inside their window (queues.Start).
    """CREATE TABLE start (task_type TEXT NOT NULL, at_ms INTEGER NOT NULL,
        until_ms INTEGER NOT NULL)""",
    """CREATE TABLE definition (kind TEXT, name TEXT, version INTEGER, value BLOB NOT NULL,
        PRIMARY KEY (kind, name, version)) WITHOUT ROWID""",
    """CREATE TABLE log (id INTEGER PRIMARY KEY, task TEXT NOT NULL, at_ms INTEGER NOT NULL,
        text TEXT NOT NULL)""",
    "CREATE INDEX log_task ON log (task)",
    ARCHIVE,
    *CACHED,
    *AUDIT,
    *CHANGE,
)
MARK_OUTSTANDING: Final = """INSERT OR REPLACE INTO mark
    SELECT f.n, task_id_of(f.value), 'out', outstanding_of(f.value)
    FROM field f JOIN execution e ON e.n = f.n
    WHERE e.running AND f.name GLOB 't:*' AND outstanding_of(f.value) IS NOT NULL"""
MIGRATIONS: Final = {1: (ARCHIVE,), 2: CACHED, 3: AUDIT, 4: (MARK_OUTSTANDING,), 5: CHANGE}
"""Schema version → what makes it the next one; functions: sqlite_migrate.py."""

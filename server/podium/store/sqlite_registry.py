"""Definitions, logs, the archive, cached outputs and what the index has yet to see: whatever the
sqlite store holds beside executions.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from podium.store.embedded import EmbeddedStore
from podium.store.port import (
    PARTITIONS,
    UNCOUNTED,
    Changed,
    DefinitionRow,
    partition_of,
    workflow_of,
)
from podium.store.sqlite_commit import DROP_REMOVED, FIND_KEY, PUT_LOG, TRIM_LOG
from podium.store.sqlite_file import SqliteFile
from podium.store.sync_child import SyncCall, SyncChild
from podium.store.task_log import LOG_LINES_LIMIT

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from podium.store.port_starts import Idempotency

SELECT: Final = "SELECT kind, name, version, value FROM definition WHERE kind = ?"

PUT_CACHED: Final = (
    "INSERT INTO cached VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
    " at_ms = excluded.at_ms, until_ms = excluded.until_ms, value = excluded.value"
    " WHERE excluded.at_ms >= cached.at_ms"
)
CACHED: Final = "SELECT value FROM cached WHERE name = ? AND at_ms > ? AND until_ms > ?"
EXISTS: Final = "SELECT 1 FROM execution WHERE partition = ? AND id = ?"
ARCHIVED_AFTER: Final = "SELECT id FROM archive WHERE id > ? ORDER BY id LIMIT ?"
CHANGES: Final = "SELECT id, version FROM change ORDER BY n LIMIT ?"
PUT_REMOVED_COPY: Final = (
    "INSERT INTO change SELECT MIN(COALESCE(MIN(n), 0), 0) - 1, ?, 0 FROM change"
)
DROP_CHANGE: Final = (
    "DELETE FROM change WHERE n = (SELECT n FROM execution WHERE partition = ? AND id = ?)"
    " AND version = ?"
)

Row = tuple[str, str, int, bytes]


class SqliteRegistry(EmbeddedStore):
    """The verbs of what stands beside executions, and the file they share with the rest."""

    def __init__(
        self, path: Path, now_ms: Callable[[], int], *, sync: Callable[[int], None] | None
    ) -> None:
        super().__init__(now_ms)
        self.file: Final = SqliteFile(path, sync=SyncCall(sync) if sync else SyncChild())

    async def recorded(self, workflow_id: str, key: Idempotency) -> str | None:
        """Of executions that are on disk: a client is told of it."""
        del workflow_id
        self.check_open()
        rows: list[tuple[str, bool]] = self.file.read(FIND_KEY, key.name, key.key)
        await self.file.durable()
        if not rows or (key.strategy == "FAIL_ON_RUNNING" and not rows[0][1]):
            return None
        return rows[0][0]

    @property
    def syncs(self) -> int:
        return self.file.syncs

    async def prepared(self) -> None:
        """Wait until a transaction may begin (reads are answered at any time)."""
        self.check_open()
        await self.file.ready()

    async def put_definition(self, row: DefinitionRow, *, overwrite: bool) -> bool:
        await self.prepared()
        verb = "INSERT OR REPLACE" if overwrite else "INSERT OR IGNORE"
        with self.file.write() as connection:
            cursor = connection.execute(
                f"{verb} INTO definition VALUES (?, ?, ?, ?)",
                (row.kind, row.name, row.version, row.value),
            )
            changed = cursor.rowcount > 0
            if changed:
                _count(connection, row.kind)
        await self.file.durable()
        return changed

    async def get_definition(
        self, kind: str, name: str, version: int | None
    ) -> DefinitionRow | None:
        self.check_open()
        if version is None:
            query = f"{SELECT} AND name = ? ORDER BY version DESC LIMIT 1"
            rows: list[Row] = self.file.read(query, kind, name)
        else:
            rows = self.file.read(f"{SELECT} AND name = ? AND version = ?", kind, name, version)
        return DefinitionRow(*rows[0]) if rows else None

    async def list_definitions(self, kind: str) -> list[DefinitionRow]:
        self.check_open()
        rows: list[Row] = self.file.read(f"{SELECT} ORDER BY name, version", kind)
        return [DefinitionRow(*row) for row in rows]

    async def delete_definition(self, kind: str, name: str, version: int) -> bool:
        await self.prepared()
        with self.file.write() as connection:
            cursor = connection.execute(
                "DELETE FROM definition WHERE kind = ? AND name = ? AND version = ?",
                (kind, name, version),
            )
            gone = cursor.rowcount > 0
            if gone:
                _count(connection, kind)
        await self.file.durable()
        return gone

    async def registry_generation(self) -> int:
        self.check_open()
        generation: int = self.file.read("SELECT value FROM meta WHERE name = 'generation'")[0][0]
        return generation

    async def archived(self, workflow_id: str) -> bytes | None:
        self.check_open()
        rows: list[tuple[bytes]] = self.file.read(
            "SELECT value FROM archive WHERE id = ?", workflow_id
        )
        return rows[0][0] if rows else None

    async def remove_archived(self, workflow_id: str) -> bool:
        await self.prepared()
        with self.file.write() as connection:
            cursor = connection.execute("DELETE FROM archive WHERE id = ?", (workflow_id,))
            gone = cursor.rowcount > 0
            if gone:
                connection.execute(PUT_REMOVED_COPY, (workflow_id,))
        await self.file.durable()
        return gone

    async def archived_after(self, after: str, limit: int) -> list[str]:
        self.check_open()
        return [each for (each,) in self.file.read(ARCHIVED_AFTER, after, limit)]

    async def changed(self, partitions: Sequence[int], limit: int) -> list[Changed]:
        self.check_open()
        asked = frozenset(partitions)
        most = limit if len(asked) == PARTITIONS else -1
        rows: list[tuple[str, int]] = self.file.read(CHANGES, most)
        mine = (row for row in rows if partition_of(row[0]) in asked)
        return [Changed(*row) for row in islice(mine, limit)]

    async def indexed(self, changes: Sequence[Changed]) -> None:
        """Not synced: after a crash they are indexed once more."""
        await self.prepared()
        removed = [(each.workflow_id,) for each in changes if not each.version]
        rows = [
            (partition_of(each.workflow_id), each.workflow_id, each.version)
            for each in changes
            if each.version
        ]
        with self.file.write() as connection:
            connection.executemany(DROP_CHANGE, rows)
            connection.executemany(DROP_REMOVED, removed)

    async def put_cached(self, name: str, value: bytes, *, at_ms: int, until_ms: int) -> None:
        """Not synced: after a crash the effect that put it is carried out once more."""
        await self.prepared()
        with self.file.write() as connection:
            connection.execute(PUT_CACHED, (name, at_ms, until_ms, value))

    async def cached(self, name: str, after_ms: int) -> bytes | None:
        self.check_open()
        rows: list[tuple[bytes]] = self.file.read(CACHED, name, after_ms, self.now_ms())
        return rows[0][0] if rows else None

    async def add_logs(self, task_id: str, logs: Sequence[tuple[int, str]]) -> bool:
        await self.prepared()
        workflow_id = workflow_of(task_id)
        if not self.file.read(EXISTS, partition_of(workflow_id), workflow_id):
            return False
        if logs:
            with self.file.write() as connection:
                rows = [(task_id, at_ms, text) for at_ms, text in logs]
                connection.executemany(PUT_LOG, rows)
                connection.execute(TRIM_LOG, (task_id, LOG_LINES_LIMIT))
            await self.file.durable()
        return True

    async def logs(self, task_id: str) -> list[tuple[int, str]]:
        self.check_open()
        return self.file.read("SELECT at_ms, text FROM log WHERE task = ? ORDER BY id", task_id)


def _count(connection: sqlite3.Connection, kind: str) -> None:
    if kind not in UNCOUNTED:
        connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'generation'")

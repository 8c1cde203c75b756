"""The sqlite index: one file beside the store, or memory.

All statements run in threads of its own, one that writes and one that reads; a memory index has one
for both. A file of another version is thrown away, one that is damaged is put aside: the index is
made anew from the store. Each write is one transaction, synced (FULL), so that what the store is
told is indexed stays so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from podium.index.port import Found, IndexDamaged, IndexFailure, SearchTooLong
from podium.index.sqlite_query import TASKS, WORKFLOWS, Table, grouped_order, order, where
from podium.index.sqlite_rows import SHOW_TASK, SHOW_WORKFLOW, hit_of, workflow_of
from podium.index.sqlite_schema import (
    APPLICATION_ID,
    ORIGIN,
    PUT_ORIGIN,
    SCHEMA,
    SCHEMA_VERSION,
)
from podium.index.sqlite_write import write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from podium.index.document import Update, WorkflowDocument
    from podium.index.port import TaskHit
    from podium.index.query import Query

LOG = logging.getLogger("podium.index")
SEARCH_MS_MAX: Final = 10_000
STEPS_PER_LOOK: Final = 50_000
"""Virtual machine steps between two looks at the clock: about a millisecond."""
DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
Result = TypeVar("Result")


class Offload(Protocol):
    """Runs a call where it does not block the loop; one at a time, in order."""

    async def __call__(self, call: Callable[[], Result]) -> Result: ...

    def stop(self) -> None: ...


class OneThread:
    """A thread."""

    def __init__(self, name: str) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def __call__(self, call: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def stop(self) -> None:
        self._threads.shutdown()


class SqliteIndex:
    """See index/port.py. `path` None = in memory; `offload` replaces the threads (simulation)."""

    def __init__(
        self, path: Path | None, now_ms: Callable[[], int], *, offload: Offload | None = None
    ) -> None:
        self._path = path
        self._now_ms = now_ms
        self._in_writer: Offload = offload or OneThread("index-writer")
        self._in_reader: Offload = self._in_writer
        if path is not None and offload is None:
            self._in_reader = OneThread("index-reader")
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._until_ms = 0

    async def open(self) -> None:
        """Another database is left alone, and refused. Raises IndexFailure."""
        await self._in_writer(lambda: self._guarded(self._open))

    async def close(self) -> None:
        if self._writer is None:
            return
        await self._in_reader(self._close_reader)
        await self._in_writer(self._close_writer)
        self._in_writer.stop()
        self._in_reader.stop()

    async def origin(self) -> str:
        return await self._in_writer(lambda: self._guarded(self._origin))

    async def set_origin(self, origin: str) -> None:
        await self._write(lambda connection: connection.execute(PUT_ORIGIN, (origin,)))

    async def reset(self) -> None:
        await self._in_reader(self._close_reader)
        await self._in_writer(lambda: self._guarded(self._reset))

    async def write(self, updates: Sequence[Update]) -> None:
        await self._write(lambda connection: write(connection, updates))

    async def workflows(self, query: Query) -> Found[WorkflowDocument]:
        return await self._read(lambda connection: _workflows(connection, query))

    async def workflow_ids(self, query: Query) -> list[str]:
        return await self._read(lambda connection: _workflow_ids(connection, query))

    async def workflows_by_tasks(self, query: Query) -> Found[WorkflowDocument]:
        return await self._read(lambda connection: _workflows_by_tasks(connection, query))

    async def tasks(self, query: Query) -> Found[TaskHit]:
        return await self._read(lambda connection: _tasks(connection, query))

    # In the threads

    async def _write(self, call: Callable[[sqlite3.Connection], object]) -> None:
        def transact() -> None:
            connection = self._writer
            assert connection is not None, "open() comes first"
            connection.execute("BEGIN IMMEDIATE")
            try:
                call(connection)
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

        await self._in_writer(lambda: self._guarded(transact))

    async def _read(self, call: Callable[[sqlite3.Connection], Result]) -> Result:
        def search() -> Result:
            connection = self._opened_reader()
            self._until_ms = self._now_ms() + SEARCH_MS_MAX
            connection.set_progress_handler(self._is_late, STEPS_PER_LOOK)
            try:
                return call(connection)
            finally:
                connection.set_progress_handler(None, 0)

        return await self._in_reader(lambda: self._guarded(search))

    def _is_late(self) -> bool:
        return self._now_ms() > self._until_ms

    def _guarded(self, call: Callable[[], Result]) -> Result:
        try:
            return call()
        except sqlite3.Error as error:
            code: int = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_INTERRUPT:
                raise SearchTooLong(f"{SEARCH_MS_MAX} ms") from None
            kind = IndexDamaged if code in DAMAGED else IndexFailure
            raise kind(f"expected the index {self._path} to answer, found: {error}") from error

    def _open(self) -> None:
        try:
            self._writer = self._connected()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in DAMAGED:
                raise
            self._put_aside()
            self._writer = self._connected()

    def _connected(self) -> sqlite3.Connection:
        """A connection to an index of this version."""
        connection = self._connect()
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        application: int = connection.execute("PRAGMA application_id").fetchone()[0]
        tables: int = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()[0]
        if tables and application != APPLICATION_ID:
            connection.close()
            raise IndexFailure(
                f"expected {self._path} to be an index of Podium or none, found another database"
            )
        if tables and version != SCHEMA_VERSION:
            connection.close()
            self._throw_away()
            connection = self._connect()
            tables = 0
        if not tables:
            _create(connection)
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path or ":memory:", isolation_level=None, check_same_thread=False
        )
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _opened_reader(self) -> sqlite3.Connection:
        if self._reader is None:
            assert self._writer is not None, "open() comes first"
            self._reader = self._writer if self._path is None else self._connect()
            if self._reader is not self._writer:
                self._reader.execute("PRAGMA query_only=1")
        return self._reader

    def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and reader is not self._writer:
            reader.close()

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(sqlite3.Error):
                writer.close()

    def _put_aside(self) -> None:
        """What is no database, or a damaged one: somebody may want to look at it."""
        if self._path is not None and self._path.exists():
            noted = {"event": "index_put_aside", "file": str(self._path)}
            LOG.warning("a damaged index is put aside, and made anew", extra=noted)
            self._path.replace(self._path.with_name(f"{self._path.name}-damaged"))
        self._throw_away()

    def _throw_away(self) -> None:
        if self._path is not None:
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _reset(self) -> None:
        self._close_writer()
        self._throw_away()
        self._writer = self._connected()

    def _origin(self) -> str:
        assert self._writer is not None, "open() comes first"
        row = self._writer.execute(ORIGIN).fetchone()
        return row[0] if row else ""


def _total(connection: sqlite3.Connection, query: Query, table: Table, counted: str) -> int:
    if not query.counted:
        return 0
    found = where(query, table)
    statement = f"SELECT {counted} FROM {table.source} WHERE {found.text}"
    total: int = connection.execute(statement, found.values).fetchone()[0]
    return total


def _create(connection: sqlite3.Connection) -> None:
    """The tables, unless another connection has made them since they were looked for."""
    connection.execute("BEGIN IMMEDIATE")
    if not connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()[0]:
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _workflows(connection: sqlite3.Connection, query: Query) -> Found[WorkflowDocument]:
    found = where(query, WORKFLOWS)
    page = (
        f"SELECT w.n FROM workflow w WHERE {found.text}"
        f" ORDER BY {order(query, WORKFLOWS)} LIMIT ? OFFSET ?"
    )
    numbers = connection.execute(page, (*found.values, query.size, query.start)).fetchall()
    total = _total(connection, query, WORKFLOWS, "COUNT(*)")
    return Found(total, _shown_workflows(connection, [n for (n,) in numbers], query))


def _workflow_ids(connection: sqlite3.Connection, query: Query) -> list[str]:
    found = where(query, WORKFLOWS)
    page = (
        f"SELECT w.id FROM workflow w WHERE {found.text}"
        f" ORDER BY {order(query, WORKFLOWS)} LIMIT ? OFFSET ?"
    )
    values = (*found.values, query.size, query.start)
    return [each for (each,) in connection.execute(page, values)]


def _workflows_by_tasks(connection: sqlite3.Connection, query: Query) -> Found[WorkflowDocument]:
    found = where(query, TASKS)
    page = (
        f"SELECT t.w FROM {TASKS.source} WHERE {found.text} GROUP BY t.w"
        f" ORDER BY {grouped_order(query, TASKS)} LIMIT ? OFFSET ?"
    )
    numbers = connection.execute(page, (*found.values, query.size, query.start)).fetchall()
    total = _total(connection, query, TASKS, "COUNT(DISTINCT t.w)")
    return Found(total, _shown_workflows(connection, [n for (n,) in numbers], query))


def _tasks(connection: sqlite3.Connection, query: Query) -> Found[TaskHit]:
    found = where(query, TASKS)
    page = (
        f"SELECT t.n FROM {TASKS.source} WHERE {found.text}"
        f" ORDER BY {order(query, TASKS)} LIMIT ? OFFSET ?"
    )
    numbers = connection.execute(page, (*found.values, query.size, query.start)).fetchall()
    total = _total(connection, query, TASKS, "COUNT(*)")
    rows = connection.execute(SHOW_TASK, (_listed(numbers),)).fetchall()
    return Found(total, [hit_of(row) for row in rows])


def _shown_workflows(
    connection: sqlite3.Connection, numbers: list[int], query: Query
) -> list[WorkflowDocument]:
    """The documents of these rows, in order."""
    listed = _listed([(n,) for n in numbers])
    rows = connection.execute(SHOW_WORKFLOW[query.texts], (listed,)).fetchall()
    return [workflow_of(row) for row in rows]


def _listed(numbers: Sequence[tuple[int]]) -> str:
    return f"[{','.join(str(n) for (n,) in numbers)}]"

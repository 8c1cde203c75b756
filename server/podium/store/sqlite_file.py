"""The database file of the sqlite store: lock, schema, transactions, sync, checkpoints, failures.

Why nothing acknowledged can be lost. Statements run in the loop with `synchronous=NORMAL`, so a
COMMIT appends frames to the -wal file and syncs nothing. `durable` then has a child process sync
that file (sync_child.py). After the sync a commit is acknowledged: all its frames, and all before
them, are on disk in the WAL. A WAL is overwritten only after a checkpoint, and checkpoints happen
here alone (`wal_autocheckpoint=0`), between transactions and in this order: the child syncs the
WAL; SQLite copies its pages into the database file (with `synchronous=OFF`, for the syncs before
and after the copy are the child's: they would stop the loop); the child syncs the database file;
only then may the next transaction run, which begins the WAL anew. It gets a new salt, and SQLite
syncs its header before frames follow (`NORMAL` again), so that old and new frames cannot be mixed.
The file keeps its size (no TRUNCATE): a sync seldom touches metadata, and a full disk still has
that room. tests/store/test_sqlite_crash.py has the kernel witness this order.

A sync that fails proves nothing about earlier pages, even when repeated (the kernel may have marked
them clean). So the WAL is then distrusted: nothing is acknowledged until everything in it has been
copied into the database file, that file synced, and the WAL begun anew. The same is done when
somebody deleted the -wal file. Who waited for the failed sync is told that the outcome is unknown.
Where the sync of the database file failed, the WAL is the only good copy: it is kept over the
closing of the connection (which deletes it) and recovered, so that all its pages are written again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from podium.store.port import StoreClosed, StoreError, StoreUnavailable
from podium.store.sqlite_errors import translate
from podium.store.sqlite_open import connect, keep_log, log_of, restore_log
from podium.store.sqlite_reserve import Reserve
from podium.store.sync_child import DATABASE, LOG
from podium.store.wal_frames import wal_frames

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from podium.store.sync_child import Sync

Value: TypeAlias = str | int | bytes | None
Rows: TypeAlias = list[Any]  # pyright: ignore[reportExplicitAny] - callers name the types

LOGGER = logging.getLogger("podium.store.sqlite")
IDLE_S: Final = 0.1
"""Without a write for this long, the store counts as idle."""
IDLE_FRAMES: Final = 1_000
"""Frames in the WAL from which an idle store is checkpointed."""
FRAMES_MAX: Final = 8_192
"""Frames (32 MiB) from which a busy store is checkpointed, too: the loop then stops for 6 ms and
commits wait for 10 (measured); less often would be longer, more often costs more."""
CHECKPOINT_RETRY_S: Final = 1.0


class SqliteFile:
    """One database file, held exclusively. Use from one loop; call `ready` before a statement."""

    def __init__(self, path: Path, *, sync: Sync) -> None:
        self.path: Final = path
        self.checkpoints = 0
        self.syncs = 0
        self.sync: Final = sync
        self.reserve: Final = Reserve(path)
        self._sync_stale = False
        """It knows a -wal file that was put away."""
        self._connection: sqlite3.Connection | None = None
        self._open = False
        self._wal = -1
        self._inode = 0
        self._written = 0
        self._synced = 0
        self._frames = 0
        self._distrusted = False
        self._doubted = (0, 0)
        """Transactions after the first and up to the second were written when a sync failed."""
        self._failure = ""
        self._syncing = False
        self._waiters: list[asyncio.Future[None]] = []
        """Woken at each end of a sync, to look again."""
        self._checkpointing: asyncio.Future[None] | None = None
        """No transaction may begin until it is done."""
        self._uncopied = False
        """Pages of the WAL count as copied and may not be on disk in the database file."""
        self._idle: asyncio.TimerHandle | None = None
        self._checkpoint_from_s = 0.0

    # Opening and closing

    def open(self) -> None:
        """Take the file. Raises StoreError with the reason and the remedy."""
        self._connect()
        try:
            self._start_sync()
        except StoreError:
            self._disconnect()
            raise
        self._open = True
        self.reserve.keep()

    def _connect(self) -> None:
        try:
            restore_log(self.path)
            self._connection = connect(self.path)
            self._wal = os.open(self._log, os.O_RDONLY)
            self._inode = self.path.stat().st_ino
        except OSError as error:
            self._disconnect()
            raise StoreUnavailable(
                f"expected {self._log} to open, found: {error.strerror}"
            ) from error

    async def close(self) -> None:
        """Sync, checkpoint and release the file; whoever waits for a sync is told first."""
        if not self._open:
            return
        if self._idle is not None:
            self._idle.cancel()
        with contextlib.suppress(StoreError):
            await self.durable()
            await self.ready()
        self._open = False
        self.sync.stop()
        self._disconnect()

    def _disconnect(self) -> None:
        """SQLite copies the WAL into the database, syncs it and deletes the WAL."""
        connection, self._connection = self._connection, None
        if self._uncopied:
            keep_log(self.path)
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.rollback()
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        if self._wal >= 0:
            os.close(self._wal)
            self._wal = -1
        with contextlib.suppress(OSError):
            restore_log(self.path)

    @property
    def _log(self) -> Path:
        return log_of(self.path)

    # Statements

    async def ready(self) -> None:
        """Wait until a transaction may begin: no checkpoint, and a WAL that can be trusted."""
        while self._checkpointing is not None:
            await asyncio.wait((self._checkpointing,))
        if not self._open:
            raise StoreClosed(f"expected {self.path} to be open, found it closed")
        if self._distrusted:
            try:
                self._begin_anew()
            except (sqlite3.Error, OSError) as error:
                raise StoreUnavailable(
                    f"expected {self.path} to be synced, found that it cannot be: {error}"
                ) from error

    def read(self, statement: str, *values: Value) -> Rows:
        """All rows of a query; at any time, also during a checkpoint and on a full disk."""
        if self._connection is None:
            raise StoreUnavailable(f"expected {self.path} to be open, found: {self._failure}")
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise translate(error, self.path) from error

    def write(self) -> AbstractContextManager[sqlite3.Connection]:
        """One transaction: all of it or, where it raises, nothing. In the same turn of the loop as
        the return of `ready`: during a checkpoint it would overwrite what is not copied yet.
        """
        assert self._checkpointing is None, "a transaction during a checkpoint"
        return self._transaction()

    @contextlib.contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        connection = self._connection
        assert connection is not None
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise translate(error, self.path) from error
            raise
        self._written += 1

    @property
    def written(self) -> int:
        """Number of the latest transaction."""
        return self._written

    @property
    def synced(self) -> int:
        """Number of the latest transaction that is on disk."""
        return self._synced

    # Durability

    async def durable(self) -> None:
        """Return when all written so far is on disk. Raises StoreUnavailable: outcome unknown."""
        mine = self._written
        if self._synced >= mine:
            return
        while self._synced < mine:
            if self._distrusted:
                await self.ready()
                break
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            if not self._syncing:
                self._begin_sync()
            await waiter
        after, until = self._doubted
        if after < mine <= until:
            raise StoreUnavailable(
                f"expected {self.path}-wal to be synced, found: {self._failure}; load and see"
            )

    def _begin_sync(self) -> None:
        if self._sync_stale:
            self.sync.stop()
            self._start_sync()
        target = self._written
        self._syncing = True
        self.sync.request(LOG, lambda failure: self._sync_ended(target, failure))

    def _start_sync(self) -> None:
        try:
            self.sync.start(self._log, self.path)
        except OSError as error:
            raise StoreUnavailable(
                f"expected a process that syncs {self.path}-wal, found: {error.strerror}"
            ) from error
        self._sync_stale = False

    def _sync_ended(self, target: int, failure: str) -> None:
        self._syncing = False
        self.syncs += 1
        if failure:
            noted = {"event": "sync_failed", "path": f"{self.path}-wal"}
            LOGGER.error("a sync failed: %s", failure, extra=noted)
            self._distrusted = True
            self._doubted = (self._synced, self._written)
            self._failure = failure
        else:
            self._synced = max(self._synced, target)
            self._frames = wal_frames(self._wal, self._frames)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        if self._checkpointing is None:
            if not failure:
                self._plan_checkpoint()
        elif failure:
            self._end_checkpoint(failure)
        else:
            self._continue_checkpoint()

    # Checkpoints

    def _plan_checkpoint(self) -> None:
        loop = asyncio.get_running_loop()
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._frames >= FRAMES_MAX and loop.time() >= self._checkpoint_from_s:
            self._start_checkpoint()
        elif self._frames >= IDLE_FRAMES:
            self._idle = loop.call_later(IDLE_S, self._start_checkpoint)

    def _start_checkpoint(self) -> None:
        self._idle = None
        if self._checkpointing is None and self._connection is not None and not self._distrusted:
            self._checkpointing = asyncio.get_running_loop().create_future()
            if not self._syncing:
                self._continue_checkpoint()

    async def checkpoint(self) -> None:
        """Copy the WAL into the database file now (tests, maintenance)."""
        await self.ready()
        self._start_checkpoint()
        await self.ready()

    def _continue_checkpoint(self) -> None:
        """Sync the WAL until all is synced, then copy it."""
        connection = self._connection
        assert connection is not None
        try:
            if self._synced < self._written:
                self._begin_sync()
                return
            connection.execute("PRAGMA synchronous=OFF")
            try:
                query = connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
                busy, frames, copied = query.fetchone()
            finally:
                connection.execute("PRAGMA synchronous=NORMAL")
        except (sqlite3.Error, StoreError) as error:
            self._end_checkpoint(str(error))
            return
        if busy or copied < frames:
            self._end_checkpoint(f"expected {frames} frames to be copied, found {copied}")
            return
        self._uncopied = True
        self.sync.request(DATABASE, self._database_synced)

    def _database_synced(self, failure: str) -> None:
        if failure:
            self._distrusted = True
            self._failure = failure
            self._end_checkpoint(failure)
            return
        self._uncopied = False
        self.checkpoints += 1
        try:
            # The first write begins the WAL anew and has its header synced: not at a commit's cost.
            with self._transaction() as connection:
                connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'checkpoints'")
        except StoreError as error:
            self._end_checkpoint(str(error))
            return
        self._frames = wal_frames(self._wal, 0)
        self.reserve.keep()
        self._end_checkpoint("")

    def _end_checkpoint(self, failure: str) -> None:
        ended, self._checkpointing = self._checkpointing, None
        assert ended is not None
        ended.set_result(None)
        if failure:
            now_s = asyncio.get_running_loop().time()
            self._checkpoint_from_s = now_s + CHECKPOINT_RETRY_S
            noted = {"event": "checkpoint_failed", "path": str(self.path)}
            LOGGER.error("a checkpoint failed: %s", failure, extra=noted)

    def _begin_anew(self) -> None:
        """Everything into the database file, synced, and a new WAL; rare, so in the loop."""
        if self.path.stat().st_ino != self._inode:
            raise StoreClosed(f"expected {self.path} to stay in place, found another file there")
        if self._connection is not None:
            if not self._uncopied:
                self._copy_and_truncate(self._connection)
            self._disconnect()
        self._connect()
        if self._uncopied:
            assert self._connection is not None
            self._copy_and_truncate(self._connection)
            self._uncopied = False
        self._sync_stale = True
        self._frames = 0
        self._distrusted = False
        self._synced = self._written

    def _copy_and_truncate(self, connection: sqlite3.Connection) -> None:
        """With SQLite's own syncs of both files."""
        busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise sqlite3.OperationalError("checkpoint was busy")

"""The sqlite store: durable, one process, nothing to install.

Verbs and their rows; the file itself (lock, sync, checkpoints, why nothing acknowledged is lost) is
sqlite_file.py, a batch of commits sqlite_commit.py, the tables sqlite_schema.py. Queues, slots and
held leases are answered from memory (embedded.py) and rebuilt from their rows at open.

A write becomes visible when its transaction ends and is acknowledged when it is synced; `load`,
which answers outsiders as well, waits for the sync of what it read.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from podium.model.queue import Deadline, DeadlineKind, Outstanding, Queue, Ready
from podium.store.embedded_view import Part
from podium.store.port import (
    PARTITIONS,
    Capabilities,
    Committed,
    DueEntry,
    Heartbeat,
    Loaded,
    OutboxEntry,
    StoreError,
    StoreFull,
    partition_of,
)
from podium.store.queue_view import POLL_DATA_MS
from podium.store.queues import Start
from podium.store.sqlite_beside import SqliteBeside
from podium.store.sqlite_commit import (
    DROP_EFFECT,
    FIND,
    HEADER_FIELD,
    HELD,
    LAST_NUMBER,
    OUTSTANDING,
    PUT_CHANGE,
    READY,
    REMOVE,
    SLOT,
    AlreadyThere,
    Batch,
    Known,
    Numbers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from podium.store.port import Commit, CommitResult

KNOWN_MAX: Final = 50_000
"""Executions whose number and version are kept in memory (about 15 MB)."""
NAMES_MAX: Final = 500
"""Field names in one query."""
PURGE_MS: Final = 60_000
READIES: Final = msgspec.msgpack.Decoder(Ready)
QUEUES: Final = msgspec.msgpack.Decoder(Queue)
OUTSTANDINGS: Final = msgspec.msgpack.Decoder(Outstanding)
FIELDS: Final = "SELECT name, value FROM field WHERE n = ?"
DUE: Final = "SELECT d.at_ms, e.id, d.task, d.kind FROM due d JOIN execution e ON e.n = d.n"
WAITS_IN_OUTBOX: Final = "SELECT 1 FROM outbox WHERE n = ? LIMIT 1"
PUT_ARCHIVE: Final = "INSERT OR REPLACE INTO archive VALUES (?, ?, ?)"
PUT_TOMBSTONE: Final = "INSERT OR REPLACE INTO tombstone VALUES (?, ?)"


class SqliteStore(SqliteBeside):
    """See store/port.py. `sync`, where given, syncs a descriptor of the log in a thread
    instead of the child process (a test may hold it or let it fail).
    """

    def __init__(
        self,
        path: Path,
        now_ms: Callable[[], int],
        *,
        sync: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(path, now_ms, sync=sync)
        self._known: dict[str, Known] = {}
        self._unsynced: dict[str, int] = {}
        """Executions changed since the last sync → number of the transaction."""
        self._numbers = Numbers(1, 1)
        self._members: dict[str, int] = {}
        self._tombstones = False
        self._unstored_seen: dict[tuple[str, str, str], int] = {}
        self._purged_ms = 0

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(shared=False, durable=True)

    async def open(self) -> None:
        """Raises StoreFull (it cannot be written) and StoreClosed (in use, damaged, newer)."""
        self.file.open()
        try:
            self._read_all()
        except BaseException:
            await self.file.close()
            raise
        self._open = True

    def _read_all(self) -> None:
        read = self.file.read
        last_n: int = read(LAST_NUMBER)[0][0]
        sequences: list[tuple[int]] = read("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")
        self._numbers = Numbers(last_n + 1, sequences[0][0] + 1 if sequences else 1)
        self._read_marks()
        self._members = dict(read("SELECT incarnation, seen_ms FROM member"))
        seen: list[tuple[str, str, str, int]] = read("SELECT * FROM seen")
        for task_type, domain, worker, at_ms in seen:
            self.seen.setdefault(task_type, {})[domain, worker] = at_ms
        self._tombstones = bool(read("SELECT 1 FROM tombstone LIMIT 1"))
        starts: list[tuple[str, int, int]] = read(
            "SELECT * FROM start WHERE until_ms > ? ORDER BY at_ms", self.now_ms()
        )
        self.rebuild([Start(*row) for row in starts])

    def _read_marks(self) -> None:
        self.parts = [Part() for _ in range(PARTITIONS)]
        rows: list[tuple[str, int, str, bytes]] = self.file.read(
            "SELECT m.kind, e.partition, m.task, m.value FROM mark m JOIN execution e ON e.n = m.n"
        )
        for kind, partition, task_id, value in rows:
            part = self.parts[partition]
            if kind == READY:
                part.ready[task_id] = READIES.decode(value)
            elif kind == SLOT:
                part.slots[task_id] = QUEUES.decode(value)
            elif kind == OUTSTANDING:
                part.outstanding[task_id] = OUTSTANDINGS.decode(value)
            else:
                part.held.setdefault(kind.removeprefix(HELD), {})[task_id] = None

    async def close(self) -> None:
        if self._open:
            self._open = False
            with suppress(StoreError):
                await self.file.ready()
                self._put_seen()
            await self.file.close()

    # Executions

    async def load(self, workflow_id: str, names: Sequence[str] | None) -> Loaded | None:
        self.check_open()
        if self._unsynced.get(workflow_id, 0) > self.file.synced:
            await self.file.durable()
            self.check_open()
        row: list[tuple[int, int, bytes | None]] = self.file.read(
            "SELECT n, version, header FROM execution WHERE partition = ? AND id = ?",
            partition_of(workflow_id),
            workflow_id,
        )
        if not row:
            return None
        n, version, header = row[0]
        if names is None:
            fields = dict(self.file.read(FIELDS, n))
            if header is not None:
                fields[HEADER_FIELD] = header
            return Loaded(version, fields)
        fields: dict[str, bytes | None] = dict.fromkeys(names)
        for first in range(0, len(names), NAMES_MAX):
            some = names[first : first + NAMES_MAX]
            marks = ",".join("?" * len(some))
            query = f"{FIELDS} AND name IN ({marks})"
            fields.update(self.file.read(query, n, *some))
        if HEADER_FIELD in fields:
            fields[HEADER_FIELD] = header
        return Loaded(version, fields)

    async def commit(self, commits: Sequence[Commit]) -> list[CommitResult]:
        await self.prepared()
        starts, self.queues.started = self.queues.started, []
        try:
            try:
                results = self._transact(commits, starts, looking=False)
            except AlreadyThere:
                results = self._transact(commits, starts, looking=True)
        except BaseException:
            self.queues.started = starts + self.queues.started
            raise
        for index, (commit, result) in enumerate(zip(commits, results, strict=True)):
            if isinstance(result, Committed):
                self.take_in(commit)
                if self.watched and (watchers := self.watchers(commit.workflow_id)):
                    results[index] = msgspec.structs.replace(result, watchers=watchers)
        await self.file.durable()
        return results

    def _transact(
        self, commits: Sequence[Commit], starts: list[Start], *, looking: bool
    ) -> list[CommitResult]:
        numbers = self._numbers.copy()
        with self.file.write() as connection:
            batch = Batch(
                connection,
                self._known,
                numbers,
                now_ms=self.now_ms(),
                tombstones=self._tombstones,
                looking=looking,
            )
            results = [batch.add(commit) for commit in commits]
            batch.write(starts)
        self._numbers = numbers
        self._take_batch(batch)
        return results

    def _take_batch(self, batch: Batch) -> None:
        if len(self._known) > KNOWN_MAX:
            self._known.clear()
        self._known.update(batch.touched)
        if self.file.synced + 1 == self.file.written:  # all before this transaction is on disk
            self._unsynced.clear()
        self._unsynced.update(dict.fromkeys(batch.touched, self.file.written))

    def _find(self, workflow_id: str) -> Known | None:
        rows: list[tuple[int, int, int]] = self.file.read(
            FIND, partition_of(workflow_id), workflow_id
        )
        return Known(rows[0][0], rows[0][1], bool(rows[0][2])) if rows else None

    async def remove(
        self,
        workflow_id: str,
        version: int,
        tombstone_until_ms: int,
        *,
        archive: bytes | None = None,
    ) -> bool:
        await self.prepared()
        known = self._find(workflow_id)
        if known is None or known.version != version:
            return False
        if self.file.read(WAITS_IN_OUTBOX, known.n):
            return False
        try:
            self._remove(workflow_id, known.n, tombstone_until_ms, archive)
        except StoreFull:
            if not self.file.reserve.spend():
                raise
            self._remove(workflow_id, known.n, tombstone_until_ms, archive)
        self._known.pop(workflow_id, None)
        self._tombstones = True
        self.take_out(workflow_id)
        await self.file.durable()
        return True

    def _remove(
        self, workflow_id: str, n: int, tombstone_until_ms: int, archive: bytes | None
    ) -> None:
        with self.file.write() as connection:
            if archive is not None:
                connection.execute(PUT_ARCHIVE, (workflow_id, self.now_ms(), archive))
            for statement in REMOVE:
                connection.execute(statement, (n,))
            # Task ids are the workflow's and a dot; "/" is the character after the dot.
            connection.execute(
                "DELETE FROM log WHERE task > ? AND task < ?",
                (f"{workflow_id}.", f"{workflow_id}/"),
            )
            connection.execute(PUT_TOMBSTONE, (workflow_id, tombstone_until_ms))
            connection.execute(PUT_CHANGE, (n, workflow_id, 0))

    async def tombstone(self, workflow_id: str, until_ms: int) -> bool:
        await self.prepared()
        if self._find(workflow_id) is not None:
            return False
        with self.file.write() as connection:
            connection.execute(PUT_TOMBSTONE, (workflow_id, until_ms))
        self._tombstones = True
        await self.file.durable()
        return True

    async def history(self, workflow_id: str, after: int, limit: int) -> list[bytes]:
        self.check_open()
        rows: list[tuple[bytes]] = self.file.read(
            "SELECT h.row FROM execution e JOIN history h ON h.n = e.n"
            " WHERE e.partition = ? AND e.id = ? AND h.position > ? ORDER BY h.position LIMIT ?",
            partition_of(workflow_id),
            workflow_id,
            after,
            limit,
        )
        return [row for (row,) in rows]

    async def scan(self, partition: int, after: str, limit: int) -> list[str]:
        self.check_open()
        rows: list[tuple[str]] = self.file.read(
            "SELECT id FROM execution WHERE partition = ? AND id > ? ORDER BY id LIMIT ?",
            partition,
            after,
            limit,
        )
        return [each for (each,) in rows]

    # Time, effects, members

    async def due(self, partitions: Sequence[int], until_ms: int, limit: int) -> list[DueEntry]:
        self.check_open()
        rows: list[tuple[int, str, str, DeadlineKind]] = self.file.read(
            f"{DUE} WHERE d.at_ms <= ?{_among(partitions)} ORDER BY d.at_ms LIMIT ?",
            until_ms,
            limit,
        )
        return [
            DueEntry(workflow_id, Deadline(task_id, kind, at_ms))
            for at_ms, workflow_id, task_id, kind in sorted(rows)
        ]

    async def outbox(self, partitions: Sequence[int], incarnation: str) -> list[OutboxEntry]:
        self.check_open()
        rows: list[tuple[int, int, str, bytes]] = self.file.read(
            "SELECT e.partition, o.sequence, e.id, o.effect"  # noqa: S608 - numbers only
            " FROM outbox o JOIN execution e ON e.n = o.n"
            f" WHERE o.incarnation = ?{_among(partitions)} ORDER BY e.partition, o.sequence",
            incarnation,
        )
        return [
            OutboxEntry(partition, incarnation, sequence, workflow_id, effect)
            for partition, sequence, workflow_id, effect in rows
        ]

    async def outbox_done(self, partition: int, incarnation: str, sequences: Sequence[int]) -> None:
        """Not synced: after a crash the effect is carried out once more, which does no harm."""
        await self.prepared()
        with self.file.write() as connection:
            rows = [(sequence, incarnation, partition) for sequence in sequences]
            connection.executemany(DROP_EFFECT, rows)

    async def heartbeat(self, incarnation: str, concerns: int | None = None) -> Heartbeat:
        """The first of a member is stored; later ones stay in memory, nobody else reads them."""
        await self.prepared()
        now_ms = self.now_ms()
        self._put_seen()
        self._purge(now_ms)
        if incarnation not in self._members:
            with self.file.write() as connection:
                connection.execute(
                    "INSERT OR REPLACE INTO member VALUES (?, ?)", (incarnation, now_ms)
                )
            await self.file.durable()
        self._members[incarnation] = now_ms
        return Heartbeat(now_ms, dict(self._members), self.told(incarnation, concerns))

    async def forget(self, incarnation: str, seen_ms: int | None = None) -> None:
        await self.prepared()
        if seen_ms is not None and self._members.get(incarnation) != seen_ms:
            return
        if self._members.pop(incarnation, None) is not None:
            with self.file.write() as connection:
                connection.execute("DELETE FROM member WHERE incarnation = ?", (incarnation,))
        self.forget_server(incarnation)

    async def poll_seen(self, queue: Queue, worker_id: str) -> None:
        """Stored with the next heartbeat."""
        await super().poll_seen(queue, worker_id)
        self._unstored_seen[queue.task_type, queue.domain, worker_id] = self.now_ms()

    def _put_seen(self) -> None:
        if not self._unstored_seen:
            return
        rows = [(*name, at_ms) for name, at_ms in self._unstored_seen.items()]
        with suppress(StoreFull), self.file.write() as connection:
            connection.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", rows)
            self._unstored_seen.clear()

    def _purge(self, now_ms: int) -> None:
        """Drop tombstones, starts and outputs that ended; rarely, and never what is needed."""
        if now_ms - self._purged_ms < PURGE_MS:
            return
        self._purged_ms = now_ms
        self.forget_seen()
        with suppress(StoreFull), self.file.write() as connection:
            connection.execute("DELETE FROM tombstone WHERE until_ms <= ?", (now_ms,))
            connection.execute("DELETE FROM start WHERE until_ms <= ?", (now_ms,))
            connection.execute("DELETE FROM cached WHERE until_ms <= ?", (now_ms,))
            connection.execute("DELETE FROM seen WHERE at_ms <= ?", (now_ms - POLL_DATA_MS,))


def _among(partitions: Sequence[int]) -> str:
    """A condition on e.partition; none where all are asked for."""
    if len(set(partitions)) == PARTITIONS:
        return ""
    return f" AND e.partition IN ({','.join(str(int(each)) for each in partitions)})"

"""A batch of commits as one sqlite transaction: decided in order, written table by table.

Each commit is decided against the database and what the batch itself will have changed by then; a
refused one leaves nothing behind and hurts no other. Rows are gathered last-wins, so that each
table is written by one `executemany`. That an execution to be created (without a key, which would
answer first) does not exist is believed, since ids are random; where its insertion shows otherwise,
the batch is decided again, looking.

Measured (tests/store/measure.py; 2 shared cores, groups of 24, CPU of this process per commit,
encode and sync included): start 43 µs, result 35 µs. Of a start, encode takes 5, SQL 24; of that
COMMIT 11, for 27 pages per group, most of them leaves of the index over random ids. Pages of 2 and
8 KiB cost more (55, 47 µs); single commits cost about 200.
"""

from __future__ import annotations

from sqlite3 import IntegrityError
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from podium.store.port import HISTORY_ROWS_LIMIT, Committed, Conflict, Exists, partition_of
from podium.store.task_log import LOG_LINES_LIMIT

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from podium.store.port import Commit, CommitResult, Idempotency
    from podium.store.queues import Start

HEADER_FIELD: Final = "h"
"""The field that every commit writes: it stands in the execution's own row."""
READY: Final = "ready"
SLOT: Final = "slot"
HELD: Final = "held:"
OUTSTANDING: Final = "out"
"""Kinds of marks; held is followed by the incarnation."""
ENCODE: Final = msgspec.msgpack.Encoder().encode

FIND: Final = "SELECT n, version, running FROM execution WHERE partition = ? AND id = ?"
INSERT: Final = "INSERT INTO execution VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
UPDATE: Final = "UPDATE execution SET version = ?, running = ?, header = ? WHERE n = ?"
UPDATE_VERSION: Final = "UPDATE execution SET version = ?, running = ? WHERE n = ?"
FIND_KEY: Final = (
    "SELECT e.id, e.running FROM idempotency i JOIN execution e ON e.n = i.n"
    " WHERE i.name = ? AND i.key = ?"
)
PUT_KEY: Final = "INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?)"
PUT_FIELD: Final = "INSERT OR REPLACE INTO field VALUES (?, ?, ?)"
DROP_FIELD: Final = "DELETE FROM field WHERE n = ? AND name = ?"
PUT_DUE: Final = "INSERT OR REPLACE INTO due VALUES (?, ?, ?, ?)"
DROP_DUE: Final = "DELETE FROM due WHERE n = ? AND task = ? AND kind = ?"
PUT_MARK: Final = "INSERT OR REPLACE INTO mark VALUES (?, ?, ?, ?)"
DROP_MARK: Final = "DELETE FROM mark WHERE n = ? AND task = ? AND kind = ?"
PUT_HISTORY: Final = "INSERT OR REPLACE INTO history VALUES (?, ?, ?)"
TRIM_HISTORY: Final = "DELETE FROM history WHERE n = ? AND position = ?"
PUT_EFFECT: Final = "INSERT INTO outbox VALUES (?, ?, ?, ?, ?)"
DROP_EFFECT: Final = "DELETE FROM outbox WHERE sequence = ? AND incarnation = ? AND partition = ?"
PUT_LOG: Final = "INSERT INTO log (task, at_ms, text) VALUES (?, ?, ?)"
TRIM_LOG: Final = (
    "DELETE FROM log WHERE task = ?1 AND id <="
    " (SELECT id FROM log WHERE task = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)"
)
PUT_START: Final = "INSERT INTO start VALUES (?, ?, ?)"
LAST_NUMBER: Final = (
    "SELECT MAX(COALESCE((SELECT MAX(n) FROM execution), 0),"
    " COALESCE((SELECT MAX(n) FROM change), 0))"
)
REMOVE: Final = (
    "DELETE FROM idempotency WHERE n = ?",
    "DELETE FROM field WHERE n = ?",
    "DELETE FROM history WHERE n = ?",
    "DELETE FROM due WHERE n = ?",
    "DELETE FROM mark WHERE n = ?",
    "DELETE FROM execution WHERE n = ?",
)
PUT_CHANGE: Final = "INSERT OR REPLACE INTO change VALUES (?, ?, ?)"
DROP_REMOVED: Final = "DELETE FROM change WHERE id = ? AND version = 0"
FIND_TOMBSTONE: Final = "SELECT until_ms FROM tombstone WHERE id = ?"


Name = TypeVar("Name", bound="tuple[object, ...]")


class AlreadyThere(Exception):
    """An execution that was believed absent exists: decide the batch again, looking each up."""


class Known(NamedTuple):
    """What is stored of an execution: its number, version, and whether it runs."""

    n: int
    version: int
    running: bool


class Numbers:
    """The next free numbers; a copy is drawn from, and kept where its transaction succeeded."""

    def __init__(self, execution: int, sequence: int) -> None:
        self.execution = execution
        self.sequence = sequence

    def copy(self) -> Numbers:
        return Numbers(self.execution, self.sequence)


class Batch:
    """One transaction's commits. `known` is the store's cache of Known, read but not changed."""

    def __init__(  # noqa: PLR0913 - what the store knows, by name
        self,
        connection: sqlite3.Connection,
        known: Mapping[str, Known],
        numbers: Numbers,
        *,
        now_ms: int,
        tombstones: bool,
        looking: bool,
    ) -> None:
        self._execute = connection.execute
        self._executemany = connection.executemany
        self._stored = known
        self._numbers = numbers
        self._now_ms = now_ms
        self._tombstones = tombstones
        self._looking = looking
        self.touched: dict[str, Known] = {}
        """Executions that the batch changes, as they will be."""
        self._new: dict[int, list[object]] = {}
        self._headers: dict[int, bytes | None] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._fields: dict[tuple[int, str], bytes | None] = {}
        self._due: dict[tuple[int, str, str], int | None] = {}
        self._marks: dict[tuple[int, str, str], bytes | None] = {}
        self._history: list[tuple[int, int, bytes]] = []
        self._effects: list[tuple[int, int, str, int, bytes]] = []
        self._effects_done: list[tuple[int, str, int]] = []
        self._logs: list[tuple[str, int, str]] = []

    def add(self, commit: Commit) -> CommitResult:
        """Decide one commit. `watchers` of the answer are the caller's."""
        partition = partition_of(commit.workflow_id)
        known = self._find(commit, partition)
        refusal = self._refusal(commit, known)
        if refusal is not None:
            return refusal
        if known is None:
            n = self._numbers.execution
            self._numbers.execution += 1
            self._new[n] = [n, partition, commit.workflow_id, 0, 1, None, None, None]
        else:
            n = known.n
        version = commit.version + 1
        self.touched[commit.workflow_id] = Known(n, version, commit.running)
        self._take_fields(n, commit)
        self._take_due(n, commit)
        self._take_entries(n, commit)
        self._take_outstanding(n, commit)
        self._logs += commit.logs
        if commit.history is not None:
            self._history.append((n, commit.history_position, commit.history))
        if commit.idempotency is not None:
            self._take_key(n, commit.workflow_id, commit.idempotency)
        if commit.outbox_done:
            self._effects_done += [(seq, inc, partition) for inc, seq in commit.outbox_done]
        if not commit.outbox:
            return Committed(version)
        return Committed(version, self._take_effects(n, partition, commit))

    def _find(self, commit: Commit, partition: int) -> Known | None:
        workflow_id = commit.workflow_id
        known = self.touched.get(workflow_id) or self._stored.get(workflow_id)
        if known is not None or not (commit.version or commit.idempotency or self._looking):
            return known
        row = self._execute(FIND, (partition, workflow_id)).fetchone()
        return None if row is None else Known(row[0], row[1], bool(row[2]))

    def _refusal(self, commit: Commit, known: Known | None) -> CommitResult | None:
        if (0 if known is None else known.version) != commit.version:
            if known is None:
                return Conflict(0, dict.fromkeys(commit.read_on_conflict))
            return Conflict(known.version, self._read(known.n, commit.read_on_conflict))
        if known is not None:
            return None
        if self._tombstones:
            row = self._execute(FIND_TOMBSTONE, (commit.workflow_id,)).fetchone()
            if row is not None and row[0] > self._now_ms:
                return Conflict(0, tombstoned=True)
        if commit.idempotency is None:
            return None
        return self._recorded(commit.idempotency)

    def _recorded(self, key: Idempotency) -> Exists | None:
        mine = self._keys.get((key.name, key.key))
        if mine is not None:
            found: tuple[str, bool] | None = (mine, self.touched[mine].running)
        else:
            found = self._execute(FIND_KEY, (key.name, key.key)).fetchone()
            if found is not None and (changed := self.touched.get(found[0])) is not None:
                found = (found[0], changed.running)
        if found is None or (key.strategy == "FAIL_ON_RUNNING" and not found[1]):
            return None
        return Exists(found[0])

    def _read(self, n: int, names: Iterable[str]) -> dict[str, bytes | None]:
        """Present values, those that the batch changed included (a rare path)."""
        values: dict[str, bytes | None] = {}
        for name in names:
            if name == HEADER_FIELD and n in self._headers:
                values[name] = self._headers[n]
            elif (n, name) in self._fields:
                values[name] = self._fields[n, name]
            else:
                values[name] = self._read_one(n, name)
        return values

    def _read_one(self, n: int, name: str) -> bytes | None:
        if name == HEADER_FIELD:
            row = self._execute("SELECT header FROM execution WHERE n = ?", (n,)).fetchone()
        else:
            query = "SELECT value FROM field WHERE n = ? AND name = ?"
            row = self._execute(query, (n, name)).fetchone()
        return None if row is None else row[0]

    def _take_fields(self, n: int, commit: Commit) -> None:
        fields = self._fields
        for name, value in commit.fields.items():
            if name == HEADER_FIELD:
                self._headers[n] = value
            else:
                fields[n, name] = value

    def _take_due(self, n: int, commit: Commit) -> None:
        for task_id, kind in commit.disarmed:
            self._due[n, task_id, kind] = None
        for deadline in commit.armed:
            self._due[n, deadline.task_id, deadline.kind] = deadline.at_ms

    def _take_entries(self, n: int, commit: Commit) -> None:
        marks = self._marks
        for task_id in commit.unready:
            marks[n, task_id, READY] = None
        for ready in commit.ready:
            marks[n, ready.task_id, READY] = ENCODE(ready)
        for task_id in commit.unslotted:
            marks[n, task_id, SLOT] = None
        for task_id, queue in commit.slots:
            marks[n, task_id, SLOT] = ENCODE(queue)
        for incarnation, task_id in commit.unheld:
            marks[n, task_id, HELD + incarnation] = None
        for incarnation, task_id in commit.held:
            marks[n, task_id, HELD + incarnation] = b""

    def _take_outstanding(self, n: int, commit: Commit) -> None:
        for task_id in commit.returned:
            self._marks[n, task_id, OUTSTANDING] = None
        for task_id, outstanding in commit.outstanding:
            self._marks[n, task_id, OUTSTANDING] = ENCODE(outstanding)

    def _take_key(self, n: int, workflow_id: str, key: Idempotency) -> None:
        self._keys[key.name, key.key] = workflow_id
        row = self._new.get(n)
        if row is not None:
            row[6], row[7] = key.name, key.key

    def _take_effects(self, n: int, partition: int, commit: Commit) -> tuple[int, ...]:
        first = self._numbers.sequence
        self._numbers.sequence += len(commit.outbox)
        sequences = tuple(range(first, self._numbers.sequence))
        self._effects += [
            (sequence, partition, commit.incarnation, n, effect)
            for sequence, effect in zip(sequences, commit.outbox, strict=True)
        ]
        return sequences

    def write(self, starts: list[Start]) -> None:
        """Put all rows; the caller commits."""
        many = self._executemany
        self._write_executions()
        self._note_changes()
        self._write_changes(self._fields, PUT_FIELD, DROP_FIELD)
        self._write_changes(self._due, PUT_DUE, DROP_DUE)
        self._write_changes(self._marks, PUT_MARK, DROP_MARK)
        if self._history:
            many(PUT_HISTORY, self._history)
            old = [
                (n, position - HISTORY_ROWS_LIMIT)
                for n, position, _ in self._history
                if position > HISTORY_ROWS_LIMIT
            ]
            if old:
                many(TRIM_HISTORY, old)
        if self._effects:
            many(PUT_EFFECT, self._effects)
        if self._effects_done:
            many(DROP_EFFECT, self._effects_done)
        if self._keys:
            keys = [(*key, self.touched[each].n) for key, each in self._keys.items()]
            many(PUT_KEY, keys)
        if starts:
            many(PUT_START, starts)
        if self._logs:
            many(PUT_LOG, self._logs)
            many(TRIM_LOG, {(task_id, LOG_LINES_LIMIT) for task_id, _, _ in self._logs})

    def _write_executions(self) -> None:
        changed: list[tuple[int, bool, bytes | None, int]] = []
        for known in self.touched.values():
            row = self._new.get(known.n)
            if row is not None:
                row[3], row[4], row[5] = known.version, known.running, self._headers.get(known.n)
            elif known.n in self._headers:
                changed.append((known.version, known.running, self._headers[known.n], known.n))
            else:
                self._execute(UPDATE_VERSION, (known.version, known.running, known.n))
        if self._new:
            try:
                self._executemany(INSERT, self._new.values())
            except IntegrityError:
                raise AlreadyThere from None
        if changed:
            self._executemany(UPDATE, changed)

    def _note_changes(self) -> None:
        """For the index."""
        rows = [(known.n, each, known.version) for each, known in self.touched.items()]
        self._executemany(PUT_CHANGE, rows)
        if self._new and self._tombstones:  # one that was removed may have had the id before
            self._executemany(DROP_REMOVED, [(row[2],) for row in self._new.values()])

    def _write_changes(self, changes: Mapping[Name, object], put: str, drop: str) -> None:
        rows = [(*name, value) for name, value in changes.items() if value is not None]
        if rows:
            self._executemany(put, rows)
        if len(rows) < len(changes):
            gone = [name for name, value in changes.items() if value is None]
            self._executemany(drop, gone)

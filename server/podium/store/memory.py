"""The memory store: the reference implementation of the port, for tests and the simulation.

Several servers may share one instance. Every verb does all its work without awaiting, so each is
atomic; nothing is durable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.model.queue import Deadline
from podium.store.audit_rows import AuditRows
from podium.store.change_notes import ChangeNotes
from podium.store.inspection import Page
from podium.store.port import (
    HISTORY_ROWS_LIMIT,
    PARTITIONS,
    UNCOUNTED,
    Capabilities,
    Committed,
    Conflict,
    DueEntry,
    Exists,
    Heartbeat,
    Loaded,
    OutboxEntry,
    partition_of,
    workflow_of,
)
from podium.store.task_log import LOG_LINES_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from podium.model.queue import DeadlineKind
    from podium.store.audit import AuditEntry, AuditQuery, AuditRow
    from podium.store.port import Commit, CommitResult, DefinitionRow
    from podium.store.port_starts import Idempotency


HEADER_FIELD: Final = "h"
"""Its header is no part of an execution's pages."""


class Stored:
    """One execution."""

    __slots__ = ("fields", "history", "idempotency", "running", "version")

    def __init__(self) -> None:
        self.version = 0
        self.fields: dict[str, bytes] = {}
        self.history: dict[int, bytes] = {}
        self.running = True
        self.idempotency: tuple[str, str] | None = None


class MemoryStore(ChangeNotes):
    """See store/port.py."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        super().__init__(now_ms)
        self._open = True
        self.executions: dict[str, Stored] = {}
        self._due: list[dict[tuple[str, str, DeadlineKind], int]] = [{} for _ in range(PARTITIONS)]
        self._outbox: list[dict[str, dict[int, tuple[str, bytes]]]] = [
            {} for _ in range(PARTITIONS)
        ]
        self._idempotency: dict[tuple[str, str], str] = {}
        self._tombstones: dict[str, int] = {}
        self._archive: dict[str, bytes] = {}
        self._cached: dict[str, tuple[int, int, bytes]] = {}  # at ms, until ms, value
        self._members: dict[str, int] = {}
        self._definitions: dict[tuple[str, str, int], DefinitionRow] = {}
        self._generation = 0
        self._sequence = 0
        self._logs: dict[str, list[tuple[int, str]]] = {}
        self._audit = AuditRows()

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(shared=True, durable=False)

    @property
    def syncs(self) -> int:
        return 0

    async def open(self) -> None:
        """It is open from the beginning; after a close it goes on with what it held."""
        if not self._open:
            self._open = True
            self.rebuild(self.queues.starts())

    async def close(self) -> None:
        """Every server that shares it loses it."""
        self._open = False
        self._subscribers.clear()
        self._watchers.clear()

    # Executions

    async def load(self, workflow_id: str, names: Sequence[str] | None) -> Loaded | None:
        self.check_open()
        stored = self.executions.get(workflow_id)
        if stored is None:
            return None
        if names is None:
            return Loaded(stored.version, dict(stored.fields))
        return Loaded(stored.version, {name: stored.fields.get(name) for name in names})

    async def commit(self, commits: Sequence[Commit]) -> list[CommitResult]:
        self.check_open()
        return [self._commit(commit) for commit in commits]

    def _commit(self, commit: Commit) -> CommitResult:
        stored = self.executions.get(commit.workflow_id)
        refusal = self._refusal(commit, stored)
        if refusal is not None:
            return refusal
        if stored is None:
            stored = self.executions[commit.workflow_id] = Stored()
        stored.version += 1
        stored.running = commit.running
        for name, value in commit.fields.items():
            if value is None:
                stored.fields.pop(name, None)
            else:
                stored.fields[name] = value
        if commit.history is not None:
            stored.history[commit.history_position] = commit.history
            stored.history.pop(commit.history_position - HISTORY_ROWS_LIMIT, None)
        if commit.idempotency is not None:
            stored.idempotency = (commit.idempotency.name, commit.idempotency.key)
            self._idempotency[stored.idempotency] = commit.workflow_id
        self.noted[commit.workflow_id] = stored.version
        self._put_due(commit)
        self.take_in(commit)
        for task_id, at_ms, text in commit.logs:
            self._put_logs(task_id, [(at_ms, text)])
        self._drop_outbox(partition_of(commit.workflow_id), commit.outbox_done)
        outbox = self._put_outbox(commit)
        return Committed(stored.version, outbox, self.watchers(commit.workflow_id))

    def _refusal(self, commit: Commit, stored: Stored | None) -> CommitResult | None:
        version = 0 if stored is None else stored.version
        if version != commit.version:
            fields = {} if stored is None else stored.fields
            return Conflict(version, {name: fields.get(name) for name in commit.read_on_conflict})
        if stored is not None:
            return None
        if self._tombstones.get(commit.workflow_id, 0) > self.now_ms():
            return Conflict(0, tombstoned=True)
        recorded = None if commit.idempotency is None else self._recorded(commit.idempotency)
        return None if recorded is None else Exists(recorded)

    def _recorded(self, key: Idempotency) -> str | None:
        recorded = self._idempotency.get((key.name, key.key))
        if recorded is None or key.strategy != "FAIL_ON_RUNNING":
            return recorded
        return recorded if self.executions[recorded].running else None

    async def recorded(self, workflow_id: str, key: Idempotency) -> str | None:
        del workflow_id
        self.check_open()
        return self._recorded(key)

    def _put_due(self, commit: Commit) -> None:
        due = self._due[partition_of(commit.workflow_id)]
        gone = set(commit.disarmed)
        if gone:
            for slot in [each for each in due if each[0] == commit.workflow_id]:
                if (slot[1], slot[2]) in gone:
                    del due[slot]
        for deadline in commit.armed:
            due[commit.workflow_id, deadline.task_id, deadline.kind] = deadline.at_ms

    def _put_outbox(self, commit: Commit) -> tuple[int, ...]:
        sequences: list[int] = []
        by_incarnation = self._outbox[partition_of(commit.workflow_id)]
        for effect in commit.outbox:
            self._sequence += 1
            entries = by_incarnation.setdefault(commit.incarnation, {})
            entries[self._sequence] = (commit.workflow_id, effect)
            sequences.append(self._sequence)
        return tuple(sequences)

    async def remove(
        self,
        workflow_id: str,
        version: int,
        tombstone_until_ms: int,
        *,
        archive: bytes | None = None,
    ) -> bool:
        self.check_open()
        stored = self.executions.get(workflow_id)
        if stored is None or stored.version != version:
            return False
        partition = partition_of(workflow_id)
        for entries in self._outbox[partition].values():
            if any(owner == workflow_id for owner, _ in entries.values()):
                return False
        if archive is not None:
            self._archive[workflow_id] = archive
        del self.executions[workflow_id]
        self.noted[workflow_id] = 0
        self._tombstones[workflow_id] = tombstone_until_ms
        if stored.idempotency and self._idempotency.get(stored.idempotency) == workflow_id:
            del self._idempotency[stored.idempotency]
        self.take_out(workflow_id)
        due = self._due[partition]
        for slot in [each for each in due if each[0] == workflow_id]:
            del due[slot]
        for task_id in [each for each in self._logs if each.startswith(f"{workflow_id}.")]:
            del self._logs[task_id]
        return True

    async def archived(self, workflow_id: str) -> bytes | None:
        self.check_open()
        return self._archive.get(workflow_id)

    async def remove_archived(self, workflow_id: str) -> bool:
        self.check_open()
        if self._archive.pop(workflow_id, None) is None:
            return False
        self.noted[workflow_id] = 0
        return True

    async def archived_after(self, after: str, limit: int) -> list[str]:
        self.check_open()
        return sorted(each for each in self._archive if each > after)[:limit]

    async def tombstone(self, workflow_id: str, until_ms: int) -> bool:
        self.check_open()
        if workflow_id in self.executions:
            return False
        self._tombstones[workflow_id] = until_ms
        return True

    async def history(self, workflow_id: str, after: int, limit: int) -> list[bytes]:
        self.check_open()
        stored = self.executions.get(workflow_id)
        rows = sorted(stored.history.items()) if stored is not None else []
        return [row for position, row in rows if position > after][:limit]

    async def scan(self, partition: int, after: str, limit: int) -> list[str]:
        self.check_open()
        found = [
            each for each in self.executions if each > after and partition_of(each) == partition
        ]
        return sorted(found)[:limit]

    # Outputs of tasks, kept for equal calls

    async def put_cached(self, name: str, value: bytes, *, at_ms: int, until_ms: int) -> None:
        self.check_open()
        present = self._cached.get(name)
        if present is None or present[0] <= at_ms:
            self._cached[name] = (at_ms, until_ms, value)

    async def cached(self, name: str, after_ms: int) -> bytes | None:
        self.check_open()
        at_ms, until_ms, value = self._cached.get(name, (0, 0, b""))
        return value if at_ms > after_ms and until_ms > self.now_ms() else None

    # Time, effects, members

    async def due(self, partitions: Sequence[int], until_ms: int, limit: int) -> list[DueEntry]:
        self.check_open()
        found = [
            (at_ms, slot)
            for partition in partitions
            for slot, at_ms in self._due[partition].items()
            if at_ms <= until_ms
        ]
        found.sort()
        return [
            DueEntry(workflow_id, Deadline(task_id, kind, at_ms))
            for at_ms, (workflow_id, task_id, kind) in found[:limit]
        ]

    async def outbox(self, partitions: Sequence[int], incarnation: str) -> list[OutboxEntry]:
        self.check_open()
        return [
            OutboxEntry(partition, incarnation, sequence, workflow_id, effect)
            for partition in partitions
            for sequence, (workflow_id, effect) in sorted(
                self._outbox[partition].get(incarnation, {}).items()
            )
        ]

    async def outbox_done(self, partition: int, incarnation: str, sequences: Sequence[int]) -> None:
        self.check_open()
        self._drop_outbox(partition, [(incarnation, each) for each in sequences])

    def _drop_outbox(self, partition: int, done: Sequence[tuple[str, int]]) -> None:
        for incarnation, sequence in done:
            self._outbox[partition].get(incarnation, {}).pop(sequence, None)

    async def heartbeat(self, incarnation: str, concerns: int | None = None) -> Heartbeat:
        self.check_open()
        now_ms = self.now_ms()
        self._members[incarnation] = now_ms
        for name in [each for each, kept in self._cached.items() if kept[1] <= now_ms]:
            del self._cached[name]
        self.forget_seen()
        return Heartbeat(now_ms, dict(self._members), self.told(incarnation, concerns))

    async def forget(self, incarnation: str, seen_ms: int | None = None) -> None:
        self.check_open()
        if seen_ms is not None and self._members.get(incarnation) != seen_ms:
            return
        self._members.pop(incarnation, None)
        self.forget_server(incarnation)

    # Definitions, logs

    async def put_definition(self, row: DefinitionRow, *, overwrite: bool) -> bool:
        self.check_open()
        name = (row.kind, row.name, row.version)
        if name in self._definitions and not overwrite:
            return False
        self._definitions[name] = row
        self._generation += row.kind not in UNCOUNTED
        return True

    async def get_definition(
        self, kind: str, name: str, version: int | None
    ) -> DefinitionRow | None:
        self.check_open()
        if version is not None:
            return self._definitions.get((kind, name, version))
        rows = [row for row in self._definitions.values() if (row.kind, row.name) == (kind, name)]
        return max(rows, key=lambda row: row.version, default=None)

    async def list_definitions(self, kind: str) -> list[DefinitionRow]:
        self.check_open()
        rows = [row for row in self._definitions.values() if row.kind == kind]
        return sorted(rows, key=lambda row: (row.name, row.version))

    async def delete_definition(self, kind: str, name: str, version: int) -> bool:
        self.check_open()
        gone = self._definitions.pop((kind, name, version), None) is not None
        self._generation += gone and kind not in UNCOUNTED
        return gone

    async def registry_generation(self) -> int:
        self.check_open()
        return self._generation

    async def add_logs(self, task_id: str, logs: Sequence[tuple[int, str]]) -> bool:
        self.check_open()
        if workflow_of(task_id) not in self.executions:
            return False
        self._put_logs(task_id, logs)
        return True

    def _put_logs(self, task_id: str, logs: Sequence[tuple[int, str]]) -> None:
        kept = self._logs.setdefault(task_id, [])
        kept.extend(logs)
        del kept[:-LOG_LINES_LIMIT]

    async def logs(self, task_id: str) -> list[tuple[int, str]]:
        self.check_open()
        return list(self._logs.get(task_id, []))

    # Looking, and the audit trail

    def beside(self, workflow_id: str, limit: int) -> tuple[list[Deadline], int]:
        partition = partition_of(workflow_id)
        due: list[tuple[int, str, DeadlineKind]] = [
            (at_ms, task_id, kind)
            for (owner, task_id, kind), at_ms in self._due[partition].items()
            if owner == workflow_id
        ]
        found = [Deadline(task_id, kind, at_ms) for at_ms, task_id, kind in sorted(due)]
        effects = [
            each for waiting in self._outbox[partition].values() for each in waiting.values()
        ]
        return found[: limit or None], sum(owner == workflow_id for owner, _ in effects)

    def due_owners(self, partition: int) -> set[str]:
        return {owner for owner, _, _ in self._due[partition]}

    async def page(self, workflow_id: str, after: str, limit: int) -> Page | None:
        self.check_open()
        stored = self.executions.get(workflow_id)
        if stored is None:
            return None
        names = sorted(each for each in stored.fields if each > after and each != HEADER_FIELD)
        some = {name: stored.fields[name] for name in names[:limit]}
        return Page(stored.version, some, names[limit - 1] if len(names) > limit else "")

    async def add_audit(self, entries: Sequence[AuditEntry]) -> None:
        self.check_open()
        self._audit.add(entries)

    async def audit(self, query: AuditQuery) -> list[AuditRow]:
        self.check_open()
        return self._audit.find(query)

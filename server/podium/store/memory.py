"""The memory store: the reference implementation of the port, for tests and the simulation.

Several servers may share one instance. Every verb does all its work without awaiting, so each is
atomic; nothing is durable.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podium.model.queue import Deadline
from podium.store.port import (
    HISTORY_ROWS_LIMIT,
    PARTITIONS,
    Capabilities,
    Committed,
    Conflict,
    DueEntry,
    Exists,
    Heartbeat,
    Loaded,
    OutboxEntry,
    partition_of,
)
from podium.store.queues import Queues

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from podium.model.queue import DeadlineKind, LeaseKind, Limits, Queue, Ready
    from podium.store.port import (
        Commit,
        CommitResult,
        DefinitionRow,
        Deliver,
        PushResult,
        Release,
        Settle,
        WantResult,
    )


class Stored:
    """One execution."""

    __slots__ = ("fields", "history", "idempotency", "running", "version", "watchers")

    def __init__(self) -> None:
        self.version = 0
        self.fields: dict[str, bytes] = {}
        self.history: dict[int, bytes] = {}
        self.running = True
        self.watchers: dict[str, None] = {}
        self.idempotency: tuple[str, str] | None = None


class Part:
    """The indexes of one partition."""

    __slots__ = ("due", "held", "outbox", "ready", "slots")

    def __init__(self) -> None:
        self.due: dict[tuple[str, str, DeadlineKind], int] = {}
        self.ready: dict[str, Ready] = {}
        self.slots: dict[str, Queue] = {}
        self.held: dict[str, dict[str, None]] = {}
        self.outbox: dict[str, dict[int, tuple[str, bytes]]] = {}


class MemoryStore:
    """See store/port.py. `now_ms` is the store's clock."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self.executions: dict[str, Stored] = {}
        self.parts = [Part() for _ in range(PARTITIONS)]
        self.queues = Queues()
        self._idempotency: dict[tuple[str, str], str] = {}
        self._tombstones: dict[str, int] = {}
        self._members: dict[str, int] = {}
        self._definitions: dict[tuple[str, str, int], DefinitionRow] = {}
        self._generation = 0
        self._sequence = 0
        self._logs: dict[str, list[tuple[int, str]]] = {}
        self._seen: dict[str, dict[tuple[str, str], int]] = {}
        self._subscribers: dict[str, Deliver] = {}

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(shared=True, durable=False)

    async def open(self) -> None:
        self.queues.rebuild(
            [each for part in self.parts for each in part.ready.values()],
            [each for part in self.parts for each in part.slots.items()],
        )

    async def close(self) -> None:
        self._subscribers.clear()

    # Executions

    async def load(self, workflow_id: str, names: Sequence[str] | None) -> Loaded | None:
        stored = self.executions.get(workflow_id)
        if stored is None:
            return None
        if names is None:
            return Loaded(stored.version, dict(stored.fields))
        return Loaded(stored.version, {name: stored.fields.get(name) for name in names})

    async def commit(self, commits: Sequence[Commit]) -> list[CommitResult]:
        return [self._commit(commit) for commit in commits]

    def _commit(self, commit: Commit) -> CommitResult:
        self._outbox_done(partition_of(commit.workflow_id), commit.outbox_done)
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
        outbox = self._index(commit, self.parts[partition_of(commit.workflow_id)])
        return Committed(stored.version, outbox, tuple(stored.watchers))

    def _refusal(self, commit: Commit, stored: Stored | None) -> CommitResult | None:
        version = 0 if stored is None else stored.version
        if version != commit.version:
            fields = {} if stored is None else stored.fields
            return Conflict(version, {name: fields.get(name) for name in commit.read_on_conflict})
        if stored is not None:
            return None
        if self._tombstones.get(commit.workflow_id, 0) > self._now_ms():
            return Conflict(0, tombstoned=True)
        if commit.idempotency is None:
            return None
        recorded = self._idempotency.get((commit.idempotency.name, commit.idempotency.key))
        former = None if recorded is None else self.executions.get(recorded)
        if recorded is None or former is None:
            return None
        if commit.idempotency.strategy == "FAIL_ON_RUNNING" and not former.running:
            return None
        return Exists(recorded)

    def _index(self, commit: Commit, part: Part) -> tuple[int, ...]:
        """The entries beside the execution: deadlines, ready, slots, held, outbox."""
        workflow_id = commit.workflow_id
        for task_id, kind in commit.disarmed:
            part.due.pop((workflow_id, task_id, kind), None)  # pyright: ignore[reportArgumentType, reportCallIssue] - kinds of the port are plain text
        for deadline in commit.armed:
            part.due[workflow_id, deadline.task_id, deadline.kind] = deadline.at_ms
        for task_id in commit.unready:
            part.ready.pop(task_id, None)
        for ready in commit.ready:
            part.ready[ready.task_id] = ready
        for task_id in commit.unslotted:
            part.slots.pop(task_id, None)
        part.slots.update(commit.slots)
        for incarnation, task_id in commit.unheld:
            part.held.get(incarnation, {}).pop(task_id, None)
        for incarnation, task_id in commit.held:
            part.held.setdefault(incarnation, {})[task_id] = None
        return self._put_outbox(commit, part)

    def _put_outbox(self, commit: Commit, part: Part) -> tuple[int, ...]:
        sequences: list[int] = []
        for effect in commit.outbox:
            self._sequence += 1
            entries = part.outbox.setdefault(commit.incarnation, {})
            entries[self._sequence] = (commit.workflow_id, effect)
            sequences.append(self._sequence)
        return tuple(sequences)

    async def remove(self, workflow_id: str, version: int, tombstone_until_ms: int) -> bool:
        stored = self.executions.get(workflow_id)
        if stored is None or stored.version != version:
            return False
        del self.executions[workflow_id]
        self._tombstones[workflow_id] = tombstone_until_ms
        if stored.idempotency and self._idempotency.get(stored.idempotency) == workflow_id:
            del self._idempotency[stored.idempotency]
        part = self.parts[partition_of(workflow_id)]
        prefix = f"{workflow_id}."
        for slot in [each for each in part.due if each[0] == workflow_id]:
            del part.due[slot]
        for index in (part.ready, part.slots, *part.held.values()):
            for task_id in [each for each in index if each.startswith(prefix)]:
                del index[task_id]
        for entries in part.outbox.values():
            for sequence in [each for each, (wf, _) in entries.items() if wf == workflow_id]:
                del entries[sequence]
        return True

    async def tombstone(self, workflow_id: str, until_ms: int) -> bool:
        if workflow_id in self.executions:
            return False
        self._tombstones[workflow_id] = until_ms
        return True

    async def history(self, workflow_id: str, after: int, limit: int) -> list[bytes]:
        stored = self.executions.get(workflow_id)
        rows = sorted(stored.history.items()) if stored is not None else []
        return [row for position, row in rows if position > after][:limit]

    async def scan(self, partition: int, after: str, limit: int) -> list[str]:
        found = [
            each for each in self.executions if each > after and partition_of(each) == partition
        ]
        return sorted(found)[:limit]

    # Queues

    async def push_assign(self, pushes: Sequence[Ready]) -> list[PushResult]:
        return [self.queues.push_assign(each, self._now_ms()) for each in pushes]

    async def want(
        self, server: str, queue: Queue, count: int, *, kind: LeaseKind, limits: Limits
    ) -> WantResult:
        return self.queues.want(
            server, queue, count, kind=kind, limits=limits, now_ms=self._now_ms()
        )

    async def settle(self, settles: Sequence[Settle]) -> None:
        for each in settles:
            self.queues.settle(each.task_id, each.queue, hold=each.hold)

    async def unclaim(self, task_id: str, queue: Queue) -> None:
        self.queues.unclaim(task_id, queue)

    async def release(self, releases: Sequence[Release]) -> list[PushResult | None]:
        now_ms = self._now_ms()
        return [
            self.queues.release(each.task_id, each.queue, each.limits, now_ms) for each in releases
        ]

    async def queue_size(self, queue: Queue) -> int:
        return self.queues.size(queue)

    async def poll_seen(self, queue: Queue, worker_id: str) -> None:
        seen = self._seen.setdefault(queue.task_type, {})
        seen[queue.domain, worker_id] = self._now_ms()

    async def poll_data(self, task_type: str) -> dict[tuple[str, str], int]:
        return dict(self._seen.get(task_type, {}))

    # Time, effects, members

    async def due(self, partitions: Sequence[int], until_ms: int, limit: int) -> list[DueEntry]:
        found = [
            (at_ms, slot)
            for partition in partitions
            for slot, at_ms in self.parts[partition].due.items()
            if at_ms <= until_ms
        ]
        found.sort()
        return [
            DueEntry(workflow_id, Deadline(task_id, kind, at_ms))
            for at_ms, (workflow_id, task_id, kind) in found[:limit]
        ]

    async def outbox(self, partitions: Sequence[int], incarnation: str) -> list[OutboxEntry]:
        return [
            OutboxEntry(partition, incarnation, sequence, workflow_id, effect)
            for partition in partitions
            for sequence, (workflow_id, effect) in sorted(
                self.parts[partition].outbox.get(incarnation, {}).items()
            )
        ]

    async def outbox_done(self, partition: int, incarnation: str, sequences: Sequence[int]) -> None:
        self._outbox_done(partition, [(incarnation, each) for each in sequences])

    def _outbox_done(self, partition: int, done: Sequence[tuple[str, int]]) -> None:
        for incarnation, sequence in done:
            self.parts[partition].outbox.get(incarnation, {}).pop(sequence, None)

    async def ready(self, partition: int) -> list[Ready]:
        return list(self.parts[partition].ready.values())

    async def slots(self, partition: int) -> list[tuple[str, Queue]]:
        return list(self.parts[partition].slots.items())

    async def held(self, partition: int, incarnation: str) -> list[str]:
        return list(self.parts[partition].held.get(incarnation, {}))

    async def heartbeat(self, incarnation: str) -> Heartbeat:
        now_ms = self._now_ms()
        self._members[incarnation] = now_ms
        return Heartbeat(now_ms, dict(self._members))

    async def forget(self, incarnation: str) -> None:
        self._members.pop(incarnation, None)
        self.queues.forget_server(incarnation)

    # Watchers, definitions, logs

    async def watch(self, workflow_id: str, server: str, *, on: bool) -> None:
        stored = self.executions.get(workflow_id)
        if stored is None:
            return
        if on:
            stored.watchers[server] = None
        else:
            stored.watchers.pop(server, None)

    async def put_definition(self, row: DefinitionRow, *, overwrite: bool) -> bool:
        name = (row.kind, row.name, row.version)
        if name in self._definitions and not overwrite:
            return False
        self._definitions[name] = row
        if row.kind != "bound":
            self._generation += 1
        return True

    async def get_definition(
        self, kind: str, name: str, version: int | None
    ) -> DefinitionRow | None:
        if version is not None:
            return self._definitions.get((kind, name, version))
        rows = [row for row in self._definitions.values() if (row.kind, row.name) == (kind, name)]
        return max(rows, key=lambda row: row.version, default=None)

    async def list_definitions(self, kind: str) -> list[DefinitionRow]:
        rows = [row for row in self._definitions.values() if row.kind == kind]
        return sorted(rows, key=lambda row: (row.name, row.version))

    async def delete_definition(self, kind: str, name: str, version: int) -> bool:
        gone = self._definitions.pop((kind, name, version), None) is not None
        self._generation += gone
        return gone

    async def registry_generation(self) -> int:
        return self._generation

    async def add_logs(self, task_id: str, logs: Sequence[tuple[int, str]]) -> None:
        self._logs.setdefault(task_id, []).extend(logs)

    async def logs(self, task_id: str) -> list[tuple[int, str]]:
        return list(self._logs.get(task_id, []))

    # Bus

    async def publish(self, server: str, message: bytes) -> None:
        deliver = self._subscribers.get(server)
        if deliver is not None:
            asyncio.get_running_loop().call_soon(deliver, message)

    def subscribe(self, server: str, deliver: Deliver | None) -> None:
        if deliver is None:
            self._subscribers.pop(server, None)
        else:
            self._subscribers[server] = deliver

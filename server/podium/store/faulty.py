"""A store that fails on purpose: wraps any other one, for the simulation and the conformance suite.

Each call may be refused before it happens, may happen and then fail (the answer is lost), or may
take its time before and after. What is drawn depends on the given chance alone, so a seed repeats a
run. Counts every fault by verb and kind. Adds no rule of its own.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import msgspec

from podium.store.port import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from podium.model.queue import LeaseKind, Limits, Queue, Ready
    from podium.store.audit import AuditEntry, AuditQuery, AuditRow
    from podium.store.inspection import Entries, Page, QueueState
    from podium.store.port import (
        Capabilities,
        Changed,
        Commit,
        CommitResult,
        DefinitionRow,
        Deliver,
        DueEntry,
        Heartbeat,
        Loaded,
        OutboxEntry,
        PushResult,
        Release,
        Settle,
        Store,
        WantResult,
    )
    from podium.store.port_starts import Idempotency
    from podium.store.queue_view import OutstandingCount, PendingTask, QueueCount, Rebuilt

T = TypeVar("T")


class FaultSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Probabilities in [0, 1] per call."""

    unavailable: float = 0.0
    """Fails before anything happened."""
    answer_lost: float = 0.0
    """Happens, then fails."""
    delay: float = 0.0
    """Waits up to `delay_ms_max`, before and (drawn again) after."""
    delay_ms_max: int = 50
    message_lost: float = 0.0
    message_doubled: float = 0.0


NO_FAULTS: Final = FaultSettings()


class Chance(Protocol):
    """A seeded source of numbers in [0, 1), as random.Random."""

    def random(self) -> float: ...


class FaultyStore:
    """See store/port.py. `settings` may be replaced at any time: NO_FAULTS heals it."""

    def __init__(
        self,
        store: Store,
        settings: FaultSettings,
        *,
        chance: Chance,
        sleep_ms: Callable[[int], Awaitable[None]],
    ) -> None:
        self.settings = settings
        self.counts: Counter[tuple[str, str]] = Counter()
        """(verb, kind) → times; kinds: unavailable, answer_lost, delay, message_lost, ..."""
        self._store: Final = store
        self._chance: Final = chance
        self._sleep_ms: Final = sleep_ms

    @property
    def capabilities(self) -> Capabilities:
        return self._store.capabilities

    @property
    def syncs(self) -> int:
        return self._store.syncs

    @property
    def unsuitable_nodes(self) -> int:
        return self._store.unsuitable_nodes

    async def _call(self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        await self._delay(verb)
        if self._happens(verb, "unavailable", self.settings.unavailable):
            raise StoreUnavailable(f"expected {verb} to reach the store, found a planted fault")
        result = await call()
        await self._delay(verb)
        if self._happens(verb, "answer_lost", self.settings.answer_lost):
            raise StoreUnavailable(f"expected the answer of {verb}, found a planted fault")
        return result

    async def _delay(self, verb: str) -> None:
        if self._happens(verb, "delay", self.settings.delay):
            await self._sleep_ms(int(self._chance.random() * (self.settings.delay_ms_max + 1)))

    def _happens(self, verb: str, kind: str, probability: float) -> bool:
        """A probability of zero draws nothing."""
        if probability <= 0.0 or self._chance.random() >= probability:
            return False
        self.counts[verb, kind] += 1
        return True

    async def open(self) -> None:
        await self._store.open()

    async def close(self) -> None:
        await self._store.close()

    # Executions

    async def load(self, workflow_id: str, names: Sequence[str] | None) -> Loaded | None:
        return await self._call("load", lambda: self._store.load(workflow_id, names))

    async def kept(self, workflow_id: str, version: int) -> bool:
        return await self._call("kept", lambda: self._store.kept(workflow_id, version))

    async def commit(self, commits: Sequence[Commit]) -> list[CommitResult]:
        return await self._call("commit", lambda: self._store.commit(commits))

    async def recorded(self, workflow_id: str, key: Idempotency) -> str | None:
        return await self._call("recorded", lambda: self._store.recorded(workflow_id, key))

    async def admit(self, task_id: str, queue: Queue, limits: Limits) -> bool:
        return await self._call("admit", lambda: self._store.admit(task_id, queue, limits))

    async def remove(
        self,
        workflow_id: str,
        version: int,
        tombstone_until_ms: int,
        *,
        archive: bytes | None = None,
    ) -> bool:
        return await self._call(
            "remove",
            lambda: self._store.remove(workflow_id, version, tombstone_until_ms, archive=archive),
        )

    async def archived(self, workflow_id: str) -> bytes | None:
        return await self._call("archived", lambda: self._store.archived(workflow_id))

    async def remove_archived(self, workflow_id: str) -> bool:
        return await self._call("remove_archived", lambda: self._store.remove_archived(workflow_id))

    async def tombstone(self, workflow_id: str, until_ms: int) -> bool:
        return await self._call("tombstone", lambda: self._store.tombstone(workflow_id, until_ms))

    async def history(self, workflow_id: str, after: int, limit: int) -> list[bytes]:
        return await self._call("history", lambda: self._store.history(workflow_id, after, limit))

    async def scan(self, partition: int, after: str, limit: int) -> list[str]:
        return await self._call("scan", lambda: self._store.scan(partition, after, limit))

    async def archived_after(self, after: str, limit: int) -> list[str]:
        return await self._call("archived_after", lambda: self._store.archived_after(after, limit))

    async def changed(self, partitions: Sequence[int], limit: int) -> list[Changed]:
        return await self._call("changed", lambda: self._store.changed(partitions, limit))

    async def indexed(self, changes: Sequence[Changed]) -> None:
        await self._call("indexed", lambda: self._store.indexed(changes))

    async def put_cached(self, name: str, value: bytes, *, at_ms: int, until_ms: int) -> None:
        await self._call(
            "put_cached",
            lambda: self._store.put_cached(name, value, at_ms=at_ms, until_ms=until_ms),
        )

    async def cached(self, name: str, after_ms: int) -> bytes | None:
        return await self._call("cached", lambda: self._store.cached(name, after_ms))

    # Queues

    async def push_assign(self, pushes: Sequence[Ready]) -> list[PushResult]:
        return await self._call("push_assign", lambda: self._store.push_assign(pushes))

    async def want(
        self, server: str, queue: Queue, count: int, *, kind: LeaseKind, limits: Limits
    ) -> WantResult:
        return await self._call(
            "want", lambda: self._store.want(server, queue, count, kind=kind, limits=limits)
        )

    async def settle(self, settles: Sequence[Settle]) -> None:
        await self._call("settle", lambda: self._store.settle(settles))

    async def unclaim(self, task_id: str, queue: Queue) -> None:
        await self._call("unclaim", lambda: self._store.unclaim(task_id, queue))

    async def set_aside(self, task_id: str, queue: Queue) -> None:
        await self._call("set_aside", lambda: self._store.set_aside(task_id, queue))

    async def leave(self, ended: Sequence[Ready]) -> None:
        await self._call("leave", lambda: self._store.leave(ended))

    async def release(self, releases: Sequence[Release]) -> list[PushResult | None]:
        return await self._call("release", lambda: self._store.release(releases))

    async def task_types(self) -> list[str]:
        return await self._call("task_types", self._store.task_types)

    async def queue_counts(self, task_type: str) -> list[QueueCount]:
        return await self._call("queue_counts", lambda: self._store.queue_counts(task_type))

    async def outstanding_counts(self) -> list[OutstandingCount]:
        return await self._call("outstanding_counts", self._store.outstanding_counts)

    async def pending(
        self, partition: int, task_type: str, after: str, limit: int
    ) -> list[PendingTask]:
        return await self._call(
            "pending", lambda: self._store.pending(partition, task_type, after, limit)
        )

    async def unqueued(self, partition: int, task_type: str) -> list[Ready]:
        return await self._call("unqueued", lambda: self._store.unqueued(partition, task_type))

    async def rebuild_queue(self, task_type: str) -> list[Rebuilt]:
        return await self._call("rebuild_queue", lambda: self._store.rebuild_queue(task_type))

    async def queue_size(self, queue: Queue) -> int:
        return await self._call("queue_size", lambda: self._store.queue_size(queue))

    async def poll_seen(self, queue: Queue, worker_id: str) -> None:
        await self._call("poll_seen", lambda: self._store.poll_seen(queue, worker_id))

    async def poll_data(self, task_type: str) -> dict[tuple[str, str], int]:
        return await self._call("poll_data", lambda: self._store.poll_data(task_type))

    # Time, effects, members

    async def due(self, partitions: Sequence[int], until_ms: int, limit: int) -> list[DueEntry]:
        return await self._call("due", lambda: self._store.due(partitions, until_ms, limit))

    async def outbox(self, partitions: Sequence[int], incarnation: str) -> list[OutboxEntry]:
        return await self._call("outbox", lambda: self._store.outbox(partitions, incarnation))

    async def outbox_done(self, partition: int, incarnation: str, sequences: Sequence[int]) -> None:
        await self._call(
            "outbox_done", lambda: self._store.outbox_done(partition, incarnation, sequences)
        )

    async def ready(self, partitions: Sequence[int]) -> list[Ready]:
        return await self._call("ready", lambda: self._store.ready(partitions))

    async def slots(self, partition: int) -> list[tuple[str, Queue]]:
        return await self._call("slots", lambda: self._store.slots(partition))

    async def held(self, partitions: Sequence[int], incarnation: str) -> list[str]:
        return await self._call("held", lambda: self._store.held(partitions, incarnation))

    async def holders(self, partitions: Sequence[int]) -> set[str]:
        return await self._call("holders", lambda: self._store.holders(partitions))

    async def heartbeat(self, incarnation: str, concerns: int | None = None) -> Heartbeat:
        return await self._call("heartbeat", lambda: self._store.heartbeat(incarnation, concerns))

    async def forget(self, incarnation: str, seen_ms: int | None = None) -> None:
        await self._call("forget", lambda: self._store.forget(incarnation, seen_ms))

    # Watchers, definitions, logs

    async def watch(self, workflow_id: str, server: str, *, on: bool) -> None:
        await self._call("watch", lambda: self._store.watch(workflow_id, server, on=on))

    async def put_definition(self, row: DefinitionRow, *, overwrite: bool) -> bool:
        return await self._call(
            "put_definition", lambda: self._store.put_definition(row, overwrite=overwrite)
        )

    async def get_definition(
        self, kind: str, name: str, version: int | None
    ) -> DefinitionRow | None:
        return await self._call(
            "get_definition", lambda: self._store.get_definition(kind, name, version)
        )

    async def list_definitions(self, kind: str) -> list[DefinitionRow]:
        return await self._call("list_definitions", lambda: self._store.list_definitions(kind))

    async def delete_definition(self, kind: str, name: str, version: int) -> bool:
        return await self._call(
            "delete_definition", lambda: self._store.delete_definition(kind, name, version)
        )

    async def registry_generation(self) -> int:
        return await self._call("registry_generation", self._store.registry_generation)

    async def add_logs(self, task_id: str, logs: Sequence[tuple[int, str]]) -> bool:
        return await self._call("add_logs", lambda: self._store.add_logs(task_id, logs))

    async def logs(self, task_id: str) -> list[tuple[int, str]]:
        return await self._call("logs", lambda: self._store.logs(task_id))

    # Looking, and the audit trail

    async def entries(self, workflow_id: str, limit: int) -> Entries:
        return await self._call("entries", lambda: self._store.entries(workflow_id, limit))

    async def page(self, workflow_id: str, after: str, limit: int) -> Page | None:
        return await self._call("page", lambda: self._store.page(workflow_id, after, limit))

    async def owners(self, partition: int) -> list[str]:
        return await self._call("owners", lambda: self._store.owners(partition))

    async def queue_state(self, queue: Queue, limits: Limits) -> QueueState:
        return await self._call("queue_state", lambda: self._store.queue_state(queue, limits))

    async def queued(self, tasks: Sequence[Ready]) -> list[bool]:
        return await self._call("queued", lambda: self._store.queued(tasks))

    async def add_audit(self, entries: Sequence[AuditEntry]) -> None:
        await self._call("add_audit", lambda: self._store.add_audit(entries))

    async def audit(self, query: AuditQuery) -> list[AuditRow]:
        return await self._call("audit", lambda: self._store.audit(query))

    # Bus

    async def publish(self, server: str, message: bytes) -> None:
        """A lost message is no error: the bus promises nothing."""
        if self._happens("publish", "message_lost", self.settings.message_lost):
            return
        await self._call("publish", lambda: self._store.publish(server, message))
        if self._happens("publish", "message_doubled", self.settings.message_doubled):
            await self._store.publish(server, message)

    def subscribe(self, server: str, deliver: Deliver | None) -> None:
        self._store.subscribe(server, deliver)

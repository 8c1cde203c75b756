"""The part of the store port that shows queues and mends them: counts, pending tasks, rebuilding.

For clients that ask and for operators; nothing here is on a task's way, but for `poll_seen`. The
rules of store/port.py hold. A queue is shown as it is at a moment: claims that ended are back in
their places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

import msgspec

from podium.model.queue import LeaseKind, Outstanding, Queue

if TYPE_CHECKING:
    from podium.model.queue import Ready

POLL_DATA_MS: Final = 24 * 3_600_000
"""Who asked for tasks is forgotten this long after the last time: names of workers come and go."""

PendingState: TypeAlias = Literal["ready", "leased", "delayed", "awaited"]


class Want(msgspec.Struct, frozen=True, array_like=True, order=True):
    """`count` tasks that a server waits for, by streams or by polls."""

    server: str
    kind: LeaseKind
    count: int


class QueueCount(msgspec.Struct, frozen=True, kw_only=True):
    """One queue. `oldest_ms` = when its oldest ready task became ready; 0 = none is ready."""

    queue: Queue
    ready: int = 0
    """In their places, limits aside."""
    claimed: int = 0
    """Handed to a server which stores the lease just now."""
    oldest_ms: int = 0
    wants: tuple[Want, ...] = ()


class OutstandingCount(msgspec.Struct, frozen=True):
    """How many tasks of a queue are outstanding in one way."""

    outstanding: Outstanding
    count: int


class PendingTask(msgspec.Struct, frozen=True):
    """A task of a queue that has not ended."""

    task_id: str
    queue: Queue
    state: PendingState


class Rebuilt(msgspec.Struct, frozen=True):
    """Tasks in a queue, claimed ones included, before and after it was made anew."""

    queue: Queue
    before: int
    after: int


class QueueView(Protocol):
    """Names, counts, repairs."""

    async def task_types(self) -> list[str]:
        """Types with a pending task, a wish or poll data, in order; perhaps others that had one."""
        ...

    async def queue_counts(self, task_type: str) -> list[QueueCount]:
        """Of each domain in which something is queued or waited for, in order."""
        ...

    async def outstanding_counts(self) -> list[OutstandingCount]:
        """Of all queues, in no order."""
        ...

    async def pending(
        self, partition: int, task_type: str, after: str, limit: int
    ) -> list[PendingTask]:
        """Pending tasks of a type in one partition with ids > after, in order of ids."""
        ...

    async def unqueued(self, partition: int, task_type: str) -> list[Ready]:
        """Ready tasks of the partition that are neither in their queue nor claimed: push them."""
        ...

    async def rebuild_queue(self, task_type: str) -> list[Rebuilt]:
        """Make the queues of a type anew from the ready entries of all partitions. Claims and
        wishes stay; nothing is handed out. A task that becomes ready meanwhile is not lost.
        """
        ...

    async def queue_size(self, queue: Queue) -> int:
        """Ready and claimed tasks."""
        ...

    async def poll_seen(self, queue: Queue, worker_id: str) -> None:
        """Note that a worker asked for this queue now (poll data)."""
        ...

    async def poll_data(self, task_type: str) -> dict[tuple[str, str], int]:
        """(domain, worker) → store ms last seen, of the last POLL_DATA_MS."""
        ...

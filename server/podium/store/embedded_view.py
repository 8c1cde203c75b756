"""What the memory and sqlite stores hold of tasks and queues, and how they show it (queue_view.py).

`parts` are the truth about tasks, mirrored from what is stored; `queues` are made from it.
"""

from __future__ import annotations

from collections import Counter
from heapq import nsmallest
from typing import TYPE_CHECKING, Final, TypeVar

from podium.store.port import PARTITIONS, StoreClosed
from podium.store.queue_state import counts_of, is_queued, places_of
from podium.store.queue_view import POLL_DATA_MS, OutstandingCount, PendingTask, Rebuilt
from podium.store.queues import Queues

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from podium.model.queue import Outstanding, Queue, Ready
    from podium.store.queue_view import QueueCount

Counted = TypeVar("Counted")


class Part:
    """The truth about one partition's tasks."""

    __slots__ = ("held", "outstanding", "ready", "slots")

    def __init__(self) -> None:
        self.ready: dict[str, Ready] = {}
        self.slots: dict[str, Queue] = {}
        self.held: dict[str, dict[str, None]] = {}
        self.outstanding: dict[str, Outstanding] = {}

    def pending(self, task_type: str) -> Iterator[PendingTask]:
        """Tasks of the type that have not ended, in no order."""
        for task_id, ready in self.ready.items():
            if ready.queue.task_type == task_type:
                yield PendingTask(task_id, ready.queue, "ready")
        for task_id, each in self.outstanding.items():
            if each.queue.task_type == task_type:
                yield PendingTask(task_id, each.queue, each.state)


class EmbeddedView:
    """Base of the stores that one process holds. `now_ms` is the store's clock."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.now_ms: Final = now_ms
        self.parts: list[Part] = [Part() for _ in range(PARTITIONS)]
        self.queues: Final = Queues()
        self.ready_counts: Counter[Queue] = Counter()
        self.outstanding: Counter[Outstanding] = Counter()
        self.seen: dict[str, dict[tuple[str, str], int]] = {}
        """Poll data: task type → (domain, worker) → store ms."""
        self._open = False

    def count(self) -> None:
        """Count anew what the parts hold."""
        self.ready_counts.clear()
        self.outstanding.clear()
        for part in self.parts:
            self.ready_counts.update(each.queue for each in part.ready.values())
            self.outstanding.update(part.outstanding.values())

    def check_open(self) -> None:
        if not self._open:
            raise StoreClosed("expected an open store, found it closed: call open() first")

    async def task_types(self) -> list[str]:
        self.check_open()
        found = {*self.queues.types(), *(name for name in self.seen if self._seen_in(name))}
        found.update(queue.task_type for queue in self.ready_counts)
        found.update(each.queue.task_type for each in self.outstanding)
        return sorted(found)

    async def queue_counts(self, task_type: str) -> list[QueueCount]:
        self.check_open()
        return counts_of(self.queues, task_type, self.now_ms())

    async def outstanding_counts(self) -> list[OutstandingCount]:
        self.check_open()
        return [OutstandingCount(each, count) for each, count in self.outstanding.items()]

    async def pending(
        self, partition: int, task_type: str, after: str, limit: int
    ) -> list[PendingTask]:
        self.check_open()
        found = self.parts[partition].pending(task_type)
        return nsmallest(
            limit, (each for each in found if each.task_id > after), key=lambda each: each.task_id
        )

    async def unqueued(self, partition: int, task_type: str) -> list[Ready]:
        self.check_open()
        return [
            each
            for each in self.parts[partition].ready.values()
            if each.queue.task_type == task_type
            and not is_queued(self.queues, each.task_id, each.queue)
        ]

    async def rebuild_queue(self, task_type: str) -> list[Rebuilt]:
        self.check_open()
        ready = {
            each.task_id: each
            for part in self.parts
            for each in part.ready.values()
            if each.queue.task_type == task_type
        }
        before = self._sizes(task_type)
        for task_id, queue in places_of(self.queues, task_type):
            if task_id not in ready or ready[task_id].queue != queue:
                self.queues.drop(task_id, queue)
        of = self.queues.find(task_type)
        for each in ready.values():
            if of is None or each.task_id not in of.flights:
                self.queues.place(each)
        after = self._sizes(task_type)
        return [
            Rebuilt(queue, before.get(queue, 0), after.get(queue, 0))
            for queue in sorted({*before, *after}, key=lambda each: each.domain)
        ]

    def _sizes(self, task_type: str) -> dict[Queue, int]:
        counts = counts_of(self.queues, task_type, self.now_ms())
        return {each.queue: each.ready + each.claimed for each in counts}

    async def queue_size(self, queue: Queue) -> int:
        self.check_open()
        return self.queues.size(queue)

    async def poll_seen(self, queue: Queue, worker_id: str) -> None:
        self.check_open()
        self.seen.setdefault(queue.task_type, {})[queue.domain, worker_id] = self.now_ms()

    async def poll_data(self, task_type: str) -> dict[tuple[str, str], int]:
        self.check_open()
        return self._seen_in(task_type)

    def _seen_in(self, task_type: str) -> dict[tuple[str, str], int]:
        """Poll data that counts."""
        since_ms = self.now_ms() - POLL_DATA_MS
        seen = self.seen.get(task_type, {})
        return {name: at_ms for name, at_ms in seen.items() if at_ms > since_ms}

    def forget_seen(self) -> None:
        """Drop the poll data that counts no more."""
        for task_type in list(self.seen):
            self.seen[task_type] = self._seen_in(task_type)
            if not self.seen[task_type]:
                del self.seen[task_type]


def discount(counter: Counter[Counted], each: Counted) -> None:
    """One less; what is not there any more is not kept."""
    counter[each] -= 1
    if counter[each] <= 0:
        del counter[each]

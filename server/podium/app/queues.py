"""Queues as clients and operators see them, and what mends them.

What waits is counted by the store: in the queues (a cache), and in the entries of tasks that are
leased or behind a delay (the truth). Queues of gates, in which executions wait, are not shown.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from podium.app.failure import RequestUnsound
from podium.app.names import bounded_text, require_name
from podium.app.page import require_page_size, require_token, token_of
from podium.model.queue import GATES, Limits, Outstanding, Queue
from podium.store.port import PARTITIONS
from podium.store.queue_view import QueueCount

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium.app.services import Services
    from podium.store.queue_view import Rebuilt

SIZES_MAX: Final = 1_000
"""Task types that one call may ask for."""

Outstandings = Counter[Outstanding]


class QueueReport(msgspec.Struct, frozen=True, kw_only=True):
    """One queue at this moment."""

    count: QueueCount
    leased: int
    delayed: int
    awaited: int
    limits: Limits
    oldest_ready_ms: int
    """For how long its oldest ready task has been ready; 0 = none is."""

    @property
    def waiting(self) -> int:
        """Tasks that no worker has yet (S-558)."""
        return self.count.ready + self.count.claimed + self.delayed


class PollerReport(msgspec.Struct, frozen=True):
    """A worker that asked for tasks of a queue, and when it did last (epoch ms)."""

    queue: Queue
    worker_id: str
    seen_ms: int


class QueuePage(msgspec.Struct, frozen=True):
    """`next_token` "" = the last page."""

    queues: list[QueueReport]
    next_token: str


class TaskQueues:
    """Looks at queues and mends them. All may raise StoreError."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def sizes(self, task_types: Iterable[str]) -> dict[str, int]:
        """Waiting tasks by type, of the queues without a domain. Raises RequestUnsound."""
        wanted = dict.fromkeys(task_types)
        if len(wanted) > SIZES_MAX:
            raise RequestUnsound(
                f"task_types: expected at most {SIZES_MAX} names, found {len(wanted)}"
            )
        for index, name in enumerate(wanted):
            require_name(f"task_types[{index}]", name)
        delayed = await self._outstanding()
        return {
            name: await self._services.store.queue_size(Queue(name))
            + delayed[Outstanding(Queue(name), "delayed")]
            for name in wanted
        }

    async def all(self) -> list[QueueReport]:
        """Every queue."""
        outstanding = await self._outstanding()
        return [
            report
            for task_type in await self._types("")
            for report in await self._of(task_type, outstanding)
        ]

    async def page(self, task_type: str, domain: str | None, *, size: int, token: str) -> QueuePage:
        """Queues in the order of their names, of one type or of all ("" and None = all).

        Raises RequestUnsound.
        """
        bounded_text("domain", domain or "")
        size, after = require_page_size(size), require_token(token)
        types = [each for each in await self._types(task_type) if each > after]
        outstanding = await self._outstanding()
        found: list[QueueReport] = []
        for index, each in enumerate(types):
            reports = await self._of(each, outstanding)
            found += [one for one in reports if domain in (None, one.count.queue.domain)]
            if len(found) >= size and index + 1 < len(types):
                return QueuePage(found, token_of(each))
        return QueuePage(found, "")

    async def pollers(self, task_type: str) -> list[PollerReport]:
        """Of one type or of all (S-570). Raises RequestUnsound."""
        found: list[PollerReport] = []
        for each in await self._types(task_type):
            seen = await self._services.store.poll_data(each)
            found += [
                PollerReport(Queue(each, domain), worker_id, at_ms)
                for (domain, worker_id), at_ms in sorted(seen.items())
            ]
        return found

    async def requeue(self, task_type: str) -> int:
        """Push what is ready and missing in its queue, of one type or of all; how much that was.

        Raises RequestUnsound.
        """
        pushed = 0
        for each in await self._types(task_type):
            pushed += await self._push_missing(each)
        return pushed

    async def rebuild(self, task_type: str) -> list[Rebuilt]:
        """Make queues anew, of one type or of all; then hand out. Raises RequestUnsound."""
        rebuilt: list[Rebuilt] = []
        for each in await self._types(task_type):
            rebuilt += await self._services.store.rebuild_queue(each)
            await self._wake(each)
        return rebuilt

    async def _push_missing(self, task_type: str) -> int:
        pushed = 0
        for partition in range(PARTITIONS):
            missing = await self._services.store.unqueued(partition, task_type)
            if missing:
                self._services.runtime.dispatcher.push(missing)
                pushed += len(missing)
            await self._services.clock.sleep(0)  # a large store is not to hold the loop
        return pushed

    async def _wake(self, task_type: str) -> None:
        """Servers that wait although something is ready ask again."""
        for count in await self._services.store.queue_counts(task_type):
            for want in count.wants if count.ready else ():
                self._services.runtime.dispatcher.bus.backlog(want.server, count.queue)

    async def _types(self, task_type: str) -> list[str]:
        """The one that is named, or all, in order. Raises RequestUnsound."""
        if task_type:
            return [require_name("task_type", task_type)]
        found = await self._services.store.task_types()
        return [each for each in found if not each.startswith(GATES)]

    async def _outstanding(self) -> Outstandings:
        counts = await self._services.store.outstanding_counts()
        return Counter({each.outstanding: each.count for each in counts})

    async def _of(self, task_type: str, outstanding: Outstandings) -> list[QueueReport]:
        """The queues of one type: those in which something is, and those that workers ask for."""
        store = self._services.store
        counts = {each.queue: each for each in await store.queue_counts(task_type)}
        seen = {Queue(task_type, domain) for domain, _ in await store.poll_data(task_type)}
        busy = {each.queue for each in outstanding if each.queue.task_type == task_type}
        limits = await self._services.registry.limits(task_type)
        queues = sorted({*counts, *seen, *busy}, key=lambda queue: queue.domain)
        return [
            self._report(counts.get(queue, QueueCount(queue=queue)), outstanding, limits)
            for queue in queues
        ]

    def _report(self, count: QueueCount, outstanding: Outstandings, limits: Limits) -> QueueReport:
        age_ms = self._services.clock.now_ms() - count.oldest_ms
        return QueueReport(
            count=count,
            leased=outstanding[Outstanding(count.queue, "leased")],
            delayed=outstanding[Outstanding(count.queue, "delayed")],
            awaited=outstanding[Outstanding(count.queue, "awaited")],
            limits=limits,
            oldest_ready_ms=max(age_ms, 0) if count.oldest_ms else 0,
        )

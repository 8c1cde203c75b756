"""Parked long polls: a poll is a worker with credit for as long as its call is open.

It answers at the first task. A poll lease is bounded by the task's response timeout alone, since
the old protocol has no acknowledgement; a call that was cancelled gives its tasks back at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from podium.runtime.gates import is_gate
from podium.store.port import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.model.execution import ExecutionHeader, TaskRecord
    from podium.model.queue import LeaseKind, Queue
    from podium.runtime.clock import Clock
    from podium.runtime.dispatcher import Dispatcher
    from podium.runtime.leases import Leases
    from podium.store.port import Store

ACTIVE_MS: Final = 10_000
SEEN_EVERY_MS: Final = 2_000
SEEN_MAX: Final = 10_000

Polled = tuple["TaskRecord", "ExecutionHeader"]


class Poll:
    """One open call; see dispatcher.Worker."""

    kind: LeaseKind = "poll"

    def __init__(self, session: str, queue: Queue, worker_id: str, count: int) -> None:
        self.session = session
        self.worker_id = worker_id
        self._queue = queue
        self._free = count
        self.tasks: list[Polled] = []
        self.first = asyncio.Event()
        self.closed = False
        self.abandoned: Leases | None = None
        """Set when the caller is gone: a grant that was still being stored goes back at once."""
        self.reserved = 0
        self.settled = asyncio.Event()
        self.settled.set()

    def credit(self, queue: Queue) -> int:
        return self._free if queue == self._queue and not self.closed else 0

    def reserve(self, queue: Queue) -> None:
        assert queue == self._queue, (queue, self._queue)
        self._free -= 1
        self.reserved += 1
        self.settled.clear()

    def unreserve(self, queue: Queue) -> None:
        assert queue == self._queue, (queue, self._queue)
        self._free += 1
        self._one_settled()

    def give(self, task: TaskRecord, header: ExecutionHeader) -> None:
        self._one_settled()
        if self.abandoned is not None:
            self.abandoned.give_up(task.id, task.lease_epoch)
            return
        self.tasks.append((task, header))
        self.first.set()

    def _one_settled(self) -> None:
        self.reserved -= 1
        if self.reserved == 0:
            self.settled.set()


class PollDesk:
    """Serves Poll and BatchPoll."""

    def __init__(
        self, *, dispatcher: Dispatcher, leases: Leases, store: Store, clock: Clock
    ) -> None:
        self._dispatcher = dispatcher
        self._leases = leases
        self._store = store
        self._clock = clock
        self._serial = 0
        self._seen: dict[tuple[Queue, str], int] = {}
        self._open: set[Poll] = set()
        self.stopping = False
        self.refused_count = 0
        """Polls that were answered empty at once because too many are parked."""

    @property
    def parked_count(self) -> int:
        return len(self._open)

    async def poll(self, queue: Queue, worker_id: str, count: int, timeout_ms: int) -> list[Polled]:
        """Up to `count` tasks; parks until the first one comes, at most timeout_ms."""
        assert count > 0, count
        if self.stopping:
            return []
        await self._note_seen(queue, worker_id)
        self._serial += 1
        poll = Poll(f"poll-{self._serial}", queue, worker_id, count)
        self._open.add(poll)
        self._dispatcher.add(poll, (queue,))
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await poll.first.wait()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            self._abandon(poll, queue)
            raise
        try:
            await self._close(poll, queue)
        except asyncio.CancelledError:
            self._abandon(poll, queue)
            raise
        return poll.tasks

    def give_back(self, tasks: Sequence[Polled]) -> None:
        """The caller is gone: its tasks are ready again at once."""
        for task, _ in tasks:
            self._leases.give_up(task.id, task.lease_epoch)

    def stop(self) -> None:
        """Answer every parked call now."""
        self.stopping = True
        for poll in self._open:
            poll.first.set()

    async def _close(self, poll: Poll, queue: Queue) -> None:
        """Take no more; a grant that is being stored for this call still belongs to it."""
        poll.closed = True
        self._dispatcher.remove(poll, (queue,))
        await poll.settled.wait()
        self._open.discard(poll)

    def _abandon(self, poll: Poll, queue: Queue) -> None:
        poll.closed = True
        self._dispatcher.remove(poll, (queue,))
        self._open.discard(poll)
        self.give_back(poll.tasks)
        poll.abandoned = self._leases

    async def note_workers(self) -> None:
        """Poll data of who waits here, one worker for each queue; called with each heartbeat. Gates
        have no workers: their queues come and go, and nothing would remove what is noted of them.
        """
        for state in self._dispatcher.known():
            if state.workers and not is_gate(state.queue):
                await self._note_seen(state.queue, state.workers[0].worker_id)

    async def active_domains(self, task_type: str) -> frozenset[str]:
        """Domains whose workers are here, or polled somewhere within ACTIVE_MS (S-566).

        Raises StoreError.
        """
        since_ms = self._clock.now_ms() - ACTIVE_MS
        seen = await self._store.poll_data(task_type)
        found = {domain for (domain, _), at_ms in seen.items() if at_ms >= since_ms}
        for state in self._dispatcher.known():
            if state.workers and state.queue.task_type == task_type:
                found.add(state.queue.domain)
        return frozenset(found)

    async def _note_seen(self, queue: Queue, worker_id: str) -> None:
        """Poll data, written at most every SEEN_EVERY_MS per queue and worker."""
        now_ms = self._clock.now_ms()
        if now_ms - self._seen.get((queue, worker_id), 0) < SEEN_EVERY_MS:
            return
        if len(self._seen) > SEEN_MAX:
            self._seen.clear()
        self._seen[queue, worker_id] = now_ms
        try:
            await self._store.poll_seen(queue, worker_id)
        except StoreError:
            del self._seen[queue, worker_id]

"""Granting gates: who takes from the queues where limited executions wait (S-047, engine/gate.py).

For each such queue that holds anybody a doorman stands in the dispatcher as a worker whose credit
comes back at once, so what is handed out is bounded by the queue's limit alone. He comes when the
queue says that nobody waits there, which it does after a restart as well, and goes when it is
empty. His lease is of the kind "poll", which no death of a server ends: a slot is its execution's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from podium.model.queue import GATES, Limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium.model.execution import ExecutionHeader, TaskRecord
    from podium.model.queue import LeaseKind, Queue
    from podium.runtime.seats import Limiter, QueueState, Worker

CREDIT: Final = 64
"""Grants of one queue that may be under way at once."""
STRICTEST: Final = Limits(1)


def is_gate(queue: Queue) -> bool:
    """Whether executions wait in it, not tasks."""
    return queue.task_type.startswith(GATES)


class Desk(Protocol):
    """What is asked of the dispatcher."""

    def add(self, worker: Worker, queues: Iterable[Queue]) -> None: ...

    def remove(self, worker: Worker, queues: Iterable[Queue]) -> None: ...

    def credit_changed(self, queue: Queue) -> None: ...


class Doorman:
    """See seats.Worker."""

    kind: LeaseKind = "poll"
    session = "gate"
    worker_id = "gate"

    def __init__(self, queue: Queue, desk: Desk) -> None:
        self._queue = queue
        self._desk = desk
        self._free = CREDIT

    def credit(self, queue: Queue) -> int:
        assert queue == self._queue, (queue, self._queue)
        return self._free

    def reserve(self, queue: Queue) -> None:
        assert queue == self._queue, (queue, self._queue)
        self._free -= 1

    def unreserve(self, queue: Queue) -> None:
        assert queue == self._queue, (queue, self._queue)
        self._free += 1

    def give(self, task: TaskRecord, header: ExecutionHeader) -> None:
        """The execution has gone on by itself."""
        del task, header
        self._free += 1
        self._desk.credit_changed(self._queue)


class Gates:
    """The doormen of this server; also tells the limits of queues, those of tasks by `limiter`."""

    def __init__(self, limiter: Limiter, desk: Desk) -> None:
        self._limiter = limiter
        self._desk = desk
        self._doormen: dict[str, Doorman] = {}

    async def limits(self, state: QueueState) -> Limits:
        """Of a gate: as said by who was pushed or ended last."""
        if not is_gate(state.queue):
            return await self._limiter.limits(state.queue.task_type)
        return state.limits if state.limits.limited else STRICTEST

    def waited_for(self, state: QueueState, limits: Limits) -> bool:
        """Something may wait in this queue and nobody for it; whether it is that of a gate."""
        queue = state.queue
        if not is_gate(queue):
            return False
        if limits.limited:
            state.limits = limits
        if queue.task_type not in self._doormen:
            doorman = self._doormen[queue.task_type] = Doorman(queue, self._desk)
            self._desk.add(doorman, (queue,))
        return True

    def empty(self, queue: Queue) -> None:
        """Nothing waits in this queue any more."""
        doorman = self._doormen.pop(queue.task_type, None)
        if doorman is not None:
            self._desk.remove(doorman, (queue,))

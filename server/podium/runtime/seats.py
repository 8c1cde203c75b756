"""Workers with credit, as the dispatcher sees them: who waits at a queue, reserved credits."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from podium.engine.command import Outcome, Verdict
from podium.model.execution import Lease
from podium.model.queue import UNLIMITED

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from podium.model.execution import ExecutionHeader, TaskRecord
    from podium.model.queue import LeaseKind, Limits, Queue
    from podium.runtime.progress import Progress


class Worker(Protocol):
    """Somebody with credit: a stream, a parked poll, or a task of the server itself."""

    @property
    def session(self) -> str: ...

    @property
    def worker_id(self) -> str: ...

    @property
    def kind(self) -> LeaseKind: ...

    def credit(self, queue: Queue) -> int:
        """Tasks of this queue that it would take now."""
        ...

    def reserve(self, queue: Queue) -> None: ...

    def unreserve(self, queue: Queue) -> None: ...

    def give(self, task: TaskRecord, header: ExecutionHeader) -> None:
        """A durable lease of this worker: hand the task out (its credit was reserved)."""
        ...


class Limiter(Protocol):
    """Admission limits by task type, from its registered definition."""

    async def limits(self, task_type: str) -> Limits: ...


class Bus(Protocol):
    """Messages to other servers."""

    def assigned(self, server: str, task: TaskRecord, header: ExecutionHeader) -> None: ...

    def backlog(self, server: str, queue: Queue) -> None:
        """That server's wish was used up without a task: it should ask again."""
        ...


class QueueState:
    """What this server knows of one queue."""

    __slots__ = (
        "asking",
        "backlog",
        "empty",
        "limits",
        "queue",
        "resting",
        "retry",
        "retry_ms",
        "stale",
        "told",
        "workers",
    )

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.limits: Limits = UNLIMITED
        """Of a gate's queue; of others the limiter knows them."""
        self.workers: deque[Worker] = deque()
        self.backlog = False
        self.told: dict[LeaseKind, int] = {"stream": 0, "poll": 0}
        self.asking = False
        self.empty = False
        """When it was asked last, nothing was in it, not even what others claimed."""
        self.stale = False
        """A limit or somebody's claim has ended: ask although a wish is noted."""
        self.resting = False
        """The store did not answer: not asked before `retry` says so."""
        self.retry: asyncio.TimerHandle | None = None
        self.retry_ms = 0

    def take(self, kind: LeaseKind | None = None) -> Worker | None:
        """The next worker in turn that has credit."""
        for _ in range(len(self.workers)):
            worker = self.workers[0]
            self.workers.rotate(-1)
            if (kind is None or worker.kind == kind) and worker.credit(self.queue) > 0:
                return worker
        return None

    @property
    def idle(self) -> bool:
        """Nothing is known of the queue that a new one would not know."""
        busy = self.workers or self.backlog or self.asking or self.retry is not None
        return not busy and not any(self.told.values())

    def should_be_asked(self, kind: LeaseKind) -> bool:
        """Whether there is credit and something to gain by asking for it."""
        cause = self.backlog or self.stale or self.told[kind] == 0
        return cause and self.has_credit(kind)

    def is_outdated(self, kind: LeaseKind) -> bool:
        """Whether a wish is noted for which there is no credit any more."""
        return self.told[kind] > 0 and not self.has_credit(kind)

    def used(self, kind: LeaseKind) -> bool:
        """A wish came true; True where none is left."""
        self.told[kind] = max(self.told[kind] - 1, 0)
        return not self.told[kind]

    def has_credit(self, kind: LeaseKind) -> bool:
        """Whether any worker of this kind would take a task."""
        for worker in self.workers:  # noqa: SIM110 - asked at each result: `any` costs thrice
            if worker.kind == kind and worker.credit(self.queue) > 0:
                return True
        return False


class Floor(Protocol):
    """Where the seats stand (runtime/dispatcher.py)."""

    progress: Progress

    def credit_changed(self, queue: Queue) -> None: ...


class WorkerSeat:
    """A reserved credit; see executor.Seat."""

    __slots__ = ("_floor", "_queue", "lease", "worker")

    def __init__(self, floor: Floor, incarnation: str, queue: Queue, worker: Worker) -> None:
        self._floor = floor
        self._queue = queue
        self.worker = worker
        self.lease = Lease(incarnation=incarnation, session="", kind=worker.kind)
        worker.reserve(queue)

    @property
    def worker_id(self) -> str:
        return self.worker.worker_id

    def give(self, task: TaskRecord, header: ExecutionHeader) -> None:
        self._floor.progress.handed_out(task, self.lease.kind)
        self.worker.give(task, header)

    def give_back(self) -> None:
        self.unreserve()
        self._floor.credit_changed(self._queue)

    def unreserve(self) -> None:
        self.worker.unreserve(self._queue)


def free(seats: Sequence[WorkerSeat]) -> None:
    """Give back credits that were reserved to ask for tasks; who asked knows of it."""
    for seat in seats:
        seat.unreserve()


def granted(outcome: Outcome | Exception) -> TaskRecord | None:
    """The leased task, or None where the grant was refused."""
    if isinstance(outcome, Outcome) and outcome.verdict is Verdict.OK:
        return outcome.task
    return None

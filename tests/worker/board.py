"""A tiny runtime for tests of the stream: tasks, credits and leases in memory.

`dispatcher` and `leases` stand where the real ones stand; the rules are the contract's
(worker.proto).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from podium.model.execution import ExecutionHeader, TaskRecord, TaskStatus, WorkflowStatus
from podium.model.payload import Payload
from podium.model.queue import Queue
from podium.protocol.frame import LeaseName, ResultVerdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from podium.protocol.frame import Result, WorkerFrame
    from podium.runtime.dispatcher import Worker
    from podium.runtime.leases import LeaseHolder

HEADER = ExecutionHeader(
    id="wf-1",
    name="flow",
    version=3,
    digest="d",
    status=WorkflowStatus.RUNNING,
    created_ms=1,
    updated_ms=1,
    priority=7,
    correlation_id="order-1",
)


class Job:
    """One task: where it is, and what became of it."""

    def __init__(self, record: TaskRecord, queue: Queue) -> None:
        self.record = record
        self.queue = queue
        self.epoch = 0
        self.holder: LeaseHolder | None = None
        self.leased = False
        self.result: Result | None = None
        self.closed_epoch = 0
        self.done = asyncio.Event()
        self.handed = asyncio.Event()

    @property
    def lease(self) -> LeaseName:
        return LeaseName(self.record.id, self.epoch)


class Board:
    """What both desks know; see `dispatcher` and `leases`."""

    def __init__(self, *, grace_ms: int = 5_000) -> None:
        self.jobs: dict[str, Job] = {}
        self.workers: list[tuple[Worker, tuple[Queue, ...]]] = []
        self.grace_ms = grace_ms
        self.holding_replies = False
        self.held_replies: list[Callable[[], None]] = []
        self.replies_held = asyncio.Event()
        self.logged: list[tuple[str, str]] = []
        self.extended: list[LeaseName] = []
        self.arrived: list[LeaseName] = []
        self.verdicts: list[ResultVerdict] = []
        self.lost_count = 0
        self.resumed_count = 0
        self.dispatcher = Dispatcher(self)
        self.leases = Leases(self)
        self._changed = asyncio.Event()

    # What the test does

    def tell(self) -> None:
        """Something happened: those who wait look again."""
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition on board, hosts or service holds."""
        while not condition():
            await self._changed.wait()
            self._changed.clear()

    def put(
        self,
        task_type: str,
        value: dict[str, object] | None = None,
        domain: str = "",
        **fields: object,
    ) -> Job:
        number = len(self.jobs) + 1
        queue = Queue(task_type, domain)
        record = TaskRecord(
            id=f"wf-1.key{number}.0",
            key=f"key{number}",
            attempt=0,
            seq=number,
            ref=f"ref_{number}",
            node=0,
            task_type="SIMPLE",
            def_name=task_type,
            status=TaskStatus.SCHEDULED,
            queue=queue,
            input=Payload.of(value or {}),  # pyright: ignore[reportArgumentType]
            response_timeout_ms=60_000,
        )
        record = msgspec.structs.replace(record, **fields)
        job = self.jobs[record.id] = Job(record, queue)
        self.pump()
        return job

    def cancel(self, job: Job, reason: str) -> None:
        job.result = None
        job.closed_epoch = -1
        if job.holder is not None:
            job.holder.cancel(job.lease, reason)

    def take_away(self, job: Job) -> None:
        """The response timeout passed: the holder loses the task, and it is ready again."""
        assert job.holder is not None
        holder, lease = job.holder, job.lease
        self.ready_again(job)
        holder.lost(lease)
        self.pump()

    def release_replies(self) -> None:
        self.holding_replies = False
        replies, self.held_replies = self.held_replies, []
        for reply in replies:
            reply()

    def pump(self) -> None:
        for job in self.jobs.values():
            if job.leased or job.closed_epoch:
                continue
            for worker, _ in self.workers:
                if worker.credit(job.queue) > 0:
                    self._grant(job, worker)
                    break

    def _grant(self, job: Job, worker: Worker) -> None:
        worker.reserve(job.queue)
        job.leased = True
        job.epoch += 1
        job.record = TaskRecord(
            **{
                **{name: getattr(job.record, name) for name in job.record.__struct_fields__},
                "lease_epoch": job.epoch,
                "poll_count": job.epoch,
            }
        )
        asyncio.get_running_loop().call_soon(worker.give, job.record, HEADER)

    def ready_again(self, job: Job) -> None:
        job.leased = False
        job.holder = None
        job.handed.clear()

    async def queue_of(self, lease: LeaseName) -> Queue | None:
        job = self.jobs.get(lease.task_id)
        return None if job is None else job.queue

    def logs(self, task_id: str, lines: Sequence[tuple[int, str]]) -> None:
        self.logged.extend((task_id, text) for _, text in lines)
        self.tell()


class Dispatcher:
    """A CreditDesk."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def add(self, worker: Worker, queues: Iterable[Queue]) -> None:
        self._board.workers.append((worker, tuple(queues)))
        self._board.tell()
        self._board.pump()

    def remove(self, worker: Worker, queues: Iterable[Queue]) -> None:
        board = self._board
        board.workers = [each for each in board.workers if each[0] is not worker]
        board.tell()

    def credit_changed(self, queue: Queue) -> None:
        asyncio.get_running_loop().call_soon(self._board.pump)
        self._board.tell()


class Leases:
    """A LeaseDesk."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def add(self, task_id: str, lease_epoch: int, worker: LeaseHolder) -> None:
        job = self._board.jobs[task_id]
        assert job.epoch == lease_epoch
        job.holder = worker
        job.handed.set()

    def report(
        self, holder: LeaseHolder, result: Result, reply: Callable[[ResultVerdict, str], None]
    ) -> None:
        job = self._board.jobs.get(result.task_id)
        verdict = ResultVerdict.REJECTED if job is None else self._verdict(job, result)
        self._board.verdicts.append(verdict)
        if verdict is ResultVerdict.OK:  # lines of a result are stored with it, by the decision
            self._board.logged.extend((result.task_id, text) for text in result.logs)
        self._board.tell()
        reason = "" if job is not None else f"expected a known task, found {result.task_id}"
        if self._board.holding_replies:
            self._board.held_replies.append(lambda: reply(verdict, reason))
            self._board.replies_held.set()
        else:
            asyncio.get_running_loop().call_soon(reply, verdict, reason)

    def _verdict(self, job: Job, result: Result) -> ResultVerdict:
        if job.closed_epoch:
            same = job.closed_epoch == result.lease_epoch
            return ResultVerdict.OK if same else ResultVerdict.CLOSED
        if result.lease_epoch != job.epoch or not job.leased:
            return ResultVerdict.STALE
        job.result = result
        job.holder = None
        job.leased = False
        job.closed_epoch = result.lease_epoch
        if result.status is TaskStatus.IN_PROGRESS:
            job.closed_epoch = 0
            self._board.pump()
        else:
            job.done.set()
        return ResultVerdict.OK

    def received(self, frame: WorkerFrame) -> None:
        self._board.arrived.extend(frame.received)

    def trace_parent_of(self, task: TaskRecord, header: ExecutionHeader) -> str:
        return header.trace_parent

    def extend(self, holder: LeaseHolder, lease: LeaseName) -> None:
        job = self._board.jobs[lease.task_id]
        if job.leased and job.lease == lease:
            self._board.extended.append(lease)
            self._board.tell()
        else:
            holder.lost(lease)

    def nack(self, holder: LeaseHolder, lease: LeaseName) -> None:
        job = self._board.jobs[lease.task_id]
        if job.leased and job.lease == lease:
            self._board.ready_again(job)
            self._board.pump()

    async def resume(
        self, holder: LeaseHolder, names: Sequence[LeaseName]
    ) -> tuple[tuple[LeaseName, ...], tuple[LeaseName, ...]]:
        await asyncio.sleep(0)
        resumed = tuple(name for name in names if self._is_current(name))
        for name in resumed:
            self._board.jobs[name.task_id].holder = holder
        self._board.resumed_count += len(resumed)
        self._board.tell()
        return resumed, tuple(name for name in names if name not in resumed)

    def _is_current(self, name: LeaseName) -> bool:
        job = self._board.jobs.get(name.task_id)
        if job is None or job.epoch != name.lease_epoch:
            return False
        return job.leased or job.closed_epoch == name.lease_epoch

    def orphan(self, holder: LeaseHolder) -> None:
        self._board.tell()
        waiting = [job for job in self._board.jobs.values() if job.holder is holder]
        for job in waiting:
            job.holder = None
        leases = [job.lease for job in waiting]
        asyncio.get_running_loop().call_later(self._board.grace_ms / 1000, self._grace_over, leases)

    def _grace_over(self, leases: list[LeaseName]) -> None:
        for lease in leases:
            job = self._board.jobs[lease.task_id]
            if job.leased and job.holder is None and job.lease == lease:
                self._board.lost_count += 1
                self._board.ready_again(job)
        self._board.pump()

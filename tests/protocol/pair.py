"""A server session and a worker session joined by lists, with the tasks between them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hypothesis.stateful import (
    RuleBasedStateMachine,
)

from podium.model.execution import TaskStatus
from podium.protocol import event as happened
from podium.protocol.frame import (
    HandOut,
    LeaseName,
    ResultAck,
    ResultVerdict,
    Welcome,
)
from podium.protocol.session import Session as ServerSession
from podium.v1 import worker_pb2 as pb
from podium_worker import event as told
from podium_worker.session import Session as WorkerSession
from tests.protocol.items import task

if TYPE_CHECKING:
    from podium.model.queue import Queue

QUEUES = {("a", ""): 2, ("b", "x"): 1}
FRAME_LIMIT = 3_000
PAYLOAD_LIMIT = 200


class Job:
    def __init__(self, name: str, queue: Queue) -> None:
        self.name = name
        self.queue = queue
        self.epoch = 0
        self.leased = False
        self.holder: Stream | None = None
        self.closed_by = 0
        self.accepted = 0

    @property
    def lease(self) -> LeaseName:
        return LeaseName(self.name, self.epoch)


class Stream:
    """One stream: the server's session and the frames under way. `known` = the worker has it."""

    def __init__(self) -> None:
        self.session = ServerSession(frame_bytes_limit=FRAME_LIMIT)
        self.up: deque[bytes] = deque()
        self.down: deque[bytes] = deque()
        self.reports: deque[happened.Reported] = deque()
        self.named: tuple[LeaseName, ...] = ()
        self.greeting: tuple[LeaseName, ...] | None = None
        """What was resumed for a Hello that is not answered yet."""
        self.over = False


def handed(job: Job) -> HandOut:
    return task(job.name, job.queue, epoch=job.epoch)


def lease_of(name: LeaseName) -> tuple[str, int]:
    return name.task_id, name.lease_epoch


class World(RuleBasedStateMachine):
    """State and consequences; the rules that drive it are in test_pair.py."""

    def __init__(self) -> None:
        super().__init__()
        self.worker = WorkerSession(worker_id="w", sdk="", queues=QUEUES, tasks_max=3)
        self.jobs: dict[str, Job] = {}
        self.streams: list[Stream] = []
        self.current: Stream | None = None
        self.running: dict[told.Lease, tuple[str, str]] = {}
        self.stuck: list[tuple[str, str]] = []
        self.loose = False
        """A place was occupied twice: by a stopped handler, or by a result that is kept. Then the
        server may have more credits than there is room; its maxima make that harmless."""

    def hand_out(self) -> None:
        for job in self.jobs.values():
            if job.leased or job.closed_by:
                continue
            for stream in self.streams:
                if not stream.over and stream.session.credit(job.queue):
                    self.grant(job, stream)
                    break

    def grant(self, job: Job, stream: Stream) -> None:
        stream.session.reserve(job.queue)
        job.epoch += 1
        job.leased, job.holder = True, stream
        stream.session.hand_out(handed(job))

    def kept(self, job: Job) -> list[told.Lease]:
        return [lease for lease in self.worker.in_hand if lease.task_id == job.name]

    def end(self, stream: Stream) -> None:
        stream.over = True
        unsent = stream.session.withdraw_tasks()
        for job in self.jobs.values():
            if job.holder is stream:
                job.holder = None
                if job.lease in unsent:
                    job.leased = False

    def worker_sends(self) -> None:
        frame = self.worker.take_outgoing()
        if frame is not None:
            assert self.current is not None
            data = frame.SerializeToString()
            alone = len(frame.results) + len(frame.logs) <= 1
            assert len(data) <= FRAME_LIMIT or alone
            self.current.up.append(data)

    def worker_receives(self) -> None:
        if self.current is not None and self.current.down:
            message = pb.ServerFrame.FromString(self.current.down.popleft())
            for each in self.worker.receive(message):
                self.is_told(each)

    def happens(self, stream: Stream, each: happened.Event) -> None:
        match each:
            case happened.Greeted(hello):
                stream.greeting = tuple(filter(self.is_current, hello.in_hand))
                for name in stream.greeting:
                    self.jobs[name.task_id].holder = stream
                stream.named = hello.in_hand
            case happened.Reported():
                stream.reports.append(each)
            case happened.Extended(lease):
                job = self.jobs[lease.task_id]
                if not job.leased or job.lease != lease:
                    stream.session.lose(lease)
            case happened.Nacked(lease, _):
                job = self.jobs[lease.task_id]
                if job.leased and job.lease == lease:
                    job.leased, job.holder = False, None
            case _:
                pass

    def greet(self, stream: Stream, resumed: tuple[LeaseName, ...]) -> None:
        """Leases may have ended since they were resumed."""
        stream.greeting = None
        lost = tuple(name for name in stream.named if name not in resumed)
        welcome = Welcome("s", "inc", 1, 1, FRAME_LIMIT, PAYLOAD_LIMIT, resumed, lost)
        queues = {name: self.jobs[name.task_id].queue for name in resumed}
        for each in stream.session.welcome(welcome, queues):
            self.happens(stream, each)

    def is_current(self, name: LeaseName) -> bool:
        job = self.jobs[name.task_id]
        return job.leased and job.lease == name

    def decide(self, stream: Stream, report: happened.Reported) -> None:
        name = LeaseName(report.result.task_id, report.result.lease_epoch)
        job = self.jobs[name.task_id]
        if job.closed_by:
            same = job.closed_by == name.lease_epoch
            verdict = ResultVerdict.OK if same else ResultVerdict.CLOSED
        elif self.is_current(name):
            verdict = ResultVerdict.OK
            job.closed_by, job.leased, job.holder = name.lease_epoch, False, None
            job.accepted += 1
            assert report.result.status in (TaskStatus.COMPLETED, TaskStatus.FAILED)
        else:
            verdict = ResultVerdict.STALE
        stream.session.ack(ResultAck(*lease_of(name), verdict))

    def is_told(self, each: told.Event) -> None:
        match each:
            case told.Arrived(arrived):
                lease = told.Lease(arrived.task_id, arrived.lease_epoch)
                self.running[lease] = (arrived.task_type, arrived.domain)
            case told.Ended(lease, _):
                queue = self.running.pop(lease)
                self.worker.withdraw(queue)
                self.stuck.append(queue)
                self.loose = True
            case _:
                pass

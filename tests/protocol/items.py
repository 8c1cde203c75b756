"""Frames and sessions that the tests of the protocol begin with."""

from __future__ import annotations

from podium.model.execution import TaskStatus
from podium.model.payload import Payload
from podium.model.queue import Queue
from podium.protocol.frame import (
    Credit,
    HandOut,
    Hello,
    LeaseName,
    Result,
    ResultAck,
    ResultVerdict,
    ServedType,
    Welcome,
    WorkerFrame,
)
from podium.protocol.session import Session

A, B = Queue("a"), Queue("b", "blue")
LIMIT = 100_000


def hello(*in_hand: LeaseName, tasks_max: int = 0, a_max: int = 0) -> Hello:
    return Hello("w-1", "sdk/1", (ServedType(A, a_max), ServedType(B)), tasks_max, in_hand)


def welcome(resumed: tuple[LeaseName, ...] = (), lost: tuple[LeaseName, ...] = ()) -> Welcome:
    return Welcome("s-1", "inc", 5_000, 30_000, LIMIT, LIMIT, resumed, lost)


def task(task_id: str, queue: Queue = A, size: int = 0, epoch: int = 1) -> HandOut:
    return HandOut(
        task_id=task_id,
        lease_epoch=epoch,
        queue=queue,
        workflow_id="wf",
        workflow_name="flow",
        workflow_version=1,
        reference_name="ref",
        retry_count=0,
        iteration=0,
        poll_count=1,
        priority=0,
        correlation_id="",
        input=Payload.of({"x": "y" * size}) if size else Payload(b"{}"),
        response_timeout_ms=0,
        scheduled_ms=1,
    )


def result(task_id: str, epoch: int = 1) -> Result:
    return Result(task_id, epoch, TaskStatus.COMPLETED)


def ack(task_id: str, verdict: ResultVerdict = ResultVerdict.OK) -> ResultAck:
    return ResultAck(task_id, 1, verdict)


def opened(granted: int = 0, *, tasks_max: int = 0, a_max: int = 0, limit: int = LIMIT) -> Session:
    """A greeted session with credits of queue A, whose Welcome is taken."""
    session = Session(frame_bytes_limit=limit)
    first = hello(tasks_max=tasks_max, a_max=a_max)
    session.receive(WorkerFrame(hello=first, credits=(Credit(A, granted),)))
    session.welcome(welcome(), {})
    session.take_outgoing()
    return session


def handed(session: Session, *ids: str) -> None:
    for task_id in ids:
        session.reserve(A)
        session.hand_out(task(task_id))


def opening() -> Session:
    return Session(frame_bytes_limit=LIMIT)

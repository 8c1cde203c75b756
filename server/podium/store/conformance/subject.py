"""What the suite needs of a backend under test, and the short ways its checks speak to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from podium.model.queue import UNLIMITED, Limits, Queue, Ready
from podium.store.port import Assigned, Commit, Committed, partition_of

if TYPE_CHECKING:
    from podium.model.queue import LeaseKind
    from podium.store.port import CommitResult, PushResult, Store, WantResult

WORKFLOW: Final = "3f0e8400-e29b-41d4-a716-446655440000"
NEIGHBOUR: Final = "3fffffff-e29b-41d4-a716-446655440001"
"""In the same partition."""
STRANGER: Final = "a1b2c3d4-e29b-41d4-a716-446655440002"
"""In another one."""
PLAIN: Final = "order 4711: no UUID"
QUEUE: Final = Queue("resize")
SERVER: Final = "server-a"
OTHER: Final = "server-b"


class Subject(Protocol):
    """One store under test, empty and open."""

    @property
    def store(self) -> Store: ...

    def now_ms(self) -> int:
        """The store's time."""
        ...

    async def advance(self, delay_ms: int) -> None:
        """Let so much of the store's time pass (a real clock waits)."""
        ...


def task(number: int = 0, workflow_id: str = WORKFLOW) -> str:
    """A task id as the engine makes them."""
    return f"{workflow_id}.key{number:04d}.1"


def ready(
    number: int = 0, score: int = 0, queue: Queue = QUEUE, limits: Limits = UNLIMITED
) -> Ready:
    """A ready task; by default a later number has a later score."""
    return Ready(task(number), queue, score or 1_000 + number, limits)


def first(workflow_id: str = WORKFLOW) -> Commit:
    """The commit that creates an execution."""
    return Commit(workflow_id=workflow_id, version=0, fields={"h": b"header"})


async def commit(subject: Subject, one: Commit) -> CommitResult:
    """A batch of one."""
    (result,) = await subject.store.commit([one])
    return result


async def committed(subject: Subject, one: Commit) -> Committed:
    """A commit that must succeed."""
    result = await commit(subject, one)
    assert isinstance(result, Committed), result
    return result


async def change(subject: Subject, one: Commit) -> Committed:
    """Commit at whatever version is stored."""
    loaded = await subject.store.load(one.workflow_id, ["h"])
    version = 0 if loaded is None else loaded.version
    return await committed(subject, msgspec.structs.replace(one, version=version))


async def make_ready(subject: Subject, *tasks: Ready) -> list[PushResult]:
    """Store the ready entries, then push, as a server does."""
    await change(subject, Commit(workflow_id=WORKFLOW, version=0, fields={"h": b"x"}, ready=tasks))
    return await subject.store.push_assign(tasks)


async def lease(subject: Subject, *task_ids: str, slot: Queue | None = None) -> None:
    """Store leases: the tasks are ready no more and occupy slots of `slot`, where given."""
    slots = () if slot is None else tuple((each, slot) for each in task_ids)
    await change(subject, Commit(workflow_id=WORKFLOW, version=0, unready=task_ids, slots=slots))


async def unlease(subject: Subject, *task_ids: str) -> None:
    """Store the end of leases."""
    await change(subject, Commit(workflow_id=WORKFLOW, version=0, unslotted=task_ids))


async def want(  # noqa: PLR0913 - the verb's own arguments with defaults
    subject: Subject,
    count: int,
    server: str = SERVER,
    *,
    kind: LeaseKind = "stream",
    queue: Queue = QUEUE,
    limits: Limits = UNLIMITED,
) -> WantResult:
    """Credit of one server."""
    return await subject.store.want(server, queue, count, kind=kind, limits=limits)


def claimed(result: WantResult) -> list[str]:
    """Task ids in order."""
    return [claim.task_id for claim in result.claims]


def assigned(result: PushResult | None) -> Assigned:
    """An answer that must be a hand-out."""
    assert isinstance(result, Assigned), result
    return result


PARTITION: Final = partition_of(WORKFLOW)

"""Conformance: what queues and pending tasks look like, lost places, rebuilding, logs."""

# ruff: noqa: D103 - the name of a check is its sentence

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from podium.model.queue import Outstanding, Queue, Ready, ready_score
from podium.store.conformance.subject import (
    NEIGHBOUR,
    OTHER,
    PARTITION,
    PLAIN,
    QUEUE,
    SERVER,
    STRANGER,
    WORKFLOW,
    assigned,
    change,
    claimed,
    committed,
    first,
    lease,
    make_ready,
    ready,
    task,
    want,
)
from podium.store.port import CLAIM_MS, Commit, Settle, Waiting, partition_of
from podium.store.queue_view import (
    OutstandingCount,
    PendingTask,
    QueueCount,
    Rebuilt,
    Want,
)
from podium.store.task_log import LOG_LINES_LIMIT

if TYPE_CHECKING:
    from podium.store.conformance.subject import Subject
    from podium.store.queue_view import PendingState

EU: Final = Queue(QUEUE.task_type, "eu")
ELSEWHERE: Final = Queue("upload")
LEASED: Final = Outstanding(QUEUE, "leased")
DELAYED: Final = Outstanding(QUEUE, "delayed")


async def counted(subject: Subject) -> dict[Outstanding, int]:
    return {each.outstanding: each.count for each in await subject.store.outstanding_counts()}


async def pending(subject: Subject, after: str = "", limit: int = 100) -> list[PendingTask]:
    return await subject.store.pending(PARTITION, QUEUE.task_type, after, limit)


def outstanding(*tasks: tuple[str, Outstanding], **parts: tuple[str, ...]) -> Commit:
    return msgspec.structs.replace(
        Commit(workflow_id=WORKFLOW, version=0, outstanding=tasks), **parts
    )


async def a_queue_is_counted_by_domain(subject: Subject) -> None:
    assert await subject.store.queue_counts(QUEUE.task_type) == []
    urgent, old = ready_score(7, 5_000), ready_score(0, 2_000)
    await make_ready(
        subject,
        Ready(task(0), QUEUE, urgent),
        Ready(task(1), QUEUE, old),
        Ready(task(2), EU, ready_score(0, 3_000)),
    )
    assert await subject.store.queue_counts(QUEUE.task_type) == [
        QueueCount(queue=QUEUE, ready=2, oldest_ms=2_000),
        QueueCount(queue=EU, ready=1, oldest_ms=3_000),
    ]


async def who_waits_is_counted_by_server_and_kind(subject: Subject) -> None:
    await want(subject, 2, SERVER)
    await want(subject, 1, OTHER, kind="poll")
    [found] = await subject.store.queue_counts(QUEUE.task_type)
    assert found.wants == (Want(SERVER, "stream", 2), Want(OTHER, "poll", 1))
    await want(subject, 0, SERVER)
    await want(subject, 0, OTHER, kind="poll")
    assert await subject.store.queue_counts(QUEUE.task_type) == []


async def a_claim_is_counted_until_it_is_settled_or_ends(subject: Subject) -> None:
    await make_ready(subject, ready(0), ready(1))
    await want(subject, 2)
    [found] = await subject.store.queue_counts(QUEUE.task_type)
    assert (found.ready, found.claimed, found.oldest_ms) == (0, 2, 0)
    await lease(subject, task(0))
    await subject.store.settle([Settle(task(0), QUEUE)])
    [found] = await subject.store.queue_counts(QUEUE.task_type)
    assert (found.ready, found.claimed) == (0, 1)
    await subject.advance(CLAIM_MS)
    [found] = await subject.store.queue_counts(QUEUE.task_type)
    assert (found.ready, found.claimed) == (1, 0)


async def outstanding_tasks_are_counted_until_they_return(subject: Subject) -> None:
    await change(subject, outstanding((task(0), LEASED), (task(1), LEASED), (task(2), DELAYED)))
    assert await counted(subject) == {LEASED: 2, DELAYED: 1}
    await change(subject, outstanding((task(0), DELAYED)))
    assert await counted(subject) == {LEASED: 1, DELAYED: 2}
    await change(subject, outstanding(returned=(task(0), task(1), task(9))))
    assert await subject.store.outstanding_counts() == [OutstandingCount(DELAYED, 1)]


async def a_refused_commit_counts_nothing(subject: Subject) -> None:
    await committed(subject, first())
    refused = outstanding((task(0), LEASED), returned=())
    await subject.store.commit([refused])
    assert await counted(subject) == {}


async def a_removed_execution_is_pending_no_more(subject: Subject) -> None:
    await change(subject, outstanding((task(0), LEASED)))
    assert await subject.store.remove(WORKFLOW, 1, subject.now_ms() + 1_000)
    assert await counted(subject) == {}
    assert await pending(subject) == []


async def pending_tasks_are_listed_in_order_of_ids(subject: Subject) -> None:
    states: dict[str, PendingState] = {task(0): "ready", task(1): "leased", task(3): "delayed"}
    await change(subject, outstanding((task(3), DELAYED), (task(1), LEASED)))
    await change(
        subject,
        Commit(workflow_id=WORKFLOW, version=0, ready=(ready(0), Ready(task(2), ELSEWHERE, 1))),
    )
    expected = [PendingTask(task_id, QUEUE, state) for task_id, state in states.items()]
    assert await pending(subject) == expected
    assert await pending(subject, task(0), 1) == expected[1:2]
    assert await pending(subject, task(3)) == []
    assert partition_of(STRANGER) != PARTITION
    other = partition_of(STRANGER)
    assert await subject.store.pending(other, QUEUE.task_type, "", 9) == []


async def task_types_are_those_with_anything(subject: Subject) -> None:
    store = subject.store
    assert await store.task_types() == []
    await want(subject, 1, queue=Queue("wanted"))
    await store.poll_seen(Queue("seen"), "worker")
    unpushed = Ready(task(0), Queue("unpushed"), 1)
    await change(subject, Commit(workflow_id=WORKFLOW, version=0, ready=(unpushed,)))
    await change(subject, outstanding((task(1), Outstanding(Queue("leased"), "leased"))))
    assert await store.task_types() == ["leased", "seen", "unpushed", "wanted"]
    await want(subject, 0, queue=Queue("wanted"))
    await change(subject, outstanding(returned=(task(1),), unready=(task(0),)))
    assert "seen" in await store.task_types()


async def what_was_never_pushed_is_found(subject: Subject) -> None:
    store = subject.store
    await make_ready(subject, ready(0))
    lost = Ready(task(1), EU, 1_000)
    await change(
        subject,
        Commit(workflow_id=WORKFLOW, version=0, ready=(lost, Ready(task(2), ELSEWHERE, 1))),
    )
    assert await store.unqueued(PARTITION, QUEUE.task_type) == [lost]
    await want(subject, 1)
    assert await store.unqueued(PARTITION, QUEUE.task_type) == [lost]
    await store.push_assign([lost])
    assert await store.unqueued(PARTITION, QUEUE.task_type) == []
    assert await store.unqueued(partition_of(STRANGER), QUEUE.task_type) == []


async def a_rebuilt_queue_holds_what_is_ready(subject: Subject) -> None:
    store = subject.store
    await make_ready(subject, ready(0))
    stranger = Ready(task(5, STRANGER), EU, 2_000)
    await change(subject, Commit(workflow_id=WORKFLOW, version=0, ready=(ready(1), ready(2))))
    await change(subject, Commit(workflow_id=STRANGER, version=0, ready=(stranger,)))
    assert await store.rebuild_queue(QUEUE.task_type) == [Rebuilt(QUEUE, 1, 3), Rebuilt(EU, 0, 1)]
    assert await store.rebuild_queue(QUEUE.task_type) == [Rebuilt(QUEUE, 3, 3), Rebuilt(EU, 1, 1)]
    assert claimed(await want(subject, 9)) == [task(0), task(1), task(2)]
    assert claimed(await want(subject, 9, queue=EU)) == [stranger.task_id]


async def rebuilding_keeps_claims_and_wishes(subject: Subject) -> None:
    store = subject.store
    await make_ready(subject, ready(0))
    assert claimed(await want(subject, 2)) == [task(0)]
    assert await store.rebuild_queue(QUEUE.task_type) == [Rebuilt(QUEUE, 1, 1)]
    (waiting,) = await store.push_assign([ready(0)])
    assert isinstance(waiting, Waiting)
    assert waiting.reason == "in_flight"
    assert assigned((await make_ready(subject, ready(0), ready(1)))[1]).server == SERVER


async def logs_are_kept_in_order(subject: Subject) -> None:
    store = subject.store
    await committed(subject, first())
    assert await store.add_logs(task(0), [(5, "first"), (3, "second")])
    assert await store.add_logs(task(1), [(1, "other")])
    lines = ((task(0), 4, "third \N{SNOWMAN}"), (task(2), 9, "alone"), (task(0), 2, "fourth"))
    await change(subject, Commit(workflow_id=WORKFLOW, version=0, logs=lines))
    assert await store.logs(task(0)) == [
        (5, "first"),
        (3, "second"),
        (4, "third \N{SNOWMAN}"),
        (2, "fourth"),
    ]
    assert await store.logs(task(1)) == [(1, "other")]
    assert await store.logs(task(2)) == [(9, "alone")]
    assert await store.logs(task(3)) == []


async def nothing_is_logged_where_no_execution_is(subject: Subject) -> None:
    store = subject.store
    for workflow_id in (NEIGHBOUR, PLAIN):
        assert not await store.add_logs(task(0, workflow_id), [(1, "line")])
        assert await store.logs(task(0, workflow_id)) == []
        await committed(subject, first(workflow_id))
        assert await store.add_logs(task(0, workflow_id), [(1, "line")])
    stale = Commit(workflow_id=PLAIN, version=7, logs=((task(0, PLAIN), 1, "refused"),))
    await store.commit([stale])
    assert await store.logs(task(0, PLAIN)) == [(1, "line")]


async def the_newest_lines_are_kept(subject: Subject) -> None:
    store = subject.store
    lines = [(number, "x") for number in range(LOG_LINES_LIMIT)]
    await committed(subject, first())
    await store.add_logs(task(0), lines)
    await store.add_logs(task(1), [(0, "other")])
    await store.add_logs(task(0), [(1, "more"), (2, "most")])
    assert await store.logs(task(0)) == [*lines[2:], (1, "more"), (2, "most")]
    await change(
        subject, Commit(workflow_id=WORKFLOW, version=0, logs=((task(0), 3, "by a commit"),))
    )
    assert (await store.logs(task(0)))[0] == lines[3]
    assert len(await store.logs(task(0))) == LOG_LINES_LIMIT
    assert await store.logs(task(1)) == [(0, "other")]


CHECKS: Final = (
    a_queue_is_counted_by_domain,
    who_waits_is_counted_by_server_and_kind,
    a_claim_is_counted_until_it_is_settled_or_ends,
    outstanding_tasks_are_counted_until_they_return,
    a_refused_commit_counts_nothing,
    a_removed_execution_is_pending_no_more,
    pending_tasks_are_listed_in_order_of_ids,
    task_types_are_those_with_anything,
    what_was_never_pushed_is_found,
    a_rebuilt_queue_holds_what_is_ready,
    rebuilding_keeps_claims_and_wishes,
    logs_are_kept_in_order,
    nothing_is_logged_where_no_execution_is,
    the_newest_lines_are_kept,
)

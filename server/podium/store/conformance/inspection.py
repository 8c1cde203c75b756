"""Conformance: what is told to those who look, and the audit trail."""

# ruff: noqa: D103, PLR2004 - the name of a check is its sentence, an expected number the statement

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.model.queue import UNLIMITED, Deadline, Limits, Outstanding, Queue
from podium.store.audit import AuditEntry, AuditQuery
from podium.store.conformance.subject import (
    NEIGHBOUR,
    OTHER,
    PARTITION,
    QUEUE,
    SERVER,
    STRANGER,
    WORKFLOW,
    change,
    committed,
    lease,
    make_ready,
    ready,
    task,
)
from podium.store.inspection import Entries, QueueState
from podium.store.port import CLAIM_MS, Assigned, Commit, Settle, partition_of

if TYPE_CHECKING:
    from podium.store.conformance.subject import Subject

FAR: Final = 10**15
LEASED: Final = Outstanding(QUEUE, "leased")


async def entries_tell_what_stands_beside_an_execution(subject: Subject) -> None:
    store = subject.store
    late, soon = Deadline(task(1), "timeout", 90), Deadline("", "workflow", 20)
    await committed(
        subject,
        Commit(
            workflow_id=WORKFLOW,
            version=0,
            armed=(late, soon),
            ready=(ready(2), ready(0)),
            slots=((task(4), QUEUE), (task(3), QUEUE)),
            held=((SERVER, task(4)), (OTHER, task(3))),
            outstanding=((task(4), LEASED), (task(3), LEASED)),
            outbox=(b"a", b"b"),
            incarnation=SERVER,
        ),
    )
    other = Commit(
        workflow_id=NEIGHBOUR, version=0, armed=(soon,), outbox=(b"c",), incarnation=OTHER
    )
    await committed(subject, other)
    assert await store.entries(WORKFLOW, 0) == Entries(
        ready=(ready(0), ready(2)),
        slots=((task(3), QUEUE), (task(4), QUEUE)),
        held=((OTHER, task(3)), (SERVER, task(4))),
        outstanding=((task(3), LEASED), (task(4), LEASED)),
        due=(soon, late),
        outbox=2,
    )
    some = await store.entries(WORKFLOW, 1)
    assert (some.ready, some.slots) == ((ready(0),), ((task(3), QUEUE),))
    assert (some.held, some.due, some.outbox) == (((OTHER, task(3)),), (soon,), 2)
    assert await store.entries(NEIGHBOUR, 0) == Entries(due=(soon,), outbox=1)
    assert await store.entries(STRANGER, 0) == Entries()


async def pages_give_each_field_once(subject: Subject) -> None:
    store = subject.store
    fields = {f"t:{number}": b"%d" % number for number in range(5)}
    await change(subject, Commit(workflow_id=WORKFLOW, version=0, fields={"h": b"h", **fields}))
    found: dict[str, bytes] = {}
    after, pages = "", 0
    while True:
        page = await store.page(WORKFLOW, after, 2)
        assert page is not None
        assert page.version == 1
        assert not found.keys() & page.fields.keys()
        found.update(page.fields)
        pages, after = pages + 1, page.next
        if not after:
            break
    assert found == fields
    assert pages >= 2
    assert await store.page(STRANGER, "", 2) is None


async def owners_are_those_with_any_entry(subject: Subject) -> None:
    store = subject.store
    await change(subject, Commit(workflow_id=WORKFLOW, version=0, held=((SERVER, task()),)))
    due = (Deadline("", "workflow", 20),)
    await change(subject, Commit(workflow_id=NEIGHBOUR, version=0, armed=due))
    await change(subject, Commit(workflow_id=STRANGER, version=0, fields={"h": b"x"}))
    assert await store.owners(PARTITION) == sorted([WORKFLOW, NEIGHBOUR])
    assert await store.owners(partition_of(STRANGER)) == []
    await change(subject, Commit(workflow_id=WORKFLOW, version=0, unheld=((SERVER, task()),)))
    assert await store.owners(PARTITION) == [NEIGHBOUR]


async def the_state_of_a_queue_tells_ready_claimed_and_wanted(subject: Subject) -> None:
    store = subject.store
    assert await store.queue_state(QUEUE, UNLIMITED) == QueueState()
    await make_ready(subject, ready(0), ready(1), ready(2))
    assert await store.queue_state(QUEUE, UNLIMITED) == QueueState(ready=3)
    await store.want(SERVER, QUEUE, 1, kind="stream", limits=UNLIMITED)
    state = await store.queue_state(QUEUE, UNLIMITED)
    assert (state.ready, state.claimed, state.wanted) == (2, 1, 0)
    await subject.advance(CLAIM_MS)
    state = await store.queue_state(QUEUE, UNLIMITED)
    assert (state.ready, state.claimed) == (3, 0)  # a claim that has ended is none
    other = Queue(QUEUE.task_type, "eu")
    await store.want(SERVER, other, 4, kind="stream", limits=UNLIMITED)
    state = await store.queue_state(other, UNLIMITED)
    assert (state.ready, state.wanted) == (0, 4)


async def the_state_of_a_queue_tells_when_limits_admit(subject: Subject) -> None:
    store, now_ms = subject.store, subject.now_ms()
    slow, one = Limits(rate=1, rate_window_ms=60_000), Limits(concurrent=1)
    await make_ready(subject, ready(0), ready(1))
    assert (await store.queue_state(QUEUE, slow)).admits_ms == -1
    await store.want(SERVER, QUEUE, 1, kind="stream", limits=slow)
    state = await store.queue_state(QUEUE, slow)
    assert state.starts == 1
    assert now_ms + 60_000 <= state.admits_ms <= subject.now_ms() + 60_000
    await lease(subject, task(0), slot=QUEUE)
    await store.settle([Settle(task(0), QUEUE, hold=True)])
    state = await store.queue_state(Queue(QUEUE.task_type, "eu"), one)
    assert (state.slots, state.slot_holders, state.admits_ms) == (1, (task(0),), 0)


async def queued_tells_places_and_claims(subject: Subject) -> None:
    store = subject.store
    await change(subject, Commit(workflow_id=WORKFLOW, version=0, ready=(ready(0), ready(1))))
    await store.push_assign([ready(0)])
    assert await store.queued([ready(0), ready(1)]) == [True, False]
    await store.want(SERVER, QUEUE, 1, kind="stream", limits=UNLIMITED)
    assert await store.queued([ready(1), ready(0)]) == [False, True]
    [pushed] = await store.push_assign([ready(1)])
    assert not isinstance(pushed, Assigned)
    assert await store.queued([ready(1)]) == [True]


def entry(number: int, *names: str) -> AuditEntry:
    return AuditEntry(f"id-{number}", 1_000 + number, names, b"%d" % number)


def asked(**window: int | str) -> AuditQuery:
    wanted = {"from_ms": 0, "until_ms": FAR, "before": FAR, "limit": 100, **window}
    return AuditQuery(**wanted)  # pyright: ignore[reportArgumentType]


async def the_trail_is_read_from_the_newest_by_time_and_name(subject: Subject) -> None:
    store = subject.store
    assert await store.audit(asked()) == []
    await store.add_audit([entry(1, "a", "b"), entry(2)])
    await store.add_audit([entry(3, "a", "a"), entry(4, "b")])
    rows = await store.audit(asked())
    assert [each.value for each in rows] == [b"4", b"3", b"2", b"1"]
    assert [each.sequence for each in rows] == sorted(
        (each.sequence for each in rows), reverse=True
    )
    assert [each.value for each in await store.audit(asked(name="a"))] == [b"3", b"1"]
    assert await store.audit(asked(name="c")) == []
    some = await store.audit(asked(from_ms=1_002, until_ms=1_004))
    assert [each.value for each in some] == [b"3", b"2"]
    page = await store.audit(asked(limit=2))
    rest = await store.audit(asked(before=page[-1].sequence, limit=2))
    assert [each.value for each in rest] == [b"2", b"1"]
    named = await store.audit(asked(name="b", limit=1))
    assert [
        each.value for each in await store.audit(asked(name="b", before=named[0].sequence))
    ] == [b"1"]


async def a_row_written_again_is_kept_once(subject: Subject) -> None:
    store = subject.store
    await store.add_audit([entry(1, "a")])
    await store.add_audit([entry(1, "a"), entry(2, "a")])
    assert [each.value for each in await store.audit(asked(name="a"))] == [b"2", b"1"]


CHECKS: Final = (
    entries_tell_what_stands_beside_an_execution,
    pages_give_each_field_once,
    owners_are_those_with_any_entry,
    the_state_of_a_queue_tells_ready_claimed_and_wanted,
    the_state_of_a_queue_tells_when_limits_admit,
    queued_tells_places_and_claims,
    the_trail_is_read_from_the_newest_by_time_and_name,
    a_row_written_again_is_kept_once,
)

"""Conformance: deadlines, ready, slot and held entries, the outbox, members."""

# ruff: noqa: D103, PLR2004 - the name of a check is its sentence, an expected number the statement

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.model.queue import Deadline, Limits, Queue, Ready
from podium.store.conformance.subject import (
    NEIGHBOUR,
    OTHER,
    PARTITION,
    QUEUE,
    SERVER,
    STRANGER,
    WORKFLOW,
    change,
    commit,
    committed,
    first,
    ready,
    task,
)
from podium.store.port import PARTITIONS, Commit, Conflict, partition_of

if TYPE_CHECKING:
    from podium.store.conformance.subject import Subject

FAR: Final = 10**15


async def deadlines_come_earliest_first_up_to_a_time(subject: Subject) -> None:
    armed = tuple(Deadline(task(number), "response", at) for number, at in ((1, 30), (2, 10)))
    workflow = Deadline("", "workflow", 20)
    await change(subject, Commit(workflow_id=WORKFLOW, version=0, armed=(*armed, workflow)))
    other = (Deadline(task(0, STRANGER), "poll", 15),)
    await change(subject, Commit(workflow_id=STRANGER, version=0, armed=other))
    due = await subject.store.due(range(PARTITIONS), FAR, 10)
    assert [each.deadline.at_ms for each in due] == [10, 15, 20, 30]
    assert (due[2].workflow_id, due[2].deadline) == (WORKFLOW, workflow)
    some = await subject.store.due([PARTITION], 20, 10)
    assert [each.deadline.at_ms for each in some] == [10, 20]
    assert len(await subject.store.due(range(PARTITIONS), FAR, 2)) == 2
    assert await subject.store.due([partition_of(STRANGER)], 14, 10) == []
    assert await subject.store.due([], FAR, 10) == []


async def arming_replaces_the_same_task_and_kind(subject: Subject) -> None:
    both = (Deadline(task(), "response", 10), Deadline(task(), "timeout", 50))
    await change(subject, Commit(workflow_id=WORKFLOW, version=0, armed=both))
    again = (Deadline(task(), "response", 40),)
    await change(subject, Commit(workflow_id=WORKFLOW, version=1, armed=again))
    due = await subject.store.due([PARTITION], FAR, 10)
    assert [each.deadline for each in due] == [again[0], both[1]]


async def disarming_takes_one_kind(subject: Subject) -> None:
    both = (Deadline(task(), "response", 10), Deadline(task(), "timeout", 50))
    await change(subject, Commit(workflow_id=WORKFLOW, version=0, armed=both))
    gone = ((task(), "response"), (task(7), "response"))
    await change(subject, Commit(workflow_id=WORKFLOW, version=1, disarmed=gone))
    due = await subject.store.due([PARTITION], FAR, 10)
    assert [each.deadline for each in due] == [both[1]]


async def arming_wins_over_disarming_in_one_commit(subject: Subject) -> None:
    old, new = Deadline(task(), "response", 10), Deadline(task(), "response", 20)
    await change(subject, Commit(workflow_id=WORKFLOW, version=0, armed=(old,)))
    both = Commit(workflow_id=WORKFLOW, version=1, disarmed=((task(), "response"),), armed=(new,))
    await change(subject, both)
    due = await subject.store.due([PARTITION], FAR, 10)
    assert [each.deadline for each in due] == [new]


async def ready_entries_keep_queue_score_and_limits(subject: Subject) -> None:
    limited = Ready(task(1), Queue("resize", "eu"), 77, Limits(2, 10, 1_000))
    await change(subject, Commit(workflow_id=WORKFLOW, version=0, ready=(ready(0), limited)))
    assert await subject.store.ready([PARTITION]) == [ready(0), limited]
    assert await subject.store.ready([partition_of(STRANGER)]) == []
    later = ready(0, score=9_000)
    await change(
        subject, Commit(workflow_id=WORKFLOW, version=1, unready=(task(1),), ready=(later,))
    )
    assert await subject.store.ready([PARTITION]) == [later]


async def slots_and_held_follow_commits(subject: Subject) -> None:
    store = subject.store
    begun = Commit(
        workflow_id=WORKFLOW,
        version=0,
        slots=((task(0), QUEUE), (task(1), QUEUE)),
        held=((SERVER, task(0)), (SERVER, task(1))),
    )
    await change(subject, begun)
    assert await store.slots(PARTITION) == [(task(0), QUEUE), (task(1), QUEUE)]
    assert await store.held([PARTITION], SERVER) == [task(0), task(1)]
    assert await store.holders([PARTITION]) == {SERVER}
    moved = Commit(
        workflow_id=WORKFLOW,
        version=1,
        unslotted=(task(0),),
        unheld=((SERVER, task(0)), (SERVER, task(1))),
        held=((OTHER, task(1)),),
    )
    await change(subject, moved)
    assert await store.slots(PARTITION) == [(task(1), QUEUE)]
    assert await store.held([PARTITION], SERVER) == []
    assert await store.held([PARTITION], OTHER) == [task(1)]
    assert await store.holders([PARTITION]) == {OTHER}


async def a_renewed_lease_stays_held(subject: Subject) -> None:
    held = ((SERVER, task()),)
    await change(subject, Commit(workflow_id=WORKFLOW, version=0, held=held))
    await change(subject, Commit(workflow_id=WORKFLOW, version=1, unheld=held, held=held))
    assert await subject.store.held([PARTITION], SERVER) == [task()]


async def effects_stay_until_done_in_ascending_order(subject: Subject) -> None:
    store = subject.store
    two = Commit(workflow_id=WORKFLOW, version=0, outbox=(b"a", b"b"), incarnation=SERVER)
    one = Commit(workflow_id=NEIGHBOUR, version=0, outbox=(b"c",), incarnation=SERVER)
    other = Commit(workflow_id=STRANGER, version=0, outbox=(b"d",), incarnation=OTHER)
    given = [await committed(subject, each) for each in (two, one, other)]
    sequences = [sequence for each in given[:2] for sequence in each.outbox]
    assert sequences == sorted(set(sequences))
    entries = await store.outbox([PARTITION], SERVER)
    assert [(each.sequence, each.workflow_id, each.effect) for each in entries] == [
        (sequences[0], WORKFLOW, b"a"),
        (sequences[1], WORKFLOW, b"b"),
        (sequences[2], NEIGHBOUR, b"c"),
    ]
    assert all((each.partition, each.incarnation) == (PARTITION, SERVER) for each in entries)
    await store.outbox_done(PARTITION, SERVER, sequences[:1])
    await store.outbox_done(PARTITION, SERVER, sequences[:1])
    assert [each.effect for each in await store.outbox(range(PARTITIONS), SERVER)] == [b"b", b"c"]
    assert [each.effect for each in await store.outbox(range(PARTITIONS), OTHER)] == [b"d"]


async def effects_are_done_by_a_commit_that_succeeds(subject: Subject) -> None:
    start = Commit(workflow_id=WORKFLOW, version=0, outbox=(b"a",), incarnation=SERVER)
    (sequence,) = (await committed(subject, start)).outbox
    done = ((SERVER, sequence),)
    stale = await commit(subject, Commit(workflow_id=WORKFLOW, version=5, outbox_done=done))
    assert isinstance(stale, Conflict)
    assert len(await subject.store.outbox([PARTITION], SERVER)) == 1
    await committed(subject, Commit(workflow_id=NEIGHBOUR, version=0, outbox_done=done))
    assert await subject.store.outbox([PARTITION], SERVER) == []


async def members_stay_until_forgotten(subject: Subject) -> None:
    store = subject.store
    before_ms = subject.now_ms()
    beat = await store.heartbeat(SERVER)
    assert set(beat.members) == {SERVER}
    assert beat.now_ms >= before_ms
    await subject.advance(50)
    beat = await store.heartbeat(OTHER)
    assert set(beat.members) == {SERVER, OTHER}
    assert beat.members[OTHER] - beat.members[SERVER] >= 50
    assert beat.members[OTHER] == beat.now_ms
    seen_ms = (await store.heartbeat(OTHER)).members[SERVER]
    await store.forget(SERVER, seen_ms - 1)
    assert SERVER in (await store.heartbeat(OTHER)).members
    await store.forget(SERVER, seen_ms)
    await store.forget(SERVER)
    assert set((await store.heartbeat(OTHER)).members) == {OTHER}


async def members_tell_how_many_concerns_they_have(subject: Subject) -> None:
    store = subject.store
    assert (await store.heartbeat(SERVER)).concerns.get(SERVER, 0) == 0
    assert (await store.heartbeat(SERVER, 3)).concerns[SERVER] == 3
    told = (await store.heartbeat(OTHER, 5)).concerns
    assert (told[SERVER], told[OTHER]) == (3, 5)
    assert (await store.heartbeat(OTHER)).concerns[OTHER] == 5
    await store.forget(SERVER)
    assert SERVER not in (await store.heartbeat(OTHER, 6)).concerns


async def watchers_are_named_by_a_commit(subject: Subject) -> None:
    store = subject.store
    await committed(subject, first())
    await store.watch(WORKFLOW, SERVER, on=True)
    await store.watch(WORKFLOW, SERVER, on=True)
    await store.watch(WORKFLOW, OTHER, on=True)
    result = await committed(subject, Commit(workflow_id=WORKFLOW, version=1))
    assert sorted(result.watchers) == [SERVER, OTHER]
    await store.watch(WORKFLOW, SERVER, on=False)
    await store.watch(NEIGHBOUR, SERVER, on=False)
    result = await committed(subject, Commit(workflow_id=WORKFLOW, version=2))
    assert result.watchers == (OTHER,)


CHECKS: Final = (
    deadlines_come_earliest_first_up_to_a_time,
    arming_replaces_the_same_task_and_kind,
    disarming_takes_one_kind,
    arming_wins_over_disarming_in_one_commit,
    ready_entries_keep_queue_score_and_limits,
    slots_and_held_follow_commits,
    a_renewed_lease_stays_held,
    effects_stay_until_done_in_ascending_order,
    effects_are_done_by_a_commit_that_succeeds,
    members_stay_until_forgotten,
    members_tell_how_many_concerns_they_have,
    watchers_are_named_by_a_commit,
)

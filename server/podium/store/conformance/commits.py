"""Conformance: versions, fields, conflicts, batches, history, removal, tombstones, scan."""

# ruff: noqa: D103, PLR2004 - the name of a check is its sentence, an expected number the statement

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.model.queue import Deadline
from podium.store.conformance.subject import (
    NEIGHBOUR,
    PARTITION,
    PLAIN,
    QUEUE,
    SERVER,
    STRANGER,
    WORKFLOW,
    change,
    claimed,
    commit,
    committed,
    first,
    make_ready,
    ready,
    task,
    want,
)
from podium.store.port import (
    HISTORY_ROWS_LIMIT,
    PARTITIONS,
    Commit,
    Committed,
    Conflict,
    partition_of,
)

if TYPE_CHECKING:
    from podium.store.conformance.subject import Subject


async def versions_rise_by_one(subject: Subject) -> None:
    assert (await committed(subject, first())).version == 1
    second = Commit(workflow_id=WORKFLOW, version=1, fields={"h": b"two"})
    assert (await committed(subject, second)).version == 2
    loaded = await subject.store.load(WORKFLOW, ["h"])
    assert loaded is not None
    assert (loaded.version, loaded.fields) == (2, {"h": b"two"})


async def a_version_is_kept_once_it_is_acknowledged(subject: Subject) -> None:
    assert not await subject.store.kept(WORKFLOW, 1)
    await committed(subject, first())
    assert await subject.store.kept(WORKFLOW, 1)
    assert not await subject.store.kept(WORKFLOW, 2)
    await committed(subject, Commit(workflow_id=WORKFLOW, version=1))
    assert await subject.store.kept(WORKFLOW, 1)


async def absent_execution_loads_as_none(subject: Subject) -> None:
    assert await subject.store.load(WORKFLOW, None) is None
    assert await subject.store.load(WORKFLOW, ["h"]) is None


async def ids_that_are_no_uuid_work(subject: Subject) -> None:
    await committed(subject, first(PLAIN))
    assert await subject.store.scan(partition_of(PLAIN), "", 10) == [PLAIN]


async def fields_are_set_kept_and_deleted(subject: Subject) -> None:
    big = bytes(range(256)) * 4_000
    fields: dict[str, bytes | None] = {"h": b"1", "t:a": b"", "t:b": b"b", "i:a": big}
    await committed(subject, Commit(workflow_id=WORKFLOW, version=0, fields=fields))
    await committed(
        subject, Commit(workflow_id=WORKFLOW, version=1, fields={"t:b": None, "t:c": b"c"})
    )
    every = await subject.store.load(WORKFLOW, None)
    assert every is not None
    assert every.fields == {"h": b"1", "t:a": b"", "i:a": big, "t:c": b"c"}
    some = await subject.store.load(WORKFLOW, ["t:b", "t:c", "h", "never"])
    assert some is not None
    assert some.fields == {"t:b": None, "t:c": b"c", "h": b"1", "never": None}


async def many_fields_load_at_once(subject: Subject) -> None:
    names = [f"t:{number}" for number in range(1_200)]
    fields: dict[str, bytes | None] = {name: name.encode() for name in names}
    await committed(subject, Commit(workflow_id=WORKFLOW, version=0, fields=fields))
    loaded = await subject.store.load(WORKFLOW, names)
    assert loaded is not None
    assert loaded.fields == fields


async def a_conflict_changes_nothing_and_carries_fields(subject: Subject) -> None:
    await committed(subject, first())
    for version in (0, 2):
        stale = Commit(
            workflow_id=WORKFLOW,
            version=version,
            fields={"h": b"stale", "t:a": b"stale"},
            armed=(Deadline(task(), "response", 1),),
            ready=(ready(),),
            held=((SERVER, task()),),
            outbox=(b"effect",),
            incarnation=SERVER,
            history=b"row",
            history_position=1,
            read_on_conflict=("h", "t:a"),
        )
        result = await commit(subject, stale)
        assert result == Conflict(1, {"h": b"header", "t:a": None})
    loaded = await subject.store.load(WORKFLOW, None)
    assert loaded is not None
    assert loaded.fields == {"h": b"header"}
    store = subject.store
    assert await store.due(range(PARTITIONS), 10**15, 10) == []
    assert await store.ready([PARTITION]) == []
    assert await store.held([PARTITION], SERVER) == []
    assert await store.outbox(range(PARTITIONS), SERVER) == []
    assert await store.history(WORKFLOW, 0, 10) == []


async def a_change_of_nothing_stored_conflicts_with_zero(subject: Subject) -> None:
    result = await commit(subject, Commit(workflow_id=WORKFLOW, version=3))
    assert isinstance(result, Conflict)
    assert (result.version, result.tombstoned) == (0, False)


async def a_repeat_after_an_unknown_outcome_conflicts(subject: Subject) -> None:
    await committed(subject, first())
    again = await commit(subject, first())
    assert isinstance(again, Conflict)
    assert again.version == 1


async def a_batch_mixes_results(subject: Subject) -> None:
    await committed(subject, first())
    results = await subject.store.commit(
        [
            first(),
            first(NEIGHBOUR),
            Commit(workflow_id=WORKFLOW, version=1, fields={"h": b"2"}),
            Commit(workflow_id=STRANGER, version=7),
            first(STRANGER),
        ]
    )
    assert results == [
        Conflict(1),
        Committed(1),
        Committed(2),
        Conflict(0),
        Committed(1),
    ]


async def one_execution_twice_in_a_batch_goes_in_order(subject: Subject) -> None:
    late = Commit(
        workflow_id=WORKFLOW,
        version=1,
        fields={"t:a": None, "t:b": b"2"},
        disarmed=((task(), "response"),),
        armed=(Deadline(task(), "timeout", 9),),
        unready=(task(),),
    )
    early = Commit(
        workflow_id=WORKFLOW,
        version=0,
        fields={"h": b"1", "t:a": b"1"},
        armed=(Deadline(task(), "response", 5),),
        ready=(ready(),),
    )
    stale = Commit(workflow_id=WORKFLOW, version=1, read_on_conflict=("t:a", "t:b", "h"))
    results = await subject.store.commit([early, late, stale])
    assert results[2] == Conflict(2, {"t:a": None, "t:b": b"2", "h": b"1"})
    loaded = await subject.store.load(WORKFLOW, None)
    assert loaded is not None
    assert (loaded.version, loaded.fields) == (2, {"h": b"1", "t:b": b"2"})
    due = await subject.store.due([PARTITION], 100, 10)
    assert [each.deadline for each in due] == [Deadline(task(), "timeout", 9)]
    assert await subject.store.ready([PARTITION]) == []


async def an_empty_batch_is_fine(subject: Subject) -> None:
    assert await subject.store.commit([]) == []


async def history_is_ordered_and_paged(subject: Subject) -> None:
    for position in (1, 2, 3):
        row = Commit(
            workflow_id=WORKFLOW,
            version=position - 1,
            history=b"row %d" % position,
            history_position=position,
        )
        await committed(subject, row)
    assert await subject.store.history(WORKFLOW, 0, 10) == [b"row 1", b"row 2", b"row 3"]
    assert await subject.store.history(WORKFLOW, 1, 1) == [b"row 2"]
    assert await subject.store.history(NEIGHBOUR, 0, 10) == []


async def history_beyond_its_limit_loses_the_oldest(subject: Subject) -> None:
    for version, position in ((0, 1), (1, 2), (2, HISTORY_ROWS_LIMIT + 1)):
        row = Commit(
            workflow_id=WORKFLOW,
            version=version,
            history=b"%d" % position,
            history_position=position,
        )
        await committed(subject, row)
    rows = await subject.store.history(WORKFLOW, 0, 10)
    assert rows == [b"2", b"%d" % (HISTORY_ROWS_LIMIT + 1)]


async def removal_takes_everything_and_leaves_a_tombstone(subject: Subject) -> None:
    everything = Commit(
        workflow_id=WORKFLOW,
        version=0,
        fields={"h": b"1", "t:a": b"1"},
        armed=(Deadline(task(1), "response", 5),),
        ready=(ready(0),),
        slots=((task(1), QUEUE),),
        held=((SERVER, task(1)),),
        outbox=(b"effect",),
        incarnation=SERVER,
        history=b"row",
        history_position=1,
    )
    store = subject.store
    await committed(subject, everything)
    await committed(subject, first(NEIGHBOUR))
    await store.push_assign([ready(0)])
    await store.add_logs(task(1), [(1, "line")])
    until_ms = subject.now_ms() + 1_000
    assert not await store.remove(WORKFLOW, 2, until_ms)
    assert not await store.remove(WORKFLOW, 1, until_ms)  # its effect waits
    [entry] = await store.outbox([PARTITION], SERVER)
    await store.outbox_done(PARTITION, SERVER, [entry.sequence])
    assert await store.remove(WORKFLOW, 1, until_ms)
    assert await store.archived(WORKFLOW) is None
    assert not await store.remove(WORKFLOW, 1, until_ms)
    assert await store.load(WORKFLOW, None) is None
    assert await store.due(range(PARTITIONS), 10**15, 10) == []
    assert await store.ready([PARTITION]) == []
    assert await store.slots(PARTITION) == []
    assert await store.held([PARTITION], SERVER) == []
    assert await store.outbox(range(PARTITIONS), SERVER) == []
    assert await store.history(WORKFLOW, 0, 10) == []
    assert await store.logs(task(1)) == []
    assert await store.scan(PARTITION, "", 10) == [NEIGHBOUR]
    assert await commit(subject, first()) == Conflict(0, tombstoned=True)
    await subject.advance(1_000)
    assert (await committed(subject, first())).version == 1


async def what_is_archived_stays_until_it_is_removed_itself(subject: Subject) -> None:
    store = subject.store
    await committed(subject, first())
    await committed(subject, first(NEIGHBOUR))
    assert not await store.remove(WORKFLOW, 2, 0, archive=b"no")
    assert await store.archived(WORKFLOW) is None
    assert await store.remove(WORKFLOW, 1, 0, archive=b"kept")
    assert await store.archived(WORKFLOW) == b"kept"
    assert await store.load(WORKFLOW, None) is None
    assert await store.archived(NEIGHBOUR) is None
    assert await store.remove_archived(WORKFLOW)
    assert not await store.remove_archived(WORKFLOW)
    assert await store.archived(WORKFLOW) is None


async def a_tombstone_forbids_a_start_until_it_ends(subject: Subject) -> None:
    store = subject.store
    assert await store.tombstone(WORKFLOW, subject.now_ms() + 2_000)
    assert await commit(subject, first()) == Conflict(0, tombstoned=True)
    await subject.advance(2_000)
    await committed(subject, first())
    assert not await store.tombstone(WORKFLOW, subject.now_ms() + 500)
    await change(subject, Commit(workflow_id=WORKFLOW, version=1))


async def scan_pages_through_a_partition(subject: Subject) -> None:
    ids = [f"3f{number:06d}-e29b-41d4-a716-446655440000" for number in range(5)]
    for each in reversed(ids):
        await committed(subject, first(each))
    await committed(subject, first(STRANGER))
    assert await subject.store.scan(PARTITION, "", 2) == ids[:2]
    assert await subject.store.scan(PARTITION, ids[1], 10) == ids[2:]
    assert await subject.store.scan(PARTITION, ids[4], 10) == []


async def a_removed_task_is_not_handed_out(subject: Subject) -> None:
    await make_ready(subject, ready(0))
    await subject.store.remove(WORKFLOW, 1, 0)
    result = await want(subject, 1)
    for each in claimed(result):  # a backend may find out late: the lease is then refused
        await subject.store.unclaim(each, QUEUE)
    await want(subject, 0)
    assert await subject.store.queue_size(QUEUE) == 0


CHECKS: Final = (
    versions_rise_by_one,
    a_version_is_kept_once_it_is_acknowledged,
    absent_execution_loads_as_none,
    ids_that_are_no_uuid_work,
    fields_are_set_kept_and_deleted,
    many_fields_load_at_once,
    a_conflict_changes_nothing_and_carries_fields,
    a_change_of_nothing_stored_conflicts_with_zero,
    a_repeat_after_an_unknown_outcome_conflicts,
    a_batch_mixes_results,
    one_execution_twice_in_a_batch_goes_in_order,
    an_empty_batch_is_fine,
    history_is_ordered_and_paged,
    history_beyond_its_limit_loses_the_oldest,
    removal_takes_everything_and_leaves_a_tombstone,
    what_is_archived_stays_until_it_is_removed_itself,
    a_tombstone_forbids_a_start_until_it_ends,
    scan_pages_through_a_partition,
    a_removed_task_is_not_handed_out,
)

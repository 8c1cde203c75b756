"""Conformance: what the index has yet to see, and the archive it reads."""

# ruff: noqa: D103 - the name of a check is its sentence

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.store.conformance.subject import (
    NEIGHBOUR,
    PARTITION,
    STRANGER,
    WORKFLOW,
    commit,
    committed,
    first,
)
from podium.store.port import PARTITIONS, Changed, Commit, Conflict, partition_of

if TYPE_CHECKING:
    from podium.store.conformance.subject import Subject

ALL: Final = range(PARTITIONS)
FAR: Final = 1_000


async def changes_of(subject: Subject) -> set[tuple[str, int]]:
    """All of them."""
    found = await subject.store.changed(ALL, FAR)
    return {(each.workflow_id, each.version) for each in found}


async def each_commit_leaves_its_execution_to_be_indexed(subject: Subject) -> None:
    assert await subject.store.changed(ALL, FAR) == []
    for each in (WORKFLOW, STRANGER):
        await committed(subject, first(each))
    assert await changes_of(subject) == {(WORKFLOW, 1), (STRANGER, 1)}
    await committed(subject, Commit(workflow_id=WORKFLOW, version=1))
    assert await changes_of(subject) == {(WORKFLOW, 2), (STRANGER, 1)}


async def a_refused_commit_leaves_nothing(subject: Subject) -> None:
    assert isinstance(await commit(subject, Commit(workflow_id=WORKFLOW, version=3)), Conflict)
    assert await subject.store.changed(ALL, FAR) == []


async def what_is_indexed_is_listed_no_more(subject: Subject) -> None:
    await committed(subject, first(WORKFLOW))
    await committed(subject, first(STRANGER))
    await subject.store.indexed([Changed(WORKFLOW, 1)])
    assert await changes_of(subject) == {(STRANGER, 1)}
    await subject.store.indexed([Changed(WORKFLOW, 1), Changed(STRANGER, 1)])
    assert await changes_of(subject) == set()


async def a_later_change_outlasts_the_word_about_an_earlier_one(subject: Subject) -> None:
    await committed(subject, first(WORKFLOW))
    await committed(subject, Commit(workflow_id=WORKFLOW, version=1))
    await subject.store.indexed([Changed(WORKFLOW, 1)])
    assert await changes_of(subject) == {(WORKFLOW, 2)}


async def changes_are_read_by_partition_and_number(subject: Subject) -> None:
    for each in (WORKFLOW, NEIGHBOUR, STRANGER):
        await committed(subject, first(each))
    mine = await subject.store.changed([PARTITION], FAR)
    assert {each.workflow_id for each in mine} == {WORKFLOW, NEIGHBOUR}
    assert len(await subject.store.changed([PARTITION], 1)) == 1
    (other,) = await subject.store.changed([partition_of(STRANGER)], FAR)
    assert other == Changed(STRANGER, 1)


async def a_removal_is_a_change(subject: Subject) -> None:
    store, now_ms = subject.store, subject.now_ms()
    await committed(subject, first(WORKFLOW))
    await store.indexed([Changed(WORKFLOW, 1)])
    assert await store.remove(WORKFLOW, 1, now_ms, archive=b"copy")
    assert await changes_of(subject) == {(WORKFLOW, 0)}
    await store.indexed([Changed(WORKFLOW, 1)])
    assert await changes_of(subject) == {(WORKFLOW, 0)}
    await store.indexed([Changed(WORKFLOW, 0)])
    assert await changes_of(subject) == set()
    assert not await store.remove_archived(STRANGER)
    assert await store.remove_archived(WORKFLOW)
    assert await changes_of(subject) == {(WORKFLOW, 0)}


async def removals_of_several_copies_stay_apart(subject: Subject) -> None:
    store, now_ms = subject.store, subject.now_ms()
    for each in (WORKFLOW, STRANGER):
        await committed(subject, first(each))
        assert await store.remove(each, 1, now_ms, archive=b"copy")
    await store.indexed([Changed(WORKFLOW, 0), Changed(STRANGER, 0)])
    for each in (WORKFLOW, STRANGER):
        assert await store.remove_archived(each)
    assert await changes_of(subject) == {(WORKFLOW, 0), (STRANGER, 0)}


async def archived_ids_are_read_in_pages(subject: Subject) -> None:
    ids = {WORKFLOW, NEIGHBOUR, STRANGER}
    for each in ids:
        await committed(subject, first(each))
        assert await subject.store.remove(each, 1, subject.now_ms(), archive=b"copy")
    found: list[str] = []
    while page := await subject.store.archived_after(found[-1] if found else "", 2):
        found += page
    assert sorted(found) == sorted(ids)


CHECKS: Final = (
    each_commit_leaves_its_execution_to_be_indexed,
    a_refused_commit_leaves_nothing,
    what_is_indexed_is_listed_no_more,
    a_later_change_outlasts_the_word_about_an_earlier_one,
    changes_are_read_by_partition_and_number,
    a_removal_is_a_change,
    removals_of_several_copies_stay_apart,
    archived_ids_are_read_in_pages,
)

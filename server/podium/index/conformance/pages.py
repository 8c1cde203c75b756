"""Conformance: order, pages, counts."""

# ruff: noqa: D103 - the name of a check is its sentence

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.index.conformance.samples import (
    NOW_MS,
    task,
    task_query,
    tasks,
    update,
    workflow,
    workflow_query,
    workflows,
    write,
)

if TYPE_CHECKING:
    from podium.index.port import Index


async def the_newest_come_first(index: Index) -> None:
    for number in (2, 3, 1):
        await write(index, update(workflow(number)))
    assert [each.id for each in (await workflows(index)).hits] == ["w3", "w2", "w1"]
    assert await index.workflow_ids(workflow_query()) == ["w3", "w2", "w1"]


async def a_page_is_a_part_and_the_count_is_of_all(index: Index) -> None:
    for number in range(7):
        await write(index, update(workflow(number, priority=number % 2)))
    for start, size, wanted in ((0, 2, ["w0", "w2"]), (2, 2, ["w4", "w6"]), (4, 2, []), (0, 0, [])):
        page = await workflows(index, "priority = 0", sort="workflowId:ASC", start=start, size=size)
        assert (page.total, [each.id for each in page.hits]) == (4, wanted)
    uncounted = await workflows(index, counted=False)
    assert (uncounted.total, len(uncounted.hits)) == (0, 7)


async def several_fields_order_and_ties_go_by_id(index: Index) -> None:
    for number, (name, priority) in enumerate((("b", 1), ("a", 1), ("a", 2), ("b", 1))):
        await write(index, update(workflow(number, name=name, priority=priority)))
    for sort, wanted in (
        ("workflowType:ASC|priority:DESC", ["w2", "w1", "w0", "w3"]),
        ("priority:DESC|workflowType:DESC", ["w2", "w0", "w3", "w1"]),
        ("priority", ["w0", "w1", "w3", "w2"]),
    ):
        assert [each.id for each in (await workflows(index, sort=sort)).hits] == wanted, sort


async def what_comes_behind_a_place_is_not_shifted_by_new_ones(index: Index) -> None:
    for number in range(4):
        await write(index, update(workflow(number, start_ms=NOW_MS + number // 2)))
    first = (await workflows(index, size=2)).hits
    assert [each.id for each in first] == ["w3", "w2"]
    await write(index, update(workflow(9)))
    rest = await workflows(index, behind=(first[1].start_ms, first[1].id))
    assert (rest.total, [each.id for each in rest.hits]) == (2, ["w1", "w0"])
    rest = await workflows(index, behind=(NOW_MS, "w1"))
    assert [each.id for each in rest.hits] == ["w0"]


async def executions_of_tasks_are_shown_and_counted_once(index: Index) -> None:
    for number, names in ((1, "ac"), (2, "b"), (3, "d"), (4, "")):
        given = [task(number, name, start_ms=number) for name in names]
        await write(index, update(workflow(number), *given))
    for sort, wanted in (
        ("taskDefName:ASC", ["w1", "w2"]),
        ("taskDefName:DESC", ["w1", "w2"]),
        ("", ["w2", "w1"]),
    ):
        query = task_query("taskDefName IN (a_task, b_task, c_task)", sort=sort)
        found = await index.workflows_by_tasks(query)
        assert (found.total, [each.id for each in found.hits]) == (2, wanted), sort
    found = await index.workflows_by_tasks(task_query(sort="taskDefName:ASC", start=1, size=1))
    assert (found.total, [each.id for each in found.hits]) == (3, ["w2"])


async def tasks_are_ordered_and_paged(index: Index) -> None:
    given = [task(1, name, start_ms=place) for place, name in enumerate("cab")]
    await write(index, update(workflow(1), *given))
    page = await tasks(index, sort="taskDefName:ASC", start=1, size=1)
    assert (page.total, [hit.task.key for hit in page.hits]) == (3, ["b"])
    assert [hit.task.key for hit in (await tasks(index)).hits] == ["b", "a", "c"]


CHECKS: Final = (
    the_newest_come_first,
    a_page_is_a_part_and_the_count_is_of_all,
    several_fields_order_and_ties_go_by_id,
    what_comes_behind_a_place_is_not_shifted_by_new_ones,
    executions_of_tasks_are_shown_and_counted_once,
    tasks_are_ordered_and_paged,
)

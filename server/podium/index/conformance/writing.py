"""Conformance: what is written is there, the newest stays, and what is gone is gone."""

# ruff: noqa: D103 - the name of a check is its sentence

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.index.conformance.samples import (
    ids,
    task,
    task_ids,
    tasks,
    update,
    workflow,
    workflows,
    write,
)
from podium.index.document import Update

if TYPE_CHECKING:
    from podium.index.port import Index


async def what_is_written_comes_back(index: Index) -> None:
    document = workflow(
        1,
        version=3,
        status="FAILED",
        correlation_id="c, 'é' \"x\"",
        parent_id="w0",
        end_ms=7,
        priority=9,
        created_by="ann",
        event="e",
        idempotency_key="k",
        reason="why",
        failed_refs=("a", "b"),
        failed_names=("a,b", "c"),
        task_to_domain={"a": "eu"},
        archived=True,
        input='{"a":"☃"}',
        output='{"b":1}',
    )
    one = task(1, status="FAILED", scheduled_ms=1, start_ms=2, update_ms=3, end_ms=4,
               reason="no", domain="eu", input='{"i":1}', output='{"o":2}')  # fmt: skip
    await write(index, update(document, one))
    found = await workflows(index)
    assert (found.total, found.hits) == (1, [document])
    (hit,) = (await tasks(index)).hits
    assert hit.task == one
    assert (hit.workflow_id, hit.workflow_name) == ("w1", "order")
    assert (hit.correlation_id, hit.priority) == (document.correlation_id, 9)


async def texts_come_where_they_are_wanted(index: Index) -> None:
    await write(index, update(workflow(1, input='{"a":1}')))
    (shown,) = (await workflows(index, texts=False)).hits
    assert (shown.input, shown.output) == (None, None)


async def a_later_document_takes_the_place(index: Index) -> None:
    await write(index, update(workflow(1, input='{"a":"lamp"}'), task(1)))
    later = workflow(1, commit=2, status="COMPLETED", input=None, output='{"b":"chair"}')
    await write(index, update(later, task(1, status="COMPLETED", output='{"c":"table"}')))
    (shown,) = (await workflows(index)).hits
    assert (shown.status, shown.input, shown.output) == (
        "COMPLETED",
        '{"a":"lamp"}',
        '{"b":"chair"}',
    )
    assert await ids(index, words="lamp chair") == {"w1"}
    assert await task_ids(index, "status=COMPLETED", "table") == {"w1.a.0"}
    assert await task_ids(index, "status=SCHEDULED") == set()


async def words_of_a_former_document_are_gone(index: Index) -> None:
    await write(index, update(workflow(1, output='{"a":"lamp"}'), task(1, output='{"a":"lamp"}')))
    await write(index, update(workflow(1, commit=2, output="{}"), task(1, output="{}")))
    assert await ids(index, words="lamp") == set()
    assert await task_ids(index, words="lamp") == set()


async def an_earlier_document_changes_nothing(index: Index) -> None:
    newer = workflow(1, commit=5, status="COMPLETED", output='{"a":"new"}')
    await write(index, update(newer, task(1, status="COMPLETED", output='{"a":"new"}')))
    older = workflow(1, commit=4, output='{"a":"old"}')
    await write(index, update(older, task(1, output='{"a":"old"}'), removed_keys=("a",)))
    assert await ids(index, "status=COMPLETED", "new") == {"w1"}
    assert await ids(index, words="old") == set()
    assert await task_ids(index, "status=COMPLETED", "new") == {"w1.a.0"}


async def updates_of_one_batch_hold_in_their_order(index: Index) -> None:
    await write(
        index,
        update(workflow(1), task(1)),
        Update(workflow_id="w1"),
        update(workflow(1, status="PAUSED"), task(1, "b"), whole=True, more=True),
        update(workflow(1, status="PAUSED"), task(1, "c")),
        update(workflow(2)),
    )
    assert await ids(index, "status=PAUSED") == {"w1"}
    assert await ids(index) == {"w1", "w2"}
    assert await task_ids(index) == {"w1.b.0", "w1.c.0"}


async def what_is_gone_is_not_found(index: Index) -> None:
    for number in (1, 2):
        await write(index, update(workflow(number, input='{"a":"lamp"}'), task(number)))
    await write(index, Update(workflow_id="w1"), Update(workflow_id="never"))
    assert await ids(index) == {"w2"}
    assert await ids(index, words="lamp") == {"w2"}
    assert await task_ids(index) == {"w2.a.0"}
    assert await task_ids(index, words="task") == {"w2.a.0"}


async def tasks_that_were_removed_are_gone(index: Index) -> None:
    given = [
        task(1, "a", 0, former=True),
        task(1, "a", 1),
        task(1, "b", 0, former=True),
        task(1, "b", 1),
        task(1, "c"),
    ]
    await write(index, update(workflow(1), *given))
    later = workflow(1, commit=2)
    await write(
        index,
        update(later, task(1, "a", 9), removed_keys=("a",), removed_ids=("w1.b.0",)),
    )
    assert await task_ids(index) == {"w1.a.0", "w1.a.9", "w1.b.1", "w1.c.0"}
    assert await task_ids(index, words="a_task") == {"w1.a.0", "w1.a.9"}


async def the_whole_of_an_execution_takes_away_the_rest(index: Index) -> None:
    await write(index, update(workflow(1), task(1, "a"), task(1, "b")))
    await write(index, update(workflow(1, commit=2), task(1, "b"), whole=True))
    assert await task_ids(index) == {"w1.b.0"}


async def a_reset_leaves_nothing(index: Index) -> None:
    await write(index, update(workflow(1), task(1)))
    await index.set_origin("a store")
    assert await index.origin() == "a store"
    await index.reset()
    assert await index.origin() == ""
    assert (await ids(index), await task_ids(index)) == (set(), set())
    await write(index, update(workflow(2)))
    assert await ids(index) == {"w2"}


async def an_empty_batch_is_fine(index: Index) -> None:
    await index.write([])
    assert (await workflows(index)).total == 0


CHECKS: Final = (
    what_is_written_comes_back,
    texts_come_where_they_are_wanted,
    a_later_document_takes_the_place,
    words_of_a_former_document_are_gone,
    an_earlier_document_changes_nothing,
    updates_of_one_batch_hold_in_their_order,
    what_is_gone_is_not_found,
    tasks_that_were_removed_are_gone,
    the_whole_of_an_execution_takes_away_the_rest,
    a_reset_leaves_nothing,
    an_empty_batch_is_fine,
)

"""Conformance: what each condition finds."""

# ruff: noqa: D103 - the name of a check is its sentence

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.index.conformance.samples import (
    NOW_MS,
    ids,
    task,
    task_ids,
    update,
    workflow,
    write,
)

if TYPE_CHECKING:
    from podium.index.port import Index


async def fields_are_compared(index: Index) -> None:
    await write(
        index,
        update(workflow(1, correlation_id="x", priority=5)),
        update(workflow(2, status="COMPLETED", end_ms=NOW_MS + 9_000, parent_id="w1")),
        update(workflow(3, name="invoice", correlation_id="X", version=2)),
    )
    for text, wanted in (
        ("workflowId = w1", {"w1"}),
        ("workflowType = order", {"w1", "w2"}),
        ("workflowType != order", {"w3"}),
        ("workflowType IN (order, invoice) AND status IN (RUNNING)", {"w1", "w3"}),
        ("correlationId = x", {"w1"}),
        ('correlationId = ""', {"w2"}),
        ("correlationId IN (x, X)", {"w1", "w3"}),
        ("priority > 4", {"w1"}),
        ("priority <= 0 AND version >= 2", {"w3"}),
        ("parentWorkflowId = w1", {"w2"}),
        ('parentWorkflowId = ""', {"w1", "w3"}),
        ("executionTime > 0", {"w2"}),
        ("executionTime BETWEEN 7000 AND 7000", {"w2"}),
        (f"startTime > {NOW_MS + 1_000} AND startTime < {NOW_MS + 3_000}", {"w2"}),
        (f"startTime BETWEEN {NOW_MS + 2_000} AND {NOW_MS + 3_000}", {"w2", "w3"}),
        (f"endTime < {NOW_MS * 2}", {"w2"}),
        ("endTime IS null", {"w1", "w3"}),
        ("endTime IS not null", {"w2"}),
        ("correlationId IS NOT NULL AND (version = 1 OR version = 3)", {"w1"}),
        ("classifier = workflow", {"w1", "w2", "w3"}),
        ("classifier IN (agent)", set[str]()),
        ("status = RUNNING OR status = COMPLETED", {"w1", "w2", "w3"}),
        ("archived = 0", {"w1", "w2", "w3"}),
        ("archived = 1", set[str]()),
    ):
        assert await ids(index, text) == wanted, text


async def patterns_and_beginnings_are_matched(index: Index) -> None:
    for number, name in enumerate(("order-eu", "Order-US", "reorder", "100%_off", "a\\b")):
        await write(index, update(workflow(number, name=name)))
    for text, wanted in (
        ("workflowType = order*", {"w0", "w1"}),
        ("workflowType = *ORDER*", {"w0", "w1", "w2"}),
        ("workflowType = o*-eu", {"w0"}),
        ("workflowType = *", {"w0", "w1", "w2", "w3", "w4"}),
        ("workflowType != *order*", {"w3", "w4"}),
        ("workflowType = 100%*", {"w3"}),
        ("workflowType = 1%_*", set[str]()),
        ("workflowType = *_off", {"w3"}),
        ('workflowType = "a\\\\b*"', {"w4"}),
        ("workflowType IN (re*, 100*)", {"w2", "w3"}),
        ("workflowType IN (re*, order-eu)", {"w0", "w2"}),
        ("workflowType STARTS_WITH order", {"w0"}),
        ("workflowType STARTS_WITH 'O'", {"w1"}),
    ):
        assert await ids(index, text) == wanted, text


async def words_are_found_wherever_they_stand(index: Index) -> None:
    await write(
        index,
        update(workflow(1, name="new_order", input='{"customer":{"name":"Zoë O\'Hara"}}')),
        update(workflow(2, output='{"total":"42.50 EUR"}', reason="out of paper: tray 2")),
        update(workflow(3, correlation_id="c-17", failed_refs=("print_it",))),
    )
    for words, wanted in (
        ("", {"w1", "w2", "w3"}),
        ("*", {"w1", "w2", "w3"}),
        ("zoe", {"w1"}),
        ("ZOË o'hara", {"w1"}),
        ('"name zoë"', {"w1"}),
        ('"zoë name"', set[str]()),
        ("cust*", {"w1"}),
        ("cust", set[str]()),
        ("42.50", {"w2"}),
        ("paper eur", {"w2"}),
        ("paper zoe", set[str]()),
        ("c-17", {"w3"}),
        ("print", {"w3"}),
        ("w3", {"w3"}),
        ("new_order", {"w1"}),
    ):
        assert await ids(index, words=words) == wanted, words


async def texts_are_asked_for_their_words(index: Index) -> None:
    await write(
        index,
        update(workflow(1, input='{"a":"red lamp"}', output='{"a":"blue lamp"}')),
        update(workflow(2, input='{"a":"blue lamp"}', reason="no red left")),
    )
    for text, wanted in (
        ('input = "red lamp"', {"w1"}),
        ("output = blue", {"w1"}),
        ("input = bl*", {"w2"}),
        ("input STARTS_WITH re", {"w1"}),
        ("input != red", {"w2"}),
        ("reasonForIncompletion = red", {"w2"}),
        ("reasonForIncompletion IS null", {"w1"}),
        ("output IS null", {"w2"}),
        ("input IN (red, blue)", {"w1", "w2"}),
    ):
        assert await ids(index, text) == wanted, text


async def nothing_of_a_client_is_taken_for_syntax(index: Index) -> None:
    await write(index, update(workflow(1, name='x" OR 1=1 --', input='{"a":"NEAR AND b"}')))
    await write(index, update(workflow(2, name="y")))
    for text, wanted in (
        ('workflowType = "x\\" OR 1=1 --"', {"w1"}),
        ("workflowType = 'y; DROP TABLE workflow'", set[str]()),
        ("workflowType IN ('', ')')", set[str]()),
        ("workflowType STARTS_WITH 'x\" OR'", {"w1"}),
        ("workflowType = '%'", set[str]()),
        ("workflowType = '?'", set[str]()),
    ):
        assert await ids(index, text) == wanted, text
    for words, wanted in (
        ("NEAR AND", {"w1"}),
        ("input:NEAR", set[str]()),
        ('b" OR "y', set[str]()),
        ("NOT y", set[str]()),
        ("near(b)", set[str]()),
        ("{input}: b", set[str]()),
        ("^b", {"w1"}),
        ("b)", {"w1"}),
        ("b - y", set[str]()),
        ("'b'", {"w1"}),
        ("b\0", {"w1"}),
    ):
        assert await ids(index, words=words) == wanted, words
    assert await ids(index) == {"w1", "w2"}


async def tasks_are_asked_for_their_own_and_their_workflows_fields(index: Index) -> None:
    await write(
        index,
        update(
            workflow(1, correlation_id="c", priority=3),
            task(
                1,
                "a",
                status="COMPLETED",
                scheduled_ms=NOW_MS,
                start_ms=NOW_MS + 40,
                end_ms=NOW_MS + 100,
            ),
            task(1, "b", task_type="HTTP", domain="eu", output='{"a":"lamp"}'),
        ),
        update(workflow(2, name="invoice"), task(2, "a")),
    )
    for text, wanted in (
        ("taskId = w1.a.0", {"w1.a.0"}),
        ("taskType = HTTP", {"w1.b.0"}),
        ("taskDefName IN (a_task)", {"w1.a.0", "w2.a.0"}),
        ("referenceTaskName = b AND workflowType = order", {"w1.b.0"}),
        ("workflowName = invoice", {"w2.a.0"}),
        ("workflowId = w1 AND status = SCHEDULED", {"w1.b.0"}),
        ("correlationId = c AND workflowPriority = 3", {"w1.a.0", "w1.b.0"}),
        ("queueWaitTime = 40 AND executionTime = 60", {"w1.a.0"}),
        ("startTime IS null AND domain = eu", {"w1.b.0"}),
        ("output = lamp", {"w1.b.0"}),
    ):
        assert await task_ids(index, text) == wanted, text
    assert await task_ids(index, words="http lamp") == {"w1.b.0"}


CHECKS: Final = (
    fields_are_compared,
    patterns_and_beginnings_are_matched,
    words_are_found_wherever_they_stand,
    texts_are_asked_for_their_words,
    nothing_of_a_client_is_taken_for_syntax,
    tasks_are_asked_for_their_own_and_their_workflows_fields,
)

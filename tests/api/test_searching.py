"""Searches, lists and removals by filter, over a real channel."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from podium.conductor import execution_pb2 as execution
from podium.conductor import request_pb2 as request
from podium.conductor import search_pb2 as search
from podium.conductor import workflow_service_pb2 as workflow
from tests.api.calls import TASKS, WORKFLOWS, plain, refusal, simple, values, workflow_def
from tests.api.edge import Edge
from tests.api.test_flow import completed, polled, registered

if TYPE_CHECKING:
    from collections.abc import Sequence


async def begun(
    edge: Edge, name: str, *, correlation_id: str = "", priority: int = 0, **content: Any
) -> str:
    """Start an execution with an input; the next one starts later."""
    asked = request.StartWorkflowRequest(
        name=name, correlation_id=correlation_id, priority=priority
    )
    values(asked, "input", content)
    workflow_id: str = (await edge.workflows.StartWorkflow(asked)).workflow_id
    at_ms = edge.clock.now_ms()
    while edge.clock.now_ms() == at_ms:  # noqa: ASYNC110 - it has no signal
        await asyncio.sleep(0)
    return workflow_id


async def prepared(edge: Edge, *names: str) -> None:
    """Definitions of one task each, called as its workflow."""
    await registered(edge, *(workflow_def(name, simple(f"{name}_task")) for name in names))


async def found(
    edge: Edge, query: str = "", free_text: str = "", sort: str = "", **page: int
) -> workflow.WorkflowSummarySearchResult:
    """Summaries."""
    return await edge.workflows.Search(
        search.Request(query=query, free_text=free_text, sort=sort, **page)
    )


def ids(summaries: Sequence[Any]) -> list[str]:
    return [each.workflow_id for each in summaries]


async def test_what_was_answered_is_found() -> None:
    async with Edge() as edge:
        await prepared(edge, "order", "invoice")
        # Given starts, whose answers came
        first = await begun(edge, "order", correlation_id="c-1", priority=7, customer="Zoë Müller")
        second = await begun(edge, "invoice")
        # When they are searched for, then they are there at once
        result = await found(edge, "workflowType IN (order,invoice) AND status = RUNNING")
        assert (result.total_hits, ids(result.results)) == (2, [second, first])
        result = await found(edge, f'workflowId="{first}"')
        (shown,) = result.results
        assert (shown.workflow_type, shown.version, shown.correlation_id) == ("order", 1, "c-1")
        assert (shown.priority, shown.end_time, shown.execution_time) == (7, "", 0)
        assert shown.input == '{"customer":"Zoë Müller"}'
        assert (shown.output, shown.status) == ("{}", execution.Workflow.RUNNING)
        # And so are the end, the output, and the reason
        await completed(edge, await polled(edge, "order_task"), total=42)
        await edge.workflows.TerminateWorkflow(
            workflow.TerminateWorkflowRequest(workflow_id=second, reason="out of paper")
        )
        result = await found(edge, "status IN (COMPLETED,TERMINATED)", sort="workflowType:ASC")
        assert ids(result.results) == [second, first]
        terminated, ended = result.results
        assert terminated.reason_for_incompletion == "out of paper"
        assert (ended.output, ended.end_time[-1]) == ('{"total":42}', "Z")
        assert ended.execution_time > 0
        # And by their words
        for words, wanted in (
            ("müller", [first]),
            ('"zoe muller"', [first]),
            ("mull*", [first]),
            ("customer order", [first]),
            ("paper", [second]),
            ("*", [second, first]),
            ("nobody", []),
        ):
            assert ids((await found(edge, free_text=words)).results) == wanted, words


async def test_pages_and_counts_are_right() -> None:
    async with Edge() as edge:
        await prepared(edge, "order")
        started = [await begun(edge, "order") for _ in range(5)]
        query = "workflowType IN (order) AND status IN (RUNNING)"
        for start, size, wanted in ((0, 2, 2), (2, 2, 2), (4, 2, 1), (6, 2, 0), (0, 0, 5)):
            page = await found(edge, query, sort="workflowId:ASC", start=start, size=size)
            assert page.total_hits == 5
            assert ids(page.results) == sorted(started)[start : start + wanted]
        # A field that is not there is passed over, as user interfaces of Conductor rely on
        page = await found(edge, f"{query} AND ownerApp = 'x' AND classifier=workflow")
        assert page.total_hits == 5


async def test_tasks_are_found_and_lead_to_their_executions() -> None:
    async with Edge() as edge:
        await prepared(edge, "order", "invoice")
        first = await begun(edge, "order", sheet="A4")
        await begun(edge, "invoice")
        task = await polled(edge, "order_task")
        query = "taskDefName IN (order_task) AND status IN (IN_PROGRESS)"
        result = await edge.tasks.Search(search.Request(query=query))
        (shown,) = result.results
        assert result.total_hits == 1
        assert (shown.task_id, shown.workflow_id) == (task.task_id, first)
        assert (shown.workflow_type, shown.task_type) == ("order", "order_task")
        assert shown.end_time == "1970-01-01T00:00:00.000Z"
        await completed(edge, task, total=1)
        whole = await edge.tasks.SearchV2(search.Request(query=f'taskId="{task.task_id}"'))
        assert whole.total_hits == 1
        assert plain(whole.results[0].output_data) == {"total": 1}
        asked = search.Request(query="workflowType = order AND taskType = order_task")
        by_tasks = await edge.workflows.SearchByTasks(asked)
        assert (by_tasks.total_hits, ids(by_tasks.results)) == (1, [first])
        for method in (edge.workflows.SearchByTasksV2, edge.workflows.SearchV2):
            asked = search.Request(query="workflowType = order")
            executions = await method(asked)
            assert (executions.total_hits, ids(executions.results)) == (1, [first])
            assert plain(executions.results[0].input) == {"sheet": "A4"}


async def test_an_execution_of_many_tasks_is_shown_and_counted_once() -> None:
    async with Edge() as edge:
        await registered(edge, workflow_def("chain", simple("a"), simple("b"), simple("c")))
        first = await begun(edge, "chain")
        for name in ("a", "b"):
            await completed(edge, await polled(edge, name))
        second = await begun(edge, "chain")
        asked = search.Request(query="workflowType=chain", sort="taskDefName:DESC", size=1)
        result = await edge.workflows.SearchByTasks(asked)
        assert (result.total_hits, ids(result.results)) == (2, [first])
        asked.start = 1
        assert ids((await edge.workflows.SearchByTasks(asked)).results) == [second]


async def test_s_193_executions_by_correlation_id() -> None:
    async with Edge() as edge:
        await prepared(edge, "order", "invoice")
        older = await begun(edge, "order", correlation_id="c")
        newer = await begun(edge, "order", correlation_id="c")
        paused = await begun(edge, "order", correlation_id="c")
        await begun(edge, "invoice", correlation_id="c")
        await edge.workflows.PauseWorkflow(workflow.PauseWorkflowRequest(workflow_id=paused))
        asked = workflow.GetWorkflowsRequest(name="order", correlation_id=["c", "none"])
        answer = (await edge.workflows.GetWorkflows(asked)).workflows_by_id
        assert ids(answer["c"].workflows) == [newer, older]
        assert "none" in answer
        assert not answer["none"].workflows
        assert not answer["c"].workflows[0].tasks
        asked.include_closed = asked.include_tasks = True
        answer = (await edge.workflows.GetWorkflows(asked)).workflows_by_id
        assert ids(answer["c"].workflows) == [paused, newer, older]
        assert [len(each.tasks) for each in answer["c"].workflows] == [1, 1, 1]


async def test_s_192_s_669_running_executions() -> None:
    async with Edge() as edge:
        await prepared(edge, "order", "invoice")
        begin_ms = edge.clock.now_ms()
        first, ended = [await begun(edge, "order") for _ in range(2)]
        await begun(edge, "invoice")
        await edge.workflows.TerminateWorkflow(workflow.TerminateWorkflowRequest(workflow_id=ended))
        asked = workflow.GetRunningWorkflowsRequest(name="order")
        for asked.version, wanted in ((0, [first]), (1, [first]), (2, [])):
            answer = await edge.workflows.GetRunningWorkflows(asked)
            assert list(answer.workflow_ids) == wanted
        asked.version, asked.start_time, asked.end_time = 0, begin_ms, begin_ms + 60_000
        answer = await edge.workflows.GetRunningWorkflows(asked)
        assert set(answer.workflow_ids) == {first, ended}
        asked.start_time, asked.end_time = begin_ms + 60_000, begin_ms + 120_000
        assert not (await edge.workflows.GetRunningWorkflows(asked)).workflow_ids


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"query": "status ="}, "query: expected a value, found the end at character 9"),
        ({"query": "status RUNNING"}, "after 'status', found 'RUNNING' at character 8"),
        ({"query": "startTime > soon"}, "epoch ms or ISO 8601 for startTime, found 'soon'"),
        ({"query": "(status=A"}, "query: expected AND, OR or ), found the end at character 10"),
        ({"query": 'status="A'}, 'expected " to end the text that begins at character 8'),
        ({"query": "status IN (A"}, "expected , or ), found the end at character 13"),
        ({"sort": "startTime:UP"}, "sort: expected ASC or DESC after 'startTime', found 'UP'"),
        ({"free_text": "!!"}, "free_text: expected 1 to 64 words, or * for everything, found '!!'"),
        ({"size": 5001}, "size: Cannot return more than 5000 results, found 5001"),
        ({"size": -1}, "size: expected 0 to 5000, found -1"),
        ({"start": -1}, "start: expected 0 to 2147483647, found -1"),
    ],
)
async def test_what_cannot_be_understood_is_refused_at_its_place(
    fields: dict[str, Any], expected: str
) -> None:
    async with Edge() as edge:
        for path in (
            *(f"{WORKFLOWS}{each}" for each in ("Search", "SearchByTasks", "SearchV2")),
            f"{TASKS}Search",
            f"{TASKS}SearchV2",
        ):
            code, text = await refusal(edge, path, search.Request(**fields))
            assert code == "INVALID_ARGUMENT"
            assert expected in text, path


async def test_masked_values_are_neither_shown_nor_found() -> None:
    async with Edge() as edge:
        definition = workflow_def("order", simple("order_task"))
        definition.masked_fields.append("card")
        await registered(edge, definition)
        first = await begun(edge, "order", card="4711", holder="Ann")
        await completed(edge, await polled(edge, "order_task"), card="4712")
        (shown,) = (await found(edge, free_text="Ann")).results
        assert shown.workflow_id == first
        assert json.loads(shown.input) == {"card": "***", "holder": "Ann"}
        assert shown.output == '{"card":"***"}'
        for words in ("4711", "4712"):
            assert not (await found(edge, free_text=words)).total_hits
            hits = await edge.tasks.Search(search.Request(free_text=words))
            assert not hits.total_hits


async def removed(edge: Edge, workflow_id: str, *, archive: bool) -> None:
    await edge.workflows.RemoveWorkflow(
        workflow.RemoveWorkflowRequest(workflod_id=workflow_id, archive_workflow=archive)
    )


async def test_what_is_removed_is_not_found_and_what_is_archived_is() -> None:
    async with Edge() as edge:
        await prepared(edge, "order")
        gone, kept = [await begun(edge, "order", n=number) for number in range(2)]
        for _ in range(2):
            await completed(edge, await polled(edge, "order_task"), found="here")
        await removed(edge, gone, archive=False)
        await removed(edge, kept, archive=True)
        result = await found(edge, free_text="here")
        assert (result.total_hits, ids(result.results)) == (1, [kept])
        whole = await edge.workflows.SearchV2(search.Request(query=f"workflowId='{kept}'"))
        assert plain(whole.results[0].output) == {"found": "here"}
        tasks = await edge.tasks.SearchV2(search.Request(query="taskDefName=order_task"))
        assert tasks.total_hits == 1
        assert tasks.results[0].workflow_instance_id == kept
        await removed(edge, kept, archive=False)
        assert not (await found(edge)).total_hits
        assert not (await edge.tasks.Search(search.Request())).total_hits


async def test_searches_at_once_all_see_what_came_before() -> None:
    async with Edge() as edge:
        await prepared(edge, "order")

        async def start_and_find() -> None:
            workflow_id = await begun(edge, "order")
            assert (await found(edge, f"workflowId='{workflow_id}'")).total_hits == 1

        await asyncio.gather(*(start_and_find() for _ in range(40)))

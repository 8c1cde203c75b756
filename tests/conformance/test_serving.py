"""Starts, tasks and definitions over a real channel (sections 1.5 and 10)."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import request_pb2 as request
from podium.conductor import task_service_pb2 as task
from podium.conductor import workflow_service_pb2 as workflow
from tests.api.calls import METADATA, TASKS, WORKFLOWS, plain, refusal, simple, values
from tests.api.edge import Edge
from tests.api.test_flow import completed, polled, registered, started, status_of
from tests.api.waiting import ended


def flow(*refs: str, version: int = 1) -> definition.WorkflowDef:
    return definition.WorkflowDef(
        name="w", version=version, tasks=[simple(ref) for ref in refs], schema_version=2
    )


async def test_s_031_a_running_execution_keeps_its_definition() -> None:
    async with Edge() as edge:
        await registered(edge, flow("a", "b"))
        workflow_id = await started(edge, "w")
        update = metadata.UpdateWorkflowsRequest(defs=[flow("a", "c")])
        await edge.metadata.UpdateWorkflows(update)
        await completed(edge, await polled(edge, "a"))
        read = await status_of(edge, workflow_id)
        assert [each.reference_task_name for each in read.tasks] == ["a", "b"]


async def test_s_052_which_definition_is_started() -> None:
    async with Edge() as edge:
        await registered(edge, flow("one"), flow("two", version=2))
        for asked, first, version in (
            (request.StartWorkflowRequest(name="w"), "two", 2),
            (request.StartWorkflowRequest(name="w", version=1), "one", 1),
            (request.StartWorkflowRequest(name="w", workflow_def=flow("in", version=9)), "in", 9),
        ):
            workflow_id = (await edge.workflows.StartWorkflow(asked)).workflow_id
            read = await status_of(edge, workflow_id)
            assert read.workflow_definition.version == version
            assert read.tasks[0].reference_task_name == first
        gone = request.StartWorkflowRequest(name="w", version=3)
        assert (await refusal(edge, f"{WORKFLOWS}StartWorkflow", gone))[0] == "NOT_FOUND"


async def test_s_053_s_058_a_start_without_input_has_a_random_id_and_an_empty_input() -> None:
    async with Edge() as edge:
        await registered(edge, flow("a"))
        ids = {await started(edge, "w") for _ in range(3)}
        assert len(ids) == 3
        assert {UUID(each).version for each in ids} == {4}
        read = await status_of(edge, next(iter(ids)))
        assert plain(read.input) == {}


async def test_s_663_s_664_s_667_errors_have_their_own_codes() -> None:
    async with Edge() as edge:
        gone = "11111111-1111-4111-8111-111111111111"
        for path, asked, code in (
            (f"{WORKFLOWS}GetWorkflowStatus",
             workflow.GetWorkflowStatusRequest(workflow_id=gone), "NOT_FOUND"),
            (f"{WORKFLOWS}PauseWorkflow",
             workflow.PauseWorkflowRequest(workflow_id=gone), "NOT_FOUND"),
            (f"{METADATA}GetTask", metadata.GetTaskRequest(task_type="gone"), "NOT_FOUND"),
            (f"{METADATA}GetWorkflow", metadata.GetWorkflowRequest(name="gone"), "NOT_FOUND"),
            (f"{TASKS}GetTask", task.GetTaskRequest(task_id=f"{gone}.a.0"), "NOT_FOUND"),
            (f"{METADATA}CreateWorkflow",
             metadata.CreateWorkflowRequest(workflow=definition.WorkflowDef(name="x")),
             "INVALID_ARGUMENT"),
        ):  # fmt: skip
            found, text = await refusal(edge, path, asked)
            assert found == code, (path, text)
            assert text


async def test_s_665_a_batch_poll_waits_five_seconds_at_most() -> None:
    async with Edge() as edge:
        asked = task.BatchPollRequest(task_type="a", timeout=5001)
        code, text = await refusal(edge, f"{TASKS}BatchPoll", asked)
        assert (code, "5001" in text) == ("INVALID_ARGUMENT", True)


async def test_s_668_what_a_start_message_says() -> None:
    async with Edge() as edge:
        await registered(edge, flow("a"))
        asked = request.StartWorkflowRequest(
            name="w", version=0, correlation_id="", priority=7, created_by="me"
        )
        values(asked, "input", {"n": 1, "text": "x"})
        workflow_id = (await edge.workflows.StartWorkflow(asked)).workflow_id
        read = await status_of(edge, workflow_id)
        assert (read.correlation_id, read.priority) == ("", 7)
        assert plain(read.input) == {"n": 1, "text": "x"}


async def test_s_671_a_whole_rerun_goes_over_the_wire() -> None:
    async with Edge() as edge:
        await registered(edge, flow("a"))
        workflow_id = await started(edge, "w", n=1)
        await completed(edge, await polled(edge, "a"))
        whole = request.RerunWorkflowRequest(re_run_from_workflow_id=workflow_id)
        await edge.workflows.RerunWorkflow(whole)
        read = await status_of(edge, workflow_id)
        assert read.status == execution.Workflow.RUNNING
        assert plain(read.input) == {"n": 1}  # an empty map is none


async def test_s_020_s_677_definitions_are_kept_and_read() -> None:
    async with Edge() as edge:
        await registered(edge, flow("a"), flow("b", version=3))
        again = metadata.CreateWorkflowRequest(workflow=flow("a"))
        assert (await refusal(edge, f"{METADATA}CreateWorkflow", again))[0] == "ALREADY_EXISTS"
        asked = metadata.GetWorkflowRequest(name="w", version=0)
        assert (await edge.metadata.GetWorkflow(asked)).workflow.version == 3
        for count in (1, 2):  # S-020: the second overwrites
            kinds = definition.TaskDef(name="t", retry_count=count)
            await edge.metadata.CreateTasks(metadata.CreateTasksRequest(defs=[kinds]))
        asked_kind = metadata.GetTaskRequest(task_type="t")
        assert (await edge.metadata.GetTask(asked_kind)).task.retry_count == 2
        unknown = metadata.UpdateTaskRequest(task=definition.TaskDef(name="new"))
        assert (await refusal(edge, f"{METADATA}UpdateTask", unknown))[0] == "NOT_FOUND"
        changed = metadata.UpdateTaskRequest(task=definition.TaskDef(name="t", retry_count=5))
        await edge.metadata.UpdateTask(changed)
        found = await edge.metadata.GetTask(metadata.GetTaskRequest(task_type="t"))
        assert found.task.retry_count == 5
        await edge.metadata.DeleteTask(metadata.DeleteTaskRequest(task_type="t"))
        gone = metadata.GetTaskRequest(task_type="t")
        assert (await refusal(edge, f"{METADATA}GetTask", gone))[0] == "NOT_FOUND"


@pytest.mark.parametrize("value", [1, 1.5, True, None, "x", [1, {"a": None}], {"n": 2**40}])
async def test_s_679_to_s_681_values_survive_the_wire(value: object) -> None:
    async with Edge() as edge:
        await registered(edge, flow("a"))
        workflow_id = await started(edge, "w", v=value)
        got = await polled(edge, "a")
        await completed(edge, got, v=value)
        read = await status_of(edge, workflow_id)
        assert (plain(read.input), plain(read.output)) == ({"v": value}, {"v": value})


async def test_s_057_a_child_may_be_named_by_an_expression_without_a_version() -> None:
    async with Edge() as edge:
        part = simple("part", type="SUB_WORKFLOW")
        part.sub_workflow_param.name = "${workflow.input.child}"
        parent = definition.WorkflowDef(name="parent", tasks=[part])
        await registered(edge, flow("a"), flow("b", version=2), parent)
        parent_id = await started(edge, "parent", child="w")
        await completed(edge, await polled(edge, "b"))
        assert (await ended(edge, parent_id)).status == execution.Workflow.COMPLETED


async def test_s_175_s_720_the_last_ten_lines_of_a_result_are_kept() -> None:
    async with Edge() as edge:
        await registered(edge, flow("a"))
        await started(edge, "w")
        got = await polled(edge, "a")
        result = execution.TaskResult(
            workflow_instance_id=got.workflow_instance_id, task_id=got.task_id, worker_id="w"
        )
        for number in range(12):
            result.logs.add(log=f"line {number}", created_time=number + 1)
        await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=result))
        kept = await edge.store.logs(got.task_id)
        assert [line for _, line in kept] == [f"line {number}" for number in range(2, 12)]


@pytest.mark.parametrize(
    ("kind", "parameter", "script"),
    [
        ("INLINE", "expression", "$.a.push(9); $.b = 1; $.a.length"),
        ("LAMBDA", "scriptExpression", "$.a.push(9); $.b = 1; return $.a.length"),
    ],
)
async def test_s_348_a_script_changes_no_input(kind: str, parameter: str, script: str) -> None:
    async with Edge() as edge:
        computes = simple("i", type=kind)
        given = {parameter: script, "a": [1], "evaluatorType": "javascript"}
        values(computes, "input_parameters", given)
        await registered(edge, definition.WorkflowDef(name="w", tasks=[computes]))
        found = await ended(edge, await started(edge, "w"))
        assert plain(found.output) == {"result": 2}
        assert plain(found.tasks[0].input_data) == given


async def test_s_124_a_skipped_task_has_the_data_that_the_message_gives() -> None:
    async with Edge() as edge:
        await registered(edge, flow("a", "b"))
        workflow_id = await started(edge, "w")
        skip = workflow.SkipTaskRequest(workflow_id=workflow_id, task_reference_name="b")
        values(skip.request, "task_input", {"i": 1})
        values(skip.request, "task_output", {"o": 2})
        await edge.workflows.SkipTaskFromWorkflow(skip)
        read = await status_of(edge, workflow_id)
        [skipped] = [each for each in read.tasks if each.reference_task_name == "b"]
        assert (plain(skipped.input_data), plain(skipped.output_data)) == ({"i": 1}, {"o": 2})
        await completed(edge, await polled(edge, "a"))
        assert (await ended(edge, workflow_id)).status == execution.Workflow.COMPLETED


async def test_s_152_one_call_ends_and_removes_what_runs_and_what_has_ended() -> None:
    async with Edge() as edge:
        await registered(edge, flow("a"))
        running, done = [await started(edge, "w") for _ in range(2)]
        for _ in range(2):
            got = await polled(edge, "a")
            if got.workflow_instance_id == done:
                await completed(edge, got)
        assert (await status_of(edge, done)).status == execution.Workflow.COMPLETED
        for workflow_id in (running, done):
            remove = workflow.RemoveWorkflowRequest(workflod_id=workflow_id)
            await edge.workflows.RemoveWorkflow(remove)
            look = workflow.GetWorkflowStatusRequest(workflow_id=workflow_id)
            async with asyncio.timeout(30):
                while (await gone(edge, look)) is None:  # noqa: ASYNC110 - it has no signal
                    await asyncio.sleep(0)


async def gone(edge: Edge, look: workflow.GetWorkflowStatusRequest) -> str | None:
    """The code of a look at an execution that is gone; None while it is there."""
    try:
        return (await refusal(edge, f"{WORKFLOWS}GetWorkflowStatus", look))[0]
    except AssertionError:
        return None

"""Logs of tasks over a real channel: added, reported, read, bounded (S-175, S-126)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.app import task_logs
from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import request_pb2 as request
from podium.conductor import task_service_pb2 as task
from podium.conductor import workflow_service_pb2 as workflow
from podium.store.task_log import LOG_LINES_LIMIT
from tests.api.calls import TASKS, refusal, simple
from tests.api.edge import Edge
from tests.api.test_flow import completed, polled, registered, started, status_of
from tests.api.waiting import ended

if TYPE_CHECKING:
    import pytest

NOBODY = "11111111-1111-4111-8111-111111111111.aaaaaaaaaaaaaaaa.0"


async def added(edge: Edge, task_id: str, *lines: str) -> None:
    for line in lines:
        await edge.tasks.AddLog(task.AddLogRequest(task_id=task_id, log=line))


async def read(edge: Edge, task_id: str) -> list[execution.TaskExecLog]:
    answer = await edge.tasks.GetTaskLogs(task.GetTaskLogsRequest(task_id=task_id))
    return list(answer.logs)


async def texts(edge: Edge, task_id: str) -> list[str]:
    return [each.log for each in await read(edge, task_id)]


async def one(edge: Edge) -> execution.Task:
    await registered(edge, definition.WorkflowDef(name="one", tasks=[simple("a")]))
    await started(edge)
    return await polled(edge, "a")


async def test_s_175_lines_are_added_and_read_with_their_time_and_task() -> None:
    async with Edge() as edge:
        got = await one(edge)
        assert await read(edge, got.task_id) == []
        before_ms = edge.clock.now_ms()
        await added(edge, got.task_id, "first", "second \N{SNOWMAN}")
        found = await read(edge, got.task_id)
        assert [each.log for each in found] == ["first", "second \N{SNOWMAN}"]
        assert {each.task_id for each in found} == {got.task_id}
        assert all(before_ms <= each.created_time <= edge.clock.now_ms() for each in found)
        await completed(edge, got)
        await added(edge, got.task_id, "after its end")
        assert (await texts(edge, got.task_id))[-1] == "after its end"


async def test_s_175_of_a_result_the_last_ten_lines_are_kept() -> None:
    async with Edge() as edge:
        got = await one(edge)
        await added(edge, got.task_id, "before")
        result = execution.TaskResult(
            workflow_instance_id=got.workflow_instance_id,
            task_id=got.task_id,
            status=execution.TaskResult.COMPLETED,
        )
        for number in range(12):
            result.logs.add(log=f"line {number}", created_time=number + 1)
        for _ in range(2):  # what ended already takes no more
            await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=result))
        found = await read(edge, got.task_id)
        assert [each.log for each in found] == [
            "before",
            *(f"line {number}" for number in range(2, 12)),
        ]
        assert [each.created_time for each in found[1:]] == list(range(3, 13))


async def test_lines_are_bounded_in_number_and_length(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Edge() as edge:
        got = await one(edge)
        lines = [(number, "x") for number in range(1, LOG_LINES_LIMIT + 1)]
        await edge.store.add_logs(got.task_id, lines)
        await added(edge, got.task_id, "é" * 20_000)
        found = await read(edge, got.task_id)
        assert len(found) == LOG_LINES_LIMIT
        assert (found[0].created_time, len(found[-1].log)) == (2, 16_384)
        monkeypatch.setattr(task_logs, "ANSWER_BYTES_MAX", 2 * 16_384 + 3)
        assert await texts(edge, got.task_id) == ["x", "x", "x", "é" * 16_384]


async def test_unknown_tasks_and_empty_lines_are_refused() -> None:
    async with Edge() as edge:
        got = await one(edge)
        unknown = f"expected the id of a task, found no task {NOBODY}"
        for path, asked, code, text in (
            (f"{TASKS}AddLog", task.AddLogRequest(log="x"), "INVALID_ARGUMENT",
             "task_id: expected a task id, found none"),
            (f"{TASKS}AddLog", task.AddLogRequest(task_id=got.task_id), "INVALID_ARGUMENT",
             "log: expected a line, found none"),
            (f"{TASKS}AddLog", task.AddLogRequest(task_id=NOBODY, log="x"), "NOT_FOUND", unknown),
            (f"{TASKS}GetTaskLogs", task.GetTaskLogsRequest(), "INVALID_ARGUMENT",
             "task_id: expected a task id, found none"),
            (f"{TASKS}GetTaskLogs", task.GetTaskLogsRequest(task_id=NOBODY), "NOT_FOUND", unknown),
            (f"{TASKS}GetTaskLogs", task.GetTaskLogsRequest(task_id="nonsense"), "NOT_FOUND",
             "found no task nonsense"),
        ):  # fmt: skip
            found = await refusal(edge, path, asked)
            assert (found[0], text in found[1]) == (code, True), found
        assert await texts(edge, got.task_id) == []


async def test_an_archived_task_has_no_log_and_takes_none() -> None:
    async with Edge() as edge:
        got = await one(edge)
        await added(edge, got.task_id, "line")
        await completed(edge, got)
        remove = workflow.RemoveWorkflowRequest(
            workflod_id=got.workflow_instance_id, archive_workflow=True
        )
        await edge.workflows.RemoveWorkflow(remove)
        assert await texts(edge, got.task_id) == []
        asked = task.AddLogRequest(task_id=got.task_id, log="late")
        assert (await refusal(edge, f"{TASKS}AddLog", asked))[0] == "NOT_FOUND"
        assert await edge.store.logs(got.task_id) == []


async def parents_log(edge: Edge, parent_id: str) -> list[str]:
    [waiting] = (await status_of(edge, parent_id)).tasks
    return await texts(edge, waiting.task_id)


async def failed_family(edge: Edge) -> tuple[str, str]:
    """A parent and its child, both FAILED."""
    part = simple("part", type="SUB_WORKFLOW")
    part.sub_workflow_param.name = "child"
    await registered(
        edge,
        definition.WorkflowDef(name="child", tasks=[simple("a")], restartable=True),
        definition.WorkflowDef(name="one", tasks=[part]),
    )
    parent_id = await started(edge)
    got = await polled(edge, "a")
    await failed(edge, got)
    assert (await ended(edge, parent_id)).status == execution.Workflow.FAILED
    return parent_id, got.workflow_instance_id


async def failed(edge: Edge, got: execution.Task) -> None:
    result = execution.TaskResult(
        workflow_instance_id=got.workflow_instance_id,
        task_id=got.task_id,
        status=execution.TaskResult.FAILED_WITH_TERMINAL_ERROR,
    )
    await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=result))


async def test_s_126_a_task_whose_child_goes_on_says_so_in_its_log() -> None:
    async with Edge() as edge:
        parent_id, child_id = await failed_family(edge)
        assert await parents_log(edge, parent_id) == []
        await edge.workflows.RetryWorkflow(workflow.RetryWorkflowRequest(workflow_id=child_id))
        await failed(edge, await polled(edge, "a"))
        assert (await ended(edge, parent_id)).status == execution.Workflow.FAILED
        restart = workflow.RestartWorkflowRequest(workflow_id=child_id)
        await edge.workflows.RestartWorkflow(restart)
        await completed(edge, await polled(edge, "a"))
        assert (await ended(edge, parent_id)).status == execution.Workflow.COMPLETED
        name = f"child.1/{child_id}"
        assert await parents_log(edge, parent_id) == [
            f"Sub workflow {name} retried.",
            f"Sub workflow {name} restarted.",
        ]


async def test_s_126_a_rerun_and_a_retry_by_the_parent_are_noted_too() -> None:
    async with Edge() as edge:
        parent_id, child_id = await failed_family(edge)
        resume = workflow.RetryWorkflowRequest(workflow_id=parent_id, resume_subworkflow_tasks=True)
        await edge.workflows.RetryWorkflow(resume)
        await failed(edge, await polled(edge, "a"))
        assert (await ended(edge, parent_id)).status == execution.Workflow.FAILED
        rerun = request.RerunWorkflowRequest(re_run_from_workflow_id=child_id)
        await edge.workflows.RerunWorkflow(rerun)
        await completed(edge, await polled(edge, "a"))
        assert (await ended(edge, parent_id)).status == execution.Workflow.COMPLETED
        name = f"child.1/{child_id}"
        assert await parents_log(edge, parent_id) == [
            f"Sub workflow {name} retried.",
            f"Sub workflow {name} reran.",
        ]

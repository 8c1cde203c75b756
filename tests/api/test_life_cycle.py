"""What operators do with executions, over a real channel: pause, retry, rerun, remove, signal."""

from __future__ import annotations

import asyncio
from typing import Any

from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import request_pb2 as request
from podium.conductor import task_service_pb2 as task
from podium.conductor import workflow_service_pb2 as workflow
from podium.v1 import worker_pb2 as worker
from podium.v1 import workflow_pb2 as podium
from tests.api.calls import TASKS, WORKFLOWS, plain, refusal, simple, values
from tests.api.edge import Edge
from tests.api.test_flow import completed, polled, registered, started, status_of
from tests.api.test_operators import flow, scripted
from tests.api.waiting import ended


async def test_an_operator_pauses_skips_and_resumes() -> None:
    async with Edge() as edge:
        await registered(edge, flow(simple("a"), simple("b"), simple("c"), y="${b.output.y}"))
        workflow_id = await started(edge, "scripts")
        await edge.workflows.PauseWorkflow(workflow.PauseWorkflowRequest(workflow_id=workflow_id))
        await completed(edge, await polled(edge, "a"))
        status = await status_of(edge, workflow_id)
        assert status.status == execution.Workflow.PAUSED
        assert len(status.tasks) == 1
        skip = workflow.SkipTaskRequest(workflow_id=workflow_id, task_reference_name="b")
        values(skip.request, "task_output", {"y": 7})
        code, text = await refusal(edge, f"{WORKFLOWS}SkipTaskFromWorkflow", skip)
        assert (code, "expected RUNNING, found PAUSED" in text) == ("FAILED_PRECONDITION", True)
        resume = workflow.ResumeWorkflowRequest(workflow_id=workflow_id)
        await edge.workflows.ResumeWorkflow(resume)
        code, text = await refusal(edge, f"{WORKFLOWS}ResumeWorkflow", resume)
        assert (code, "Current status is RUNNING" in text) == ("FAILED_PRECONDITION", True)
        skip.task_reference_name = "c"
        await edge.workflows.SkipTaskFromWorkflow(skip)
        await completed(edge, await polled(edge, "b"), y=1)
        found = await ended(edge, workflow_id)
        assert found.status == execution.Workflow.COMPLETED
        assert plain(found.output) == {"y": 1}


async def test_callbacks_are_reset_and_a_decision_is_looked_at() -> None:
    async with Edge() as edge:
        await registered(edge, flow(simple("a")))
        workflow_id = await started(edge, "scripts")
        got = await polled(edge, "a")
        later = execution.TaskResult(workflow_instance_id=workflow_id, task_id=got.task_id,
                                     status=execution.TaskResult.IN_PROGRESS,
                                     callback_after_seconds=3600)  # fmt: skip
        await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=later))
        await edge.workflows.ResetWorkflowCallbacks(
            workflow.ResetWorkflowCallbacksRequest(workflow_id=workflow_id)
        )
        await completed(edge, await polled(edge, "a"))
        decide = workflow.DecideWorkflowRequest(workflow_id=workflow_id)
        await edge.workflows.DecideWorkflow(decide)
        decide.workflow_id = "gone"
        code, _ = await refusal(edge, f"{WORKFLOWS}DecideWorkflow", decide)
        assert code == "NOT_FOUND"


async def test_a_failed_workflow_is_retried_over_the_wire() -> None:
    async with Edge() as edge:
        await registered(edge, flow(simple("a"), simple("b")))
        workflow_id = await started(edge, "scripts")
        got = await polled(edge, "a")
        failure = execution.TaskResult(
            workflow_instance_id=workflow_id,
            task_id=got.task_id,
            status=execution.TaskResult.FAILED_WITH_TERMINAL_ERROR,
        )
        await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=failure))
        assert (await ended(edge, workflow_id)).status == execution.Workflow.FAILED
        retry = workflow.RetryWorkflowRequest(workflow_id=workflow_id)
        await edge.workflows.RetryWorkflow(retry)
        code, text = await refusal(edge, f"{WORKFLOWS}RetryWorkflow", retry)
        assert (code, text) == (
            "FAILED_PRECONDITION",
            "Workflow is still running. status=RUNNING",
        )
        await completed(edge, await polled(edge, "a"))
        await completed(edge, await polled(edge, "b"))
        found = await ended(edge, workflow_id)
        assert found.status == execution.Workflow.COMPLETED
        assert [each.retry_count for each in found.tasks] == [0, 1, 0]


async def failed_in_a_child(edge: Edge) -> tuple[str, execution.Workflow]:
    """The parent, and its child that failed at its second task."""
    child = definition.WorkflowDef(name="child", tasks=[simple("a"), simple("b")])
    part = simple("part", type="SUB_WORKFLOW")
    part.sub_workflow_param.name = "child"
    await registered(edge, child, flow(part, simple("c"), x="${workflow.input.x}"))
    parent_id = await started(edge, "scripts", x=1)
    await completed(edge, await polled(edge, "a"))
    got = await polled(edge, "b")
    failure = execution.TaskResult(
        workflow_instance_id=got.workflow_instance_id,
        task_id=got.task_id,
        status=execution.TaskResult.FAILED_WITH_TERMINAL_ERROR,
    )
    await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=failure))
    assert (await ended(edge, parent_id)).status == execution.Workflow.FAILED
    return parent_id, await status_of(edge, got.workflow_instance_id)


async def test_a_workflow_is_rerun_from_a_task_of_its_child() -> None:
    async with Edge() as edge:
        parent_id, child = await failed_in_a_child(edge)
        asked = request.RerunWorkflowRequest(
            re_run_from_workflow_id=parent_id, re_run_from_task_id=child.tasks[0].task_id
        )
        values(asked, "task_input", {"t": 5})
        values(asked, "workflow_input", {"x": 2})
        answer = await edge.workflows.RerunWorkflow(asked)
        assert answer.workflow_id == parent_id
        got = await polled(edge, "a")
        assert plain(got.input_data) == {"t": 5}
        code, text = await refusal(edge, f"{WORKFLOWS}RerunWorkflow", asked)
        assert code == "FAILED_PRECONDITION"
        assert text.startswith(f"Workflow: {child.workflow_id} is not in terminal state")
        await completed(edge, got)
        await completed(edge, await polled(edge, "b"))
        await completed(edge, await polled(edge, "c"))
        found = await ended(edge, parent_id)
        assert found.status == execution.Workflow.COMPLETED
        assert plain(found.output) == {"x": 2}
        whole = request.RerunWorkflowRequest(re_run_from_workflow_id=parent_id)
        await edge.workflows.RerunWorkflow(whole)
        assert (await status_of(edge, parent_id)).status == execution.Workflow.RUNNING


async def test_a_workflow_is_restarted_with_its_latest_definition() -> None:
    async with Edge() as edge:
        parent_id, child = await failed_in_a_child(edge)
        await registered(edge, definition.WorkflowDef(name="child", version=2, tasks=[simple("n")]))
        restart = workflow.RestartWorkflowRequest(
            workflow_id=child.workflow_id, use_latest_definitions=True
        )
        await edge.workflows.RestartWorkflow(restart)
        code, _ = await refusal(edge, f"{WORKFLOWS}RestartWorkflow", restart)
        assert code == "FAILED_PRECONDITION"
        again = await status_of(edge, child.workflow_id)
        assert [each.reference_task_name for each in again.tasks] == ["n"]
        assert again.workflow_definition.version == 2
        await completed(edge, await polled(edge, "n"))
        await completed(edge, await polled(edge, "c"))
        assert (await ended(edge, parent_id)).status == execution.Workflow.COMPLETED


async def test_what_cannot_be_rerun_is_refused_by_name() -> None:
    async with Edge() as edge:
        parent_id, child = await failed_in_a_child(edge)
        asked = request.RerunWorkflowRequest(re_run_from_workflow_id=parent_id)
        for task_id in ("x", f"{parent_id}.key.0", f"{'0' * 36}.key.0"):
            asked.re_run_from_task_id = task_id
            assert await refusal(edge, f"{WORKFLOWS}RerunWorkflow", asked) == (
                "INVALID_ARGUMENT",
                f"Task {task_id} not found",
            )
        asked.re_run_from_task_id = ""
        values(asked, "task_input", {"t": 5})
        code, text = await refusal(edge, f"{WORKFLOWS}RerunWorkflow", asked)
        assert (code, text) == (
            "INVALID_ARGUMENT",
            "task_input: expected a task to give it to, found none",
        )
        asked.Clear()
        asked.re_run_from_workflow_id = "gone"
        code, _ = await refusal(edge, f"{WORKFLOWS}RerunWorkflow", asked)
        assert code == "NOT_FOUND"
        assert child.status == execution.Workflow.FAILED


async def test_a_removed_workflow_is_gone_and_an_archived_one_can_be_read() -> None:
    async with Edge() as edge:
        parent_id, child = await failed_in_a_child(edge)
        await edge.workflows.RemoveWorkflow(
            workflow.RemoveWorkflowRequest(workflod_id=parent_id, archive_workflow=True)
        )
        before = child.tasks[0]
        remove = workflow.RemoveWorkflowRequest(workflod_id=child.workflow_id)
        await edge.workflows.RemoveWorkflow(remove)
        found = await status_of(edge, parent_id)
        assert found.status == execution.Workflow.FAILED
        assert [each.reference_task_name for each in found.tasks] == ["part"]
        got = await edge.tasks.GetTask(task.GetTaskRequest(task_id=found.tasks[0].task_id))
        assert got.task.sub_workflow_id == child.workflow_id
        retry = workflow.RetryWorkflowRequest(workflow_id=parent_id)
        assert (await refusal(edge, f"{WORKFLOWS}RetryWorkflow", retry))[0] == "NOT_FOUND"
        for method, asked in (
            (f"{WORKFLOWS}RemoveWorkflow", remove),
            (f"{WORKFLOWS}GetWorkflowStatus",
             workflow.GetWorkflowStatusRequest(workflow_id=child.workflow_id)),
            (f"{TASKS}GetTask", task.GetTaskRequest(task_id=before.task_id)),
        ):  # fmt: skip
            assert (await refusal(edge, method, asked))[0] == "NOT_FOUND"
        again = workflow.RemoveWorkflowRequest(workflod_id=parent_id)
        await edge.workflows.RemoveWorkflow(again)
        assert (await refusal(edge, f"{WORKFLOWS}RemoveWorkflow", again))[0] == "NOT_FOUND"


async def test_what_runs_is_not_archived_and_ends_before_it_is_removed() -> None:
    async with Edge() as edge:
        await registered(edge, definition.WorkflowDef(name="child", tasks=[simple("a")]))
        part = simple("part", type="SUB_WORKFLOW")
        part.sub_workflow_param.name = "child"
        await registered(edge, flow(part))
        parent_id = await started(edge, "scripts")
        got = await polled(edge, "a")
        child_id = got.workflow_instance_id
        remove = workflow.RemoveWorkflowRequest(workflod_id=child_id, archive_workflow=True)
        assert await refusal(edge, f"{WORKFLOWS}RemoveWorkflow", remove) == (
            "INVALID_ARGUMENT",
            f"Cannot archive workflow: {child_id} with status: RUNNING",
        )
        remove.archive_workflow = False
        await edge.workflows.RemoveWorkflow(remove)
        parent = await ended(edge, parent_id)
        assert parent.status == execution.Workflow.TERMINATED
        result = execution.TaskResult(workflow_instance_id=child_id, task_id=got.task_id,
                                      status=execution.TaskResult.COMPLETED)  # fmt: skip
        late = task.UpdateTaskRequest(result=result)
        assert (await refusal(edge, f"{TASKS}UpdateTask", late))[0] == "NOT_FOUND"


async def test_s_836_a_signal_finds_the_wait_of_a_child() -> None:
    async with Edge() as edge:
        wait = simple("w", type="WAIT")
        reads = simple("b")
        values(reads, "input_parameters", {"v": "${workflow.variables.v}"})
        child = definition.WorkflowDef(name="child", tasks=[wait, reads])
        part = simple("part", type="SUB_WORKFLOW")
        part.sub_workflow_param.name = "child"
        await registered(edge, child, flow(part))
        parent_id = await started(edge, "scripts")
        found = podium.SignalResponse()
        async with asyncio.timeout(30):
            while not found.task_id:  # the child is on its way
                found = await edge.podium.Signal(
                    podium.SignalRequest(
                        workflow_id=parent_id, output=worker.Payload(json=b'{"y":1}')
                    )
                )
        assert found.workflow_id != parent_id
        inner = await status_of(edge, found.workflow_id)
        assert (inner.tasks[0].task_id, plain(inner.tasks[0].output_data)) == (
            found.task_id,
            {"y": 1},
        )
        variables = podium.UpdateVariablesRequest(
            workflow_id=found.workflow_id, variables=worker.Payload(json=b'{"v":3}')
        )
        await edge.podium.UpdateVariables(variables)
        assert plain((await status_of(edge, found.workflow_id)).variables) == {"v": 3}
        nothing = await edge.podium.Signal(podium.SignalRequest(workflow_id=parent_id))
        assert (nothing.workflow_id, nothing.task_id) == ("", "")


async def test_signals_and_variables_that_are_refused() -> None:
    async with Edge() as edge:
        await registered(edge, flow(scripted("NOOP", "n")))
        over = await started(edge, "scripts")
        await ended(edge, over)
        large = worker.Payload(json=b'{"x":"' + b"x" * 300_000 + b'"}')
        strange: Any = 77
        for method, asked, code, text in (
            ("Signal", podium.SignalRequest(workflow_id=over), "FAILED_PRECONDITION", "COMPLETED"),
            ("Signal", podium.SignalRequest(workflow_id="gone"), "NOT_FOUND", "gone"),
            ("Signal", podium.SignalRequest(workflow_id=over, status=strange), "INVALID_ARGUMENT",
             "status: expected one of"),
            ("Signal", podium.SignalRequest(workflow_id=over, output=worker.Payload(json=b"[]")),
             "INVALID_ARGUMENT", "output.json: expected a JSON object"),
            ("UpdateVariables", podium.UpdateVariablesRequest(workflow_id=over),
             "FAILED_PRECONDITION", "COMPLETED"),
            ("UpdateVariables", podium.UpdateVariablesRequest(workflow_id=over, variables=large),
             "INVALID_ARGUMENT", "variables"),
        ):  # fmt: skip
            found = await refusal(edge, f"/podium.v1.WorkflowService/{method}", asked)
            assert found[0] == code, (method, found)
            assert text in found[1]

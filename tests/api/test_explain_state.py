"""Explain, of executions: paused, parked, children, parents, and how closed ones ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import task_service_pb2 as task
from podium.conductor import workflow_service_pb2 as workflow
from tests.api.calls import simple
from tests.api.edge import Edge
from tests.api.explaining import explain, kinds, the, typed, until
from tests.api.test_flow import completed, polled, registered, started
from tests.api.test_operators import flow
from tests.api.test_parking import child_of, poison, refused
from tests.api.test_run_limit import limited
from tests.api.waiting import ended

if TYPE_CHECKING:
    import pytest


async def failed(edge: Edge, got: execution.Task, reason: str) -> None:
    result = execution.TaskResult(
        workflow_instance_id=got.workflow_instance_id,
        task_id=got.task_id,
        worker_id="w",
        status=execution.TaskResult.FAILED,
        reason_for_incompletion=reason,
    )
    await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=result))


async def pause(edge: Edge, workflow_id: str) -> None:
    await edge.workflows.PauseWorkflow(workflow.PauseWorkflowRequest(workflow_id=workflow_id))


async def test_a_paused_execution() -> None:
    async with Edge() as edge:
        await registered(edge, flow(simple("a"), simple("b")))
        workflow_id = await started(edge, "scripts")
        await pause(edge, workflow_id)
        await completed(edge, await polled(edge, "a"))
        found = await explain(edge, workflow_id)
        assert (found.status, kinds(found)) == ("PAUSED", ["PAUSED"])
        cause = the(found, "PAUSED")
        assert 0 < cause.since_ms < found.since_ms + 1
        assert "ResumeWorkflow" in cause.remedy


async def test_a_child_is_explained_within_its_parent() -> None:
    async with Edge() as edge:
        parent_id, got = await child_of(edge)
        found = await explain(edge, parent_id)
        assert kinds(found) == ["WAITING_CHILD"]
        cause = the(found, "WAITING_CHILD")
        assert cause.workflow_id == got.workflow_instance_id == cause.explanation.workflow_id
        assert kinds(cause.explanation) == ["LEASED"]
        assert the(cause.explanation, "LEASED").worker_id == "w"
        assert f"waits for child {got.workflow_instance_id}, which is RUNNING" in cause.message


async def test_a_paused_parent_is_told_of_its_child() -> None:
    async with Edge() as edge:
        parent_id, got = await child_of(edge)
        await pause(edge, parent_id)
        found = await explain(edge, got.workflow_instance_id)
        assert kinds(found) == ["PARENT_PAUSED", "LEASED"]
        assert the(found, "PARENT_PAUSED").workflow_id == parent_id
        await completed(edge, got)
        found = await explain(edge, got.workflow_instance_id)
        assert kinds(found) == ["NOTHING_WRONG", "PARENT_PAUSED"]


async def test_a_parked_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Edge() as edge:
        await registered(edge, flow(simple("a")))
        workflow_id = await started(edge, "scripts")
        poison(monkeypatch, edge.runtime, workflow_id)
        await refused(edge, workflow_id)
        found = await explain(edge, workflow_id)
        assert kinds(found) == ["PARKED", "NO_WORKER"]
        cause = the(found, "PARKED")
        assert cause.reason == "ZeroDivisionError"
        assert cause.place.startswith("rig.advance:")
        assert cause.message.startswith(
            "It is parked for less than a second: deciding Pause raised"
        )
        assert "secret" not in cause.message


async def test_records_that_cannot_be_read() -> None:
    async with Edge() as edge:
        await registered(edge, flow(simple("a")))
        workflow_id = await started(edge, "scripts")
        edge.store.executions[workflow_id].fields["h"] = b"\x09\x90"
        assert kinds(await explain(edge, workflow_id)) == ["UNREADABLE"]
        edge.runtime.deciding._cache.drop(workflow_id)
        await refused(edge, workflow_id)
        found = await explain(edge, workflow_id)
        assert kinds(found) == ["PARKED", "UNREADABLE"]
        assert the(found, "UNREADABLE").reason == "StoredFormatUnknown"


async def test_the_limit_of_running_executions() -> None:
    async with Edge() as edge:
        await registered(edge, limited(1))
        await started(edge)
        await polled(edge)
        workflow_id = await started(edge)
        cause = the(await explain(edge, workflow_id), "RUN_LIMITED")
        assert (cause.limit, cause.in_use, len(cause.holders)) == (1, 1, 1)


async def test_nothing_wrong_while_a_decision_is_made_and_after_the_end() -> None:
    async with Edge() as edge:
        await registered(edge, flow(simple("a")))
        workflow_id = await started(edge, "scripts")
        got = await polled(edge, "a")
        # What is asked for between the commit of a start and its effects has nothing open.
        stored = edge.store.executions[workflow_id].fields
        [name] = [each for each in stored if each.startswith("t:")]
        kept = stored.pop(name)
        found = await explain(edge, workflow_id)
        assert kinds(found) == ["NOTHING_WRONG"]
        assert the(found, "NOTHING_WRONG").message == "A decision is on its way."
        stored[name] = kept
        await completed(edge, got)
        await ended(edge, workflow_id)
        found = await explain(edge, workflow_id)
        assert (found.status, kinds(found)) == ("COMPLETED", ["NOTHING_WRONG"])
        assert the(found, "NOTHING_WRONG").message.startswith("It is completed for")


async def test_a_failed_execution_names_task_reason_and_attempts() -> None:
    async with Edge() as edge:
        await typed(edge, "a", retry_count=1, retry_delay_seconds=0)
        await registered(edge, flow(simple("a")))
        workflow_id = await started(edge, "scripts")
        await failed(edge, await polled(edge, "a"), "first")
        await failed(edge, await polled(edge, "a"), "disk is full")
        await ended(edge, workflow_id)
        found = await explain(edge, workflow_id)
        assert (found.status, kinds(found)) == ("FAILED", ["TASK_FAILED"])
        cause = the(found, "TASK_FAILED")
        assert (cause.attempts, cause.reason, cause.worker_id) == (2, "disk is full", "w")
        assert cause.message == "Task a of type a is FAILED after 2 attempts: disk is full."
        assert cause.tasks[0].status == "FAILED"


async def test_a_failed_child_is_explained_within_the_failed_parent() -> None:
    async with Edge() as edge:
        await typed(edge, "a", retry_count=0)
        parent_id, got = await child_of(edge)
        await failed(edge, got, "broken")
        await ended(edge, parent_id)
        cause = the(await explain(edge, parent_id), "TASK_FAILED")
        assert cause.workflow_id == got.workflow_instance_id
        assert the(cause.explanation, "TASK_FAILED").reason == "broken"


async def test_a_failure_workflow_that_failed_itself() -> None:
    async with Edge() as edge:
        for name in ("a", "c"):
            await typed(edge, name, retry_count=0)
        made = definition.WorkflowDef(name="one", tasks=[simple("a")], failure_workflow="cleanup")
        clean = definition.WorkflowDef(name="cleanup", tasks=[simple("c")])
        await registered(edge, made, clean)
        workflow_id = await started(edge)
        await failed(edge, await polled(edge, "a"), "broken")
        cleaning = await polled(edge, "c")
        assert kinds(await explain(edge, workflow_id)) == ["TASK_FAILED"]
        await failed(edge, cleaning, "so is the broom")
        await ended(edge, cleaning.workflow_instance_id)
        found = await explain(edge, workflow_id)
        assert kinds(found) == ["TASK_FAILED", "FAILURE_WORKFLOW_FAILED"]
        cause = the(found, "FAILURE_WORKFLOW_FAILED")
        assert cause.workflow_id == cleaning.workflow_instance_id
        assert the(cause.explanation, "TASK_FAILED").reason == "so is the broom"


async def test_a_failure_workflow_that_was_never_started() -> None:
    async with Edge() as edge:
        await typed(edge, "a", retry_count=0)
        made = definition.WorkflowDef(name="one", tasks=[simple("a")], failure_workflow="nowhere")
        await registered(edge, made)
        workflow_id = await started(edge)
        await failed(edge, await polled(edge, "a"), "broken")
        await ended(edge, workflow_id)
        await until(edge, workflow_id, "FAILURE_WORKFLOW_FAILED")
        cause = the(await explain(edge, workflow_id), "FAILURE_WORKFLOW_FAILED")
        assert cause.reason.startswith("Error workflow nowhere failed to start.")
        assert not cause.HasField("explanation")


async def test_who_terminated_it() -> None:
    async with Edge() as edge:
        parent_id, got = await child_of(edge)
        stop = workflow.TerminateWorkflowRequest(workflow_id=parent_id, reason="enough")
        await edge.workflows.TerminateWorkflow(stop)
        cause = the(await explain(edge, parent_id), "TERMINATED")
        assert (cause.reason, cause.message) == (
            "enough", "It was terminated by a client: enough.",
        )  # fmt: skip
        found = await until(edge, got.workflow_instance_id, "TERMINATED")
        assert the(found, "TERMINATED").workflow_id == parent_id
        assert "by its parent's end" in the(found, "TERMINATED").message


async def test_a_workflow_that_took_too_long() -> None:
    async with Edge() as edge:
        made = definition.WorkflowDef(
            name="one", tasks=[simple("a")], timeout_seconds=1,
            timeout_policy=definition.WorkflowDef.TIME_OUT_WF,
        )  # fmt: skip
        await registered(edge, made)
        workflow_id = await started(edge)
        await ended(edge, workflow_id)
        found = await explain(edge, workflow_id)
        assert (found.status, kinds(found)) == ("TIMED_OUT", ["WORKFLOW_TIMED_OUT"])
        assert "Workflow timed out after" in the(found, "WORKFLOW_TIMED_OUT").reason

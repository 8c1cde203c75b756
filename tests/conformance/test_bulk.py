"""Bulk operations over a real channel (section 1.18): each id for itself, in the order given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from podium.app import bulk
from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import task_service_pb2 as task
from podium.conductor import workflow_service_pb2 as workflow
from podium.runtime.executor import Executor
from podium.v1 import bulk_pb2 as pb
from tests.api.calls import PODIUM, WORKFLOWS, refusal, simple
from tests.api.edge import Edge
from tests.api.test_flow import completed, polled, registered, started, status_of
from tests.api.waiting import ended

if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS = (
    "PauseWorkflows",
    "ResumeWorkflows",
    "TerminateWorkflows",
    "RetryWorkflows",
    "RestartWorkflows",
    "RemoveWorkflows",
    "TerminateAndRemoveWorkflows",
)
NONE = "11111111-1111-4111-8111-111111111111"


def flow(*tasks: definition.WorkflowTask, name: str = "w", version: int = 1) -> Any:
    return definition.WorkflowDef(name=name, version=version, tasks=tasks or [simple("a")])


async def done(edge: Edge, verb: str, ids: Sequence[str], **more: Any) -> list[tuple[int, str]]:
    """Code and text per id; (0, "") where it was done. Also: each result names its id."""
    asked = getattr(pb, f"{verb}Request")(workflow_ids=ids, **more)
    answer = await getattr(edge.podium, verb)(asked)
    assert [each.workflow_id for each in answer.results] == list(ids)
    assert all(each.error.code for each in answer.results if each.HasField("error"))
    return [(each.error.code, each.error.message) for each in answer.results]


async def reads(edge: Edge, *ids: str) -> list[str]:
    """The states of executions; "gone" where there is none."""
    found: list[str] = []
    for each in ids:
        asked = workflow.GetWorkflowStatusRequest(workflow_id=each)
        try:
            status = (await edge.workflows.GetWorkflowStatus(asked)).status
            found.append(execution.Workflow.WorkflowStatus.Name(status))
        except grpc.aio.AioRpcError as error:
            found.append("gone" if error.code() == grpc.StatusCode.NOT_FOUND else str(error))
    return found


async def failed(edge: Edge, task_type: str = "a") -> None:
    got = await polled(edge, task_type)
    result = execution.TaskResult(
        workflow_instance_id=got.workflow_instance_id,
        task_id=got.task_id,
        status=execution.TaskResult.FAILED_WITH_TERMINAL_ERROR,
    )
    await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=result))


@pytest.mark.parametrize("verb", VERBS)
async def test_s_155_one_to_a_thousand_ids(verb: str) -> None:
    async with Edge() as edge:
        for ids in ([], [NONE] * 1001):
            asked = getattr(pb, f"{verb}Request")(workflow_ids=ids)
            assert await refusal(edge, f"{PODIUM}{verb}", asked) == (
                "INVALID_ARGUMENT",
                f"workflow_ids: expected 1 to 1000, found {len(ids)}",
            )
        assert [code for code, _ in await done(edge, verb, [f"{n}" for n in range(1000)])] == (
            [5] * 1000
        )


@pytest.mark.parametrize("verb", VERBS)
async def test_s_156_each_id_has_its_own_result_in_the_order_given(verb: str) -> None:
    async with Edge() as edge:
        await registered(edge, flow())
        good, running = await started(edge, "w"), await started(edge, "w")
        if verb == "ResumeWorkflows":
            await done(edge, "PauseWorkflows", [good])
        if verb in {"RetryWorkflows", "RestartWorkflows"}:
            await done(edge, "TerminateWorkflows", [good])
        results = await done(edge, verb, [NONE, good, "", good, "x" * 300])
        assert [code for code, _ in results] == [5, 0, 3, 0, 5]
        assert results[0][1] == f"expected the id of a workflow, found no workflow {NONE}"
        assert results[2][1] == "workflow_id: expected a workflow id, found none"
        assert await reads(edge, running) == ["RUNNING"]
        assert (await done(edge, verb, [NONE]))[0][0] == 5


async def test_s_156_a_fault_harms_one_id_and_tells_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Edge() as edge:
        await registered(edge, flow())
        ids = [await started(edge, "w") for _ in range(3)]
        real = Executor.call

        async def call(executor: Executor, workflow_id: str, *rest: Any) -> object:
            if workflow_id == ids[1]:
                raise ZeroDivisionError("secret")
            return await real(executor, workflow_id, *rest)

        monkeypatch.setattr(Executor, "call", call)
        results = await done(edge, "PauseWorkflows", ids)
        assert results == [
            (0, ""),
            (13, "expected an execution, found a fault of the server"),
            (0, ""),
        ]
        assert f"workflow {ids[1]} failed" in caplog.text
        assert "secret" in caplog.text
        assert await reads(edge, *ids) == ["PAUSED", "RUNNING", "PAUSED"]


async def test_ids_are_acted_on_at_once_and_a_bounded_number_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Edge() as edge:
        await registered(edge, flow())
        ids = [await started(edge, "w") for _ in range(40)]
        real, inside, most = Executor.call, 0, 0

        async def call(executor: Executor, workflow_id: str, command: Any, actor: str) -> object:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            try:
                return await real(executor, workflow_id, command, actor)
            finally:
                inside -= 1

        monkeypatch.setattr(Executor, "call", call)
        monkeypatch.setattr(bulk, "AT_ONCE_MAX", 8)
        assert await done(edge, "PauseWorkflows", ids) == [(0, "")] * 40
        assert most == 8


async def test_s_157_pause_resume_and_terminate() -> None:
    async with Edge() as edge:
        await registered(edge, flow())
        ids = [await started(edge, "w") for _ in range(3)]
        assert await done(edge, "PauseWorkflows", ids) == [(0, "")] * 3
        assert await reads(edge, *ids) == ["PAUSED"] * 3
        assert await done(edge, "ResumeWorkflows", ids[:2]) == [(0, "")] * 2
        assert (await done(edge, "ResumeWorkflows", ids))[0][0] == 9
        assert await reads(edge, *ids) == ["RUNNING"] * 3
        assert await done(edge, "TerminateWorkflows", ids[:2], reason="enough") == [(0, "")] * 2
        assert await reads(edge, *ids) == ["TERMINATED", "TERMINATED", "RUNNING"]
        assert (await status_of(edge, ids[0])).reason_for_incompletion == "enough"


@pytest.mark.parametrize("resume", [False, True])
async def test_s_157_a_retry_resumes_sub_workflows_on_wish(*, resume: bool) -> None:
    async with Edge() as edge:
        part = simple("part", type="SUB_WORKFLOW")
        part.sub_workflow_param.name = "w"
        await registered(edge, flow(), flow(part, name="parent"))
        ids = [await started(edge, "parent") for _ in range(2)]
        for _ in ids:
            await failed(edge)
        children = [(await ended(edge, each)).tasks[0].sub_workflow_id for each in ids]
        asked = {"resume_subworkflow_tasks": resume}
        assert await done(edge, "RetryWorkflows", [*ids, NONE], **asked) == [
            (0, ""),
            (0, ""),
            (5, f"expected the id of a workflow, found no workflow {NONE}"),
        ]
        got = [await polled(edge, "a") for _ in ids]
        assert ({each.workflow_instance_id for each in got} == set(children)) is resume
        for each in got:
            await completed(edge, each)
        for each in ids:
            assert (await ended(edge, each)).status == execution.Workflow.COMPLETED


@pytest.mark.parametrize("latest", [False, True])
async def test_s_157_a_restart_takes_the_latest_definition_on_wish(*, latest: bool) -> None:
    async with Edge() as edge:
        await registered(edge, flow())
        ids = [await started(edge, "w") for _ in range(2)]
        await done(edge, "TerminateWorkflows", ids)
        await registered(edge, flow(simple("b"), version=2))
        asked = {"use_latest_definitions": latest}
        assert await done(edge, "RestartWorkflows", ids, **asked) == [(0, "")] * 2
        for each in ids:
            [first] = (await status_of(edge, each)).tasks
            assert first.reference_task_name == ("b" if latest else "a")


async def test_s_157_removal_with_and_without_a_copy() -> None:
    async with Edge() as edge:
        await registered(edge, flow())
        ids = [await started(edge, "w") for _ in range(3)]
        await done(edge, "TerminateWorkflows", ids[:2])
        kept = await done(edge, "RemoveWorkflows", [ids[0], ids[2]], archive_workflow=True)
        assert [code for code, _ in kept] == [0, 3]
        assert kept[1][1] == f"Cannot archive workflow: {ids[2]} with status: RUNNING"
        assert await done(edge, "RemoveWorkflows", ids[1:]) == [(0, "")] * 2
        assert await reads(edge, *ids) == ["TERMINATED", "gone", "gone"]
        assert await done(edge, "RemoveWorkflows", ids[:1]) == [(0, "")]
        assert await reads(edge, *ids) == ["gone"] * 3


@pytest.mark.parametrize("archive", [False, True])
async def test_s_158_what_runs_is_ended_and_all_are_removed(*, archive: bool) -> None:
    async with Edge() as edge:
        part = simple("part", type="SUB_WORKFLOW")
        part.sub_workflow_param.name = "w"
        await registered(edge, flow(), flow(part, name="parent"))
        child = await started(edge, "w")
        await completed(edge, await polled(edge, "a"))
        parent = await started(edge, "parent")
        got = await polled(edge, "a")
        results = await done(
            edge,
            "TerminateAndRemoveWorkflows",
            [child, NONE, parent],
            archive_workflow=archive,
            reason="cleared",
        )
        # One that has ended is no error: it is removed, and named once.
        assert [code for code, _ in results] == [0, 5, 0]
        expected = ["COMPLETED", "TERMINATED"] if archive else ["gone", "gone"]
        assert await reads(edge, child, parent) == expected
        if archive:
            assert (await status_of(edge, parent)).reason_for_incompletion == "cleared"
        # Its sub-workflow was told before it went.
        below = await ended(edge, got.workflow_instance_id)
        assert below.status == execution.Workflow.TERMINATED
        again = await done(edge, "TerminateAndRemoveWorkflows", [parent], archive_workflow=False)
        assert again[0][0] == (0 if archive else 5)
        assert await reads(edge, parent) == ["gone"]
        gone = workflow.GetWorkflowStatusRequest(workflow_id=parent)
        assert (await refusal(edge, f"{WORKFLOWS}GetWorkflowStatus", gone))[0] == "NOT_FOUND"

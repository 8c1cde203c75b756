"""Rows of Conductor's WorkflowService."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.api.every.acting import (
    TASKS,
    WORKFLOWS,
    begun,
    ended,
    failed,
    look,
    register,
    report,
    start,
    status,
    take,
    task,
)
from tests.api.every.calling import row

if TYPE_CHECKING:
    from tests.api.every.calling import Rpcs


@row(f"{WORKFLOWS}StartWorkflow")
async def start_workflow(rpcs: Rpcs) -> None:
    await register(rpcs)
    asked = {"name": "w", "input": {"x": 1.0}, "correlation_id": "c", "priority": 3}
    answer = await rpcs.ask(f"{WORKFLOWS}StartWorkflow", **asked)
    read = await look(rpcs, answer["workflow_id"])
    assert (read["input"], read["correlation_id"], read["priority"]) == ({"x": 1.0}, "c", 3)
    assert (await take(rpcs))["workflow_instance_id"] == answer["workflow_id"]


@row(f"{WORKFLOWS}GetWorkflowStatus")
async def get_workflow_status(rpcs: Rpcs) -> None:
    [workflow_id] = await begun(rpcs)
    bare = await rpcs.ask(f"{WORKFLOWS}GetWorkflowStatus", workflow_id=workflow_id)
    assert (bare["workflow_id"], "tasks" in bare) == (workflow_id, False)
    assert [each["task_type"] for each in (await look(rpcs, workflow_id))["tasks"]] == ["a"]


@row(f"{WORKFLOWS}TerminateWorkflow")
async def terminate_workflow(rpcs: Rpcs) -> None:
    [workflow_id] = await begun(rpcs)
    asked = {"workflow_id": workflow_id, "reason": "enough"}
    await rpcs.ask(f"{WORKFLOWS}TerminateWorkflow", **asked)
    read = await look(rpcs, workflow_id)
    assert (read["status"], read["reason_for_incompletion"]) == ("TERMINATED", "enough")
    assert read["tasks"][0]["status"] == "CANCELED"


@row(f"{WORKFLOWS}DecideWorkflow")
async def decide_workflow(rpcs: Rpcs) -> None:
    """Nothing is left to decide (S-154): it tells whether there is such an execution."""
    [workflow_id] = await begun(rpcs)
    before = await look(rpcs, workflow_id)
    await rpcs.ask(f"{WORKFLOWS}DecideWorkflow", workflow_id=workflow_id)
    assert await look(rpcs, workflow_id) == before
    assert await rpcs.refused(f"{WORKFLOWS}DecideWorkflow", workflow_id="none") == "NOT_FOUND"


@row(f"{WORKFLOWS}PauseWorkflow")
async def pause_workflow(rpcs: Rpcs) -> None:
    await register(rpcs, task("a"), task("b"))
    workflow_id = await start(rpcs)
    await rpcs.ask(f"{WORKFLOWS}PauseWorkflow", workflow_id=workflow_id)
    await report(rpcs, await take(rpcs))
    read = await look(rpcs, workflow_id)
    assert (read["status"], len(read["tasks"])) == ("PAUSED", 1)


@row(f"{WORKFLOWS}ResumeWorkflow")
async def resume_workflow(rpcs: Rpcs) -> None:
    await register(rpcs, task("a"), task("b"))
    workflow_id = await start(rpcs)
    await rpcs.ask(f"{WORKFLOWS}PauseWorkflow", workflow_id=workflow_id)
    await report(rpcs, await take(rpcs))
    await rpcs.ask(f"{WORKFLOWS}ResumeWorkflow", workflow_id=workflow_id)
    assert await status(rpcs, workflow_id) == ["RUNNING"]
    assert (await take(rpcs, "b"))["workflow_instance_id"] == workflow_id


@row(f"{WORKFLOWS}ResetWorkflowCallbacks")
async def reset_workflow_callbacks(rpcs: Rpcs) -> None:
    [workflow_id] = await begun(rpcs)
    await report(rpcs, await take(rpcs), "IN_PROGRESS", callback_after_seconds=3600)
    assert "task" not in await rpcs.ask(f"{TASKS}Poll", task_type="a")
    await rpcs.ask(f"{WORKFLOWS}ResetWorkflowCallbacks", workflow_id=workflow_id)
    assert (await take(rpcs))["workflow_instance_id"] == workflow_id


@row(f"{WORKFLOWS}RetryWorkflow")
async def retry_workflow(rpcs: Rpcs) -> None:
    workflow_id = await failed(rpcs)
    await rpcs.ask(f"{WORKFLOWS}RetryWorkflow", workflow_id=workflow_id)
    await report(rpcs, await take(rpcs, "b"))
    read = await ended(rpcs, workflow_id)
    assert read["status"] == "COMPLETED"
    assert [each["task_type"] for each in read["tasks"]] == ["a", "b", "b"]


@row(f"{WORKFLOWS}RestartWorkflow")
async def restart_workflow(rpcs: Rpcs) -> None:
    workflow_id = await failed(rpcs)
    await rpcs.ask(f"{WORKFLOWS}RestartWorkflow", workflow_id=workflow_id)
    read = await look(rpcs, workflow_id)
    assert [each["task_type"] for each in read["tasks"]] == ["a"]
    assert (await take(rpcs))["workflow_instance_id"] == workflow_id


@row(f"{WORKFLOWS}RerunWorkflow")
async def rerun_workflow(rpcs: Rpcs) -> None:
    workflow_id = await failed(rpcs)
    first = (await look(rpcs, workflow_id))["tasks"][0]
    asked = {"re_run_from_workflow_id": workflow_id, "re_run_from_task_id": first["task_id"]}
    answer = await rpcs.ask(f"{WORKFLOWS}RerunWorkflow", **asked, task_input={"t": 5.0})
    assert answer["workflow_id"] == workflow_id
    assert (await take(rpcs))["input_data"] == {"t": 5.0}


@row(f"{WORKFLOWS}RemoveWorkflow")
async def remove_workflow(rpcs: Rpcs) -> None:
    [workflow_id] = await begun(rpcs)
    await rpcs.ask(f"{WORKFLOWS}RemoveWorkflow", workflod_id=workflow_id)
    gone = {"workflow_id": workflow_id}
    assert await rpcs.refused(f"{WORKFLOWS}GetWorkflowStatus", **gone) == "NOT_FOUND"
    assert "task" not in await rpcs.ask(f"{TASKS}Poll", task_type="a")


@row(f"{WORKFLOWS}SkipTaskFromWorkflow")
async def skip_task(rpcs: Rpcs) -> None:
    await register(rpcs, task("a"), task("b"))
    workflow_id = await start(rpcs)
    asked = {"workflow_id": workflow_id, "task_reference_name": "b"}
    given = {"task_output": {"y": 7.0}}
    await rpcs.ask(f"{WORKFLOWS}SkipTaskFromWorkflow", **asked, request=given)
    await report(rpcs, await take(rpcs))
    read = await ended(rpcs, workflow_id)
    done = {each["task_type"]: each for each in read["tasks"]}
    assert (done["a"]["status"], done["b"]["status"]) == ("COMPLETED", "SKIPPED")
    assert done["b"]["output_data"] == {"y": 7.0}

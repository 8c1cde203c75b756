"""What rows do again and again: register, start, take a task, report, look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.api.every.calling import Fields, Rpcs

METADATA: Final = "conductor.grpc.metadata.MetadataService/"
TASKS: Final = "conductor.grpc.tasks.TaskService/"
WORKFLOWS: Final = "conductor.grpc.workflows.WorkflowService/"
PODIUM: Final = "podium.v1.WorkflowService/"
END_MS: Final = 20_000


def task(name: str, **fields: Any) -> Fields:
    """A task whose reference is its name."""
    return {"name": name, "task_reference_name": name, **fields}


async def register(rpcs: Rpcs, *tasks: Fields, name: str = "w", **fields: Any) -> None:
    definition = {"name": name, "tasks": tasks or (task("a"),), **fields}
    await rpcs.ask(f"{METADATA}CreateWorkflow", workflow=definition)


async def start(rpcs: Rpcs, name: str = "w", **content: Any) -> str:
    answer = await rpcs.ask(f"{WORKFLOWS}StartWorkflow", name=name, input=content)
    return answer["workflow_id"]


async def begun(rpcs: Rpcs, count: int = 1) -> list[str]:
    """Executions of a workflow with the one task `a`."""
    await register(rpcs)
    return [await start(rpcs) for _ in range(count)]


async def take(rpcs: Rpcs, task_type: str = "a") -> Fields:
    """The next task of a type."""
    [got] = await rpcs.listed(
        f"{TASKS}BatchPoll", task_type=task_type, worker_id="w", count=1, timeout=5000
    )
    return got


async def report(rpcs: Rpcs, got: Fields, status: str = "COMPLETED", **fields: Any) -> None:
    ids = {name: got[name] for name in ("workflow_instance_id", "task_id")}
    await rpcs.ask(f"{TASKS}UpdateTask", result={**ids, "status": status, **fields})


async def look(rpcs: Rpcs, workflow_id: str) -> Fields:
    """The execution with its tasks."""
    asked = {"workflow_id": workflow_id, "include_tasks": True}
    return await rpcs.ask(f"{WORKFLOWS}GetWorkflowStatus", **asked)


async def status(rpcs: Rpcs, *workflow_ids: str) -> list[str]:
    """The states; RUNNING is the default of the enum, which JSON leaves out."""
    return [(await look(rpcs, each)).get("status", "RUNNING") for each in workflow_ids]


async def ended(rpcs: Rpcs, workflow_id: str) -> Fields:
    """The execution with its tasks, once it has ended."""
    answer = await rpcs.ask(f"{PODIUM}Wait", workflow_id=workflow_id, timeout_ms=END_MS)
    assert answer.get("finished"), answer
    return await look(rpcs, workflow_id)


async def failed(rpcs: Rpcs) -> str:
    """An execution of two tasks that failed at its second one."""
    await register(rpcs, task("a"), task("b"))
    workflow_id = await start(rpcs)
    await report(rpcs, await take(rpcs))
    await report(rpcs, await take(rpcs, "b"), "FAILED_WITH_TERMINAL_ERROR")
    assert (await ended(rpcs, workflow_id))["status"] == "FAILED"
    return workflow_id

"""Rows of Conductor's MetadataService."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.api.every.acting import METADATA, look, start, task
from tests.api.every.calling import row

if TYPE_CHECKING:
    from tests.api.every.calling import Rpcs


@row(f"{METADATA}CreateWorkflow")
async def create_workflow(rpcs: Rpcs) -> None:
    definition = {"name": "w", "version": 3, "tasks": [task("a")]}
    await rpcs.ask(f"{METADATA}CreateWorkflow", workflow=definition)
    read = await look(rpcs, await start(rpcs))
    assert read["workflow_definition"]["version"] == 3
    again = {"workflow": definition}
    assert await rpcs.refused(f"{METADATA}CreateWorkflow", **again) == "ALREADY_EXISTS"


@row(f"{METADATA}ValidateWorkflow")
async def validate_workflow(rpcs: Rpcs) -> None:
    good, bad = {"name": "w", "tasks": [task("a")]}, {"name": "w"}
    await rpcs.ask(f"{METADATA}ValidateWorkflow", workflow=good)
    assert await rpcs.refused(f"{METADATA}ValidateWorkflow", workflow=bad) == "INVALID_ARGUMENT"
    assert await rpcs.refused(f"{METADATA}GetWorkflow", name="w") == "NOT_FOUND"


@row(f"{METADATA}UpdateWorkflows")
async def update_workflows(rpcs: Rpcs) -> None:
    for name in ("a", "b"):
        definitions = [{"name": each, "tasks": [task(name)]} for each in ("v", "w")]
        await rpcs.ask(f"{METADATA}UpdateWorkflows", defs=definitions)
    for each in ("v", "w"):
        read = await rpcs.ask(f"{METADATA}GetWorkflow", name=each)
        assert read["workflow"]["tasks"][0]["name"] == "b"


@row(f"{METADATA}GetWorkflow")
async def get_workflow(rpcs: Rpcs) -> None:
    for version in (1, 2):
        definition = {"name": "w", "version": version, "tasks": [task("a")]}
        await rpcs.ask(f"{METADATA}CreateWorkflow", workflow=definition)
    for asked, found in ((0, 2), (1, 1)):
        read = await rpcs.ask(f"{METADATA}GetWorkflow", name="w", version=asked)
        assert read["workflow"]["version"] == found


@row(f"{METADATA}CreateTasks")
async def create_tasks(rpcs: Rpcs) -> None:
    await rpcs.ask(f"{METADATA}CreateTasks", defs=[{"name": "a", "retry_count": 7}, {"name": "b"}])
    read = await rpcs.ask(f"{METADATA}GetTask", task_type="a")
    assert read["task"]["retry_count"] == 7
    await rpcs.ask(f"{METADATA}GetTask", task_type="b")


@row(f"{METADATA}UpdateTask")
async def update_task(rpcs: Rpcs) -> None:
    await rpcs.ask(f"{METADATA}CreateTasks", defs=[{"name": "a", "retry_count": 7}])
    await rpcs.ask(f"{METADATA}UpdateTask", task={"name": "a", "retry_count": 8})
    read = await rpcs.ask(f"{METADATA}GetTask", task_type="a")
    assert read["task"]["retry_count"] == 8


@row(f"{METADATA}GetTask")
async def get_task(rpcs: Rpcs) -> None:
    await rpcs.ask(f"{METADATA}CreateTasks", defs=[{"name": "a", "description": "first"}])
    read = await rpcs.ask(f"{METADATA}GetTask", task_type="a")
    assert (read["task"]["name"], read["task"]["description"]) == ("a", "first")


@row(f"{METADATA}DeleteTask")
async def delete_task(rpcs: Rpcs) -> None:
    await rpcs.ask(f"{METADATA}CreateTasks", defs=[{"name": "a"}])
    await rpcs.ask(f"{METADATA}DeleteTask", task_type="a")
    assert await rpcs.refused(f"{METADATA}GetTask", task_type="a") == "NOT_FOUND"

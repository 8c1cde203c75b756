"""Rows of podium.v1.MetadataService."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.api.every.acting import begun, ended, report, start, take
from tests.api.every.calling import base64_of, read, row

if TYPE_CHECKING:
    from tests.api.every.calling import Rpcs

METADATA = "podium.v1.MetadataService/"


def workflow_json(*names: str, **more: Any) -> str:
    tasks = [{"name": each, "taskReferenceName": each} for each in names]
    return base64_of({"name": "w", "tasks": tasks, **more})


@row(f"{METADATA}RegisterWorkflow")
async def register_workflow(rpcs: Rpcs) -> None:
    answer = await rpcs.ask(f"{METADATA}RegisterWorkflow", json=workflow_json("a", version=2))
    assert (answer["name"], answer["version"]) == ("w", 2)
    workflow_id = await start(rpcs)
    assert (await take(rpcs))["workflow_instance_id"] == workflow_id


@row(f"{METADATA}ValidateWorkflow")
async def validate_workflow(rpcs: Rpcs) -> None:
    answer = await rpcs.ask(f"{METADATA}ValidateWorkflow", json=workflow_json("a", "a"))
    assert "tasks[1].taskReferenceName" in str(answer["problems"])
    assert "problems" not in await rpcs.ask(f"{METADATA}ValidateWorkflow", json=workflow_json("a"))
    assert await rpcs.refused(f"{METADATA}GetWorkflow", name="w") == "NOT_FOUND"


@row(f"{METADATA}GetWorkflow")
async def get_workflow(rpcs: Rpcs) -> None:
    event = {"type": "done"}
    asked = workflow_json("a", description="d", metadata=event)
    await rpcs.ask(f"{METADATA}RegisterWorkflow", json=asked)
    found = read(await rpcs.ask(f"{METADATA}GetWorkflow", name="w"))
    assert (found["description"], found["metadata"]) == ("d", event)


@row(f"{METADATA}RegisterTask")
async def register_task(rpcs: Rpcs) -> None:
    asked = base64_of({"name": "a", "retryCount": 0})
    await rpcs.ask(f"{METADATA}RegisterTask", json=asked)
    [workflow_id] = await begun(rpcs)
    await report(rpcs, await take(rpcs), "FAILED")
    assert (await ended(rpcs, workflow_id))["status"] == "FAILED"


@row(f"{METADATA}GetTask")
async def get_task(rpcs: Rpcs) -> None:
    asked = base64_of({"name": "a", "retryCount": 6})
    await rpcs.ask(f"{METADATA}RegisterTask", json=asked)
    assert read(await rpcs.ask(f"{METADATA}GetTask", name="a"))["retryCount"] == 6

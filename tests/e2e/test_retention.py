"""Retention in a server that is killed: its successor goes on, and nothing that runs goes."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import grpc.aio
import pytest

from podium.conductor import definition_pb2 as definition
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import metadata_service_pb2_grpc as metadata_grpc
from podium.conductor import workflow_service_pb2 as workflow
from podium.conductor import workflow_service_pb2_grpc as workflow_grpc
from podium.v1 import workflow_pb2 as podium
from podium.v1 import workflow_pb2_grpc as podium_grpc
from tests.cli.serving import refused, serving
from tests.store.nodes import DURABLE, Node

if TYPE_CHECKING:
    from pathlib import Path

CLOSED = 120
EVENT_S = 60
GONE = grpc.StatusCode.NOT_FOUND


async def start(channel: grpc.aio.Channel, name: str, kind: str, count: int) -> set[str]:
    """So many executions of a workflow with one task of that kind."""
    task = definition.WorkflowTask(name="it", task_reference_name="it", type=kind)
    task.input_parameters["a"].string_value = "b"
    made = definition.WorkflowDef(name=name, tasks=[task], owner_email="a@b.c")
    request = metadata.CreateWorkflowRequest(workflow=made)
    await metadata_grpc.MetadataServiceStub(channel).CreateWorkflow(request)
    items = [podium.StartItem(name=name)] * count
    starting = podium.StartWorkflowsRequest(items=items)
    answer = await podium_grpc.WorkflowServiceStub(channel).StartWorkflows(starting)
    return {each.workflow_id for each in answer.results}


async def status(channel: grpc.aio.Channel, workflow_id: str) -> grpc.StatusCode:
    asked = workflow.GetWorkflowStatusRequest(workflow_id=workflow_id)
    try:
        await workflow_grpc.WorkflowServiceStub(channel).GetWorkflowStatus(asked)
    except grpc.aio.AioRpcError as refusal:
        return refusal.code()
    return grpc.StatusCode.OK


def written(folder: Path) -> set[str]:
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_text().splitlines(True)]
    return {json.loads(each)["workflowId"] for each in lines if each.endswith("\n")}


@pytest.mark.parametrize("backend", ["sqlite", "redis"])
async def test_a_killed_server_is_made_up_for(backend: str, tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    with ExitStack() as stack:
        store = f"sqlite:///{tmp_path}/podium.db"
        if backend == "redis":
            store = stack.enter_context(Node(tmp_path / "redis", *DURABLE)).url
        slow = {
            "PODIUM_RETENTION_CLOSED_SECONDS": "1",
            "PODIUM_RETENTION_FOLDER": str(folder),
            "PODIUM_RETENTION_REMOVALS_PER_SECOND": "10",
        }
        # Given a server that is killed while it removes closed executions
        async with (
            serving("--store", store, **slow) as server,
            grpc.aio.insecure_channel(server.target) as channel,
        ):
            running = await start(channel, "running", "SIMPLE", 3)
            closed = await start(channel, "closed", "SET_VARIABLE", CLOSED)
            async with asyncio.timeout(EVENT_S):
                while not written(folder):  # noqa: ASYNC110 - it has no signal
                    await asyncio.sleep(0.05)
            server.process.kill()
            await server.process.communicate()
        assert written(folder) < closed
        # When another one comes, then it removes the rest, each written before
        quick = {**slow, "PODIUM_RETENTION_REMOVALS_PER_SECOND": "1000"}
        async with (
            serving("--store", store, **quick) as server,
            grpc.aio.insecure_channel(server.target) as channel,
        ):
            async with asyncio.timeout(EVENT_S):
                for each in sorted(closed):
                    while await status(channel, each) is not GONE:  # noqa: ASYNC110 - as above
                        await asyncio.sleep(0.05)
            assert {await status(channel, each) for each in running} == {grpc.StatusCode.OK}
            assert written(folder) == closed
            code, complaints = await server.end()
            assert (code, complaints) == (0, "")


async def test_a_folder_that_cannot_be_written_to_is_refused_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    code, words = await refused("--store", "memory://", PODIUM_RETENTION_FOLDER=str(file))
    assert code == 2
    assert words.startswith("podium: retention.folder: expected a folder that can be written to")

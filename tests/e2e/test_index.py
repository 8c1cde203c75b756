"""The index over deaths of the server: nothing answered is lost, and a new index is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc.aio

from podium.conductor import definition_pb2 as definition
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import metadata_service_pb2_grpc as metadata_grpc
from podium.conductor import search_pb2 as search
from podium.conductor import task_service_pb2_grpc as task_grpc
from podium.conductor import workflow_service_pb2_grpc as workflow_grpc
from podium.v1 import workflow_pb2 as podium
from podium.v1 import workflow_pb2_grpc as podium_grpc
from tests.cli.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.serving import Serving

STARTS = 300
MADE_ANEW = "the index was made anew"


class Client:
    """Stubs of one server."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.metadata = metadata_grpc.MetadataServiceStub(channel)
        self.workflows = workflow_grpc.WorkflowServiceStub(channel)
        self.tasks = task_grpc.TaskServiceStub(channel)
        self.podium = podium_grpc.WorkflowServiceStub(channel)

    async def start_all(self, count: int) -> set[str]:
        items = [
            podium.StartItem(name="order", correlation_id=f"c{number}") for number in range(count)
        ]
        answer = await self.podium.StartWorkflows(podium.StartWorkflowsRequest(items=items))
        return {each.workflow_id for each in answer.results}

    async def register(self) -> None:
        task = definition.WorkflowTask(name="work", task_reference_name="work")
        order = definition.WorkflowDef(name="order", tasks=[task], owner_email="a@b.c")
        await self.metadata.CreateWorkflow(metadata.CreateWorkflowRequest(workflow=order))

    async def everything(self) -> tuple[list[str], list[str]]:
        """All summaries of executions and of tasks, as text."""
        asked = search.Request(sort="workflowId:ASC")
        workflows = await self.workflows.Search(asked)
        assert workflows.total_hits == len(workflows.results)
        asked.sort = "taskId:ASC"
        tasks = await self.tasks.Search(asked)
        return list(map(str, workflows.results)), list(map(str, tasks.results))

    async def ids(self) -> set[str]:
        result = await self.workflows.Search(search.Request(query="workflowType=order"))
        return {each.workflow_id for each in result.results}


async def stopped(server: Serving) -> str:
    """What it wrote to stderr."""
    code, complaints = await server.end()
    assert code == 0, complaints
    return complaints


async def test_nothing_that_was_answered_is_lost_between_commit_and_index(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/podium.db"
    # Given a server with an index
    async with (
        serving("--store", store, PODIUM_LOG_LEVEL="info") as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        client = Client(channel)
        await client.register()
        started = await client.start_all(10)
        assert await client.ids() == started
        # When it is killed as soon as it has answered
        started |= await client.start_all(STARTS)
        server.process.kill()
        await server.process.communicate()
    # Then its successor finds all of them, and did not have to make the index anew
    async with serving("--store", store, PODIUM_LOG_LEVEL="info") as server:
        async with grpc.aio.insecure_channel(server.target) as channel:
            assert await Client(channel).ids() == started
        assert MADE_ANEW not in await stopped(server)


async def test_an_index_that_is_lost_damaged_or_foreign_is_made_anew_and_equal(
    tmp_path: Path,
) -> None:
    store, index = f"sqlite:///{tmp_path}/podium.db", tmp_path / "podium.db-index"
    async with serving("--store", store, PODIUM_LOG_LEVEL="info") as server:
        async with grpc.aio.insecure_channel(server.target) as channel:
            client = Client(channel)
            await client.register()
            await client.start_all(50)
            before = await client.everything()
        await stopped(server)
    older = index.read_bytes()
    async with serving("--store", store, PODIUM_LOG_LEVEL="info") as server:
        assert MADE_ANEW not in await stopped(server)
    for harm in (None, b"no database at all" * 1_000, older):
        index.unlink()
        if harm is not None:
            index.write_bytes(harm)
        async with serving("--store", store, PODIUM_LOG_LEVEL="info") as server:
            async with grpc.aio.insecure_channel(server.target) as channel:
                assert await Client(channel).everything() == before
            assert MADE_ANEW in await stopped(server)

"""The comments of worker.proto are enough to write a worker: two of them, made of generated stubs
alone, work, keep their results until the ack, and come back with their tasks in hand.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest

from podium.conductor import definition_pb2 as definition
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import metadata_service_pb2_grpc as metadata_grpc
from podium.conductor import workflow_service_pb2 as workflow
from podium.conductor import workflow_service_pb2_grpc as workflow_grpc
from podium.v1 import worker_pb2, workflow_pb2, workflow_pb2_grpc
from tests.chaos.victim import Victim
from tests.e2e.client import OPTIONS, WAIT_MS
from tests.stubs.building import go_worker, python_worker
from tests.stubs.working import working

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from podium.conductor import execution_pb2 as execution
    from tests.stubs.working import StubWorker

    Built = tuple[list[str], dict[str, str]]
    """The command, and its environment."""

DOUBLE = "double"
NAME = "stub"
TASKS_MAX = 8
MANY = 200
RESPONSE_TIMEOUT_S = 3


class Client:
    """Starts workflows of one task, and reads what became of them."""

    def __init__(self, target: str) -> None:
        self.channel = grpc.aio.insecure_channel(target, options=OPTIONS)
        self._podium = workflow_pb2_grpc.WorkflowServiceStub(self.channel)
        self._workflows = workflow_grpc.WorkflowServiceStub(self.channel)

    async def register(self, response_timeout_s: int) -> None:
        service = metadata_grpc.MetadataServiceStub(self.channel)
        task = definition.TaskDef(
            name=DOUBLE, response_timeout_seconds=response_timeout_s, timeout_seconds=3600
        )
        await service.CreateTasks(metadata.CreateTasksRequest(defs=[task]))
        flow = definition.WorkflowDef(name=DOUBLE)
        step = flow.tasks.add(name=DOUBLE, task_reference_name="step")
        for name in ("n", "hold"):
            step.input_parameters[name].string_value = f"${{workflow.input.{name}}}"
        for name in ("n", "by"):
            flow.output_parameters[name].string_value = f"${{step.output.{name}}}"
        await service.CreateWorkflow(metadata.CreateWorkflowRequest(workflow=flow))

    async def start(self, *inputs: dict[str, Any]) -> list[str]:
        items = [
            workflow_pb2.StartItem(
                name=DOUBLE, input=worker_pb2.Payload(json=json.dumps(each).encode())
            )
            for each in inputs
        ]
        answer = await self._podium.StartWorkflows(workflow_pb2.StartWorkflowsRequest(items=items))
        return [each.workflow_id for each in answer.results]

    async def ended(self, workflow_ids: Sequence[str]) -> list[tuple[str, object]]:
        """Status, and output or reason, of each once it has ended."""
        found: list[tuple[str, object]] = []
        for each in workflow_ids:
            asked = workflow_pb2.WaitRequest(workflow_id=each, timeout_ms=WAIT_MS)
            answer = await self._podium.Wait(asked, wait_for_ready=True)
            assert answer.finished, f"expected {each} to end, found {answer.status}"
            found.append((answer.status, answer.reason or json.loads(answer.output.json)))
        return found

    async def task_of(self, workflow_id: str) -> execution.Task:
        asked = workflow.GetWorkflowStatusRequest(workflow_id=workflow_id, include_tasks=True)
        [task] = (await self._workflows.GetWorkflowStatus(asked, wait_for_ready=True)).tasks
        return task


def doubled(numbers: Sequence[int]) -> list[tuple[str, object]]:
    return [("COMPLETED", {"n": 2 * n, "by": NAME}) for n in numbers]


@asynccontextmanager
async def scene(
    tmp_path: Path, worker: Built, response_timeout_s: int = 600
) -> AsyncIterator[tuple[Victim, Client, StubWorker]]:
    """A server, its client, and a worker that was welcomed."""
    command, environment = worker
    async with Victim(tmp_path) as server:
        client = Client(server.target)
        await client.register(response_timeout_s)
        arguments = (server.target, DOUBLE, NAME, str(TASKS_MAX))
        async with client.channel, working(command, environment, *arguments) as works:
            await works.until(lambda: len(works.of("welcome")) == 1)
            yield server, client, works


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(python_worker, id="python"),
        pytest.param(go_worker, id="go", marks=pytest.mark.part("go")),
    ],
)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return request.param(tmp_path_factory.mktemp("stubs"))


@pytest.mark.timeout(600)
async def test_a_stub_worker_works_and_drains(tmp_path: Path, built: Built) -> None:
    async with scene(tmp_path, built) as (_, client, worker):
        started = await client.start(*({"n": n} for n in range(MANY)), {"n": "two"})
        *good, bad = await client.ended(started)
        assert good == doubled(range(MANY))
        assert bad[0] == "FAILED"
        assert "'expected a whole number n, found none'" in str(bad[1])
        # A drained worker finishes what it has, and takes no more.
        [held] = await client.start({"n": 1, "hold": True})
        await worker.until(lambda: len(worker.of("taken")) == MANY + 2)
        assert await worker.drained() == (0, "")
        assert await client.ended([held]) == doubled([1])
        [left] = await client.start({"n": 1})
        assert (await client.task_of(left)).worker_id == ""
        assert worker.of("lost") == worker.of("broken") == []


@pytest.mark.timeout(600)
async def test_a_stub_worker_comes_back_with_its_tasks_after_the_server_was_killed(
    tmp_path: Path, built: Built
) -> None:
    async with scene(tmp_path, built) as (server, client, worker):
        # Given two tasks in hand, and a server that is killed
        [done, open_] = await client.start({"n": 1, "hold": True}, {"n": 2, "hold": True})
        await worker.until(lambda: len(worker.of("taken")) == 2)
        await server.kill()
        await worker.until(lambda: len(worker.of("broken")) > 0)
        # When the worker finishes them while there is no server, one of a later life too
        worker.finish()
        await server.start()
        # Then both were resumed, and their results counted: each was handed out once
        assert await client.ended([done, open_]) == doubled([1, 2])
        assert sorted(worker.of("welcome")[1]["resumed"]) == sorted(
            each["task_id"] for each in worker.of("taken")
        )
        # And what it holds over another death is finished in the next life
        [late] = await client.start({"n": 3, "hold": True})
        await worker.until(lambda: len(worker.of("taken")) == 3)
        await server.kill()
        await server.start()
        await worker.until(lambda: len(worker.of("welcome")) == 3)
        worker.finish()
        assert await client.ended([late]) == doubled([3])
        for each in (done, open_, late):
            task = await client.task_of(each)
            assert (task.poll_count, task.worker_id, task.retry_count) == (1, NAME, 0)
        assert worker.of("lost") == []
        # And its credits are what they were: as many at once as before
        many = await client.start(*({"n": n, "hold": True} for n in range(TASKS_MAX)))
        await worker.until(lambda: len(worker.of("taken")) == 3 + TASKS_MAX)
        worker.finish()
        assert await client.ended(many) == doubled(range(TASKS_MAX))
        assert await worker.drained() == (0, "")


@pytest.mark.timeout(600)
async def test_a_stub_worker_loses_nothing_over_deaths_and_ends_of_a_loaded_server(
    tmp_path: Path, built: Built
) -> None:
    async with scene(tmp_path, built) as (server, client, worker):
        for life in range(4):
            started = await client.start(*({"n": n} for n in range(MANY)))
            before = len(worker.of("taken"))
            await worker.until(lambda before=before: len(worker.of("taken")) > before + MANY // 4)
            if life % 2:
                assert await server.stop() == (0, "")
            else:
                await server.kill()
            await server.start()
            assert await client.ended(started) == doubled(range(MANY))
        assert await worker.drained() == (0, "")


@pytest.mark.timeout(600)
async def test_a_stub_worker_keeps_a_task_beyond_its_response_timeout(
    tmp_path: Path, built: Built
) -> None:
    async with scene(tmp_path, built, RESPONSE_TIMEOUT_S) as (_, client, worker):
        [held] = await client.start({"n": 1, "hold": True})
        await worker.until(lambda: len(worker.of("extended")) == 5)
        worker.finish()
        assert await client.ended([held]) == doubled([1])
        assert (await client.task_of(held)).poll_count == 1
        assert await worker.drained() == (0, "")


async def test_the_python_worker_is_made_of_its_own_stubs_alone(tmp_path: Path) -> None:
    (tmp_path / "stubs").mkdir()
    async with scene(tmp_path, python_worker(tmp_path / "stubs")) as (_, __, worker):
        [stubs] = worker.of("stubs")
        assert stubs["file"].startswith(str(tmp_path))
        assert stubs["foreign"] == []

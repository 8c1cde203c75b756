"""The example package beside a real server: its tasks run without a worker, over real gRPC."""

from __future__ import annotations

import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import metadata_service_pb2_grpc as metadata_grpc
from podium.conductor import request_pb2 as request
from podium.conductor import task_service_pb2 as task
from podium.conductor import task_service_pb2_grpc as task_grpc
from podium.conductor import workflow_service_pb2 as workflow
from podium.conductor import workflow_service_pb2_grpc as workflow_grpc
from podium.conductor.definition_pb2 import TaskDef, WorkflowDef, WorkflowTask
from podium.conductor.execution_pb2 import Task, TaskResult, Workflow
from podium.v1 import workflow_pb2 as podium
from podium.v1 import workflow_pb2_grpc as podium_grpc
from tests.api.calls import plain, values
from tests.cli.serving import serving, start
from tests.corpus.definitions import definition_of, read, workflow_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EXAMPLE = Path(__file__).parent / "example"
WAIT_MS = 20_000


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with the example package in it, as pip installs it."""
    return install(EXAMPLE, tmp_path_factory.mktemp("installed"))


def install(source: Path, folder: Path) -> str:
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder), str(source)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return str(folder)


class Client:
    """Stubs of a server."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.metadata = metadata_grpc.MetadataServiceStub(channel)
        self.workflows = workflow_grpc.WorkflowServiceStub(channel)
        self.tasks = task_grpc.TaskServiceStub(channel)
        self.podium = podium_grpc.WorkflowServiceStub(channel)

    async def runs(self, *tasks: WorkflowTask, name: str = "w", **domains: str) -> Workflow:
        """The execution of a workflow of these tasks, once it has ended."""
        definition = WorkflowDef(name=name, version=1, schema_version=2, tasks=tasks)
        await self.metadata.UpdateWorkflows(metadata.UpdateWorkflowsRequest(defs=[definition]))
        asked = request.StartWorkflowRequest(name=name, task_to_domain=domains)
        workflow_id = (await self.workflows.StartWorkflow(asked)).workflow_id
        return await self.ended(workflow_id)

    async def work(self, task_type: str, **output: Any) -> None:
        """Take a task of this type and complete it."""
        asked = task.BatchPollRequest(task_type=task_type, worker_id="w", count=1, timeout=1_000)
        async for each in self.tasks.BatchPoll(asked):
            await self.complete(each, **output)

    async def complete(self, done: Task, **output: Any) -> None:
        result = TaskResult(
            workflow_instance_id=done.workflow_instance_id,
            task_id=done.task_id,
            status=TaskResult.COMPLETED,
        )
        values(result, "output_data", output)
        await self.tasks.UpdateTask(task.UpdateTaskRequest(result=result))

    async def ended(self, workflow_id: str) -> Workflow:
        waited = podium.WaitRequest(workflow_id=workflow_id, timeout_ms=WAIT_MS)
        assert (await self.podium.Wait(waited)).finished
        return await self.status(workflow_id)

    async def status(self, workflow_id: str) -> Workflow:
        asked = workflow.GetWorkflowStatusRequest(workflow_id=workflow_id, include_tasks=True)
        return await self.workflows.GetWorkflowStatus(asked)


@asynccontextmanager
async def client_of(target: str) -> AsyncIterator[Client]:
    async with grpc.aio.insecure_channel(target) as channel:
        yield Client(channel)


def of_type(kind: str, ref: str = "r", **given: Any) -> WorkflowTask:
    made = WorkflowTask(name=ref, task_reference_name=ref, type=kind)
    values(made, "input_parameters", given)
    return made


async def test_the_tasks_of_the_example_run_inside_the_server(installed: str) -> None:
    async with (
        serving("--store", "memory://", PYTHONPATH=installed) as server,
        client_of(server.target) as client,
    ):
        await client.metadata.CreateTasks(
            metadata.CreateTasksRequest(
                defs=[TaskDef(name="again", retry_count=1, retry_delay_seconds=0)]
            )
        )
        found = await client.runs(
            of_type("USER_TASK", "u", a=1, b=2),
            of_type("BLOCKING_SYSTEM_TASK", "b"),
            of_type("PATIENT_TASK", "p"),
            of_type("USER_TASK", "again", fail="once"),
        )
        assert found.status == Workflow.COMPLETED
        told = [(each.reference_task_name, each.status) for each in found.tasks]
        assert told == [
            ("u", Task.COMPLETED), ("b", Task.COMPLETED), ("p", Task.COMPLETED),
            ("again", Task.FAILED), ("again", Task.COMPLETED),
        ]  # fmt: skip
        assert [plain(each.output_data) for each in found.tasks[:3]] == [
            {"size": 2, "by": "u"},
            {"blocked": True},
            {"looks": 3},
        ]
        assert found.tasks[3].reason_for_incompletion == "asked to fail: once"
        # A domain is for workers.
        found = await client.runs(of_type("USER_TASK", fail="terminal"), USER_TASK="eu")
        assert found.tasks[0].status == Task.FAILED_WITH_TERMINAL_ERROR
        assert await server.end() == (0, "")


async def test_s_252_async_complete_waits_for_an_update(installed: str) -> None:
    async with (
        serving("--store", "memory://", PYTHONPATH=installed) as server,
        client_of(server.target) as client,
    ):
        later = of_type("USER_TASK", "u")
        later.async_complete = True
        definition = WorkflowDef(name="w", version=1, schema_version=2, tasks=[later])
        await client.metadata.CreateWorkflow(metadata.CreateWorkflowRequest(workflow=definition))
        asked = request.StartWorkflowRequest(name="w")
        workflow_id = (await client.workflows.StartWorkflow(asked)).workflow_id
        watching = client.podium.Watch(podium.WatchRequest(workflow_id=workflow_id))
        waiting = False
        while not waiting:
            seen: Any = await watching.read()
            waiting = any("ReportResult" in each.commands for each in seen.changes)
        found = await client.status(workflow_id)
        assert (found.status, found.tasks[0].status) == (Workflow.RUNNING, Task.IN_PROGRESS)
        assert plain(found.tasks[0].output_data) == {"size": 1, "by": "u"}
        await client.complete(found.tasks[0])
        assert (await client.ended(workflow_id)).status == Workflow.COMPLETED


CORPUS = {
    "blocking_system_task_workflow_integration_test": ["BLOCKING_SYSTEM_TASK"],
    "conditional_system_task_workflow_integration_test": ["USER_TASK"],
    "rate_limited_system_task_workflow_integration_test": ["USER_TASK"],
    "simple_workflow_with_async_complete_system_task_integration_test": ["USER_TASK"],
}


@pytest.mark.parametrize("name", CORPUS)
async def test_definitions_of_the_corpus_run_with_the_example(installed: str, name: str) -> None:
    definition = workflow_message(definition_of(read(f"workflows/{name}.json")))
    async with (
        serving("--store", "memory://", PYTHONPATH=installed) as server,
        client_of(server.target) as client,
    ):
        await client.metadata.UpdateWorkflows(metadata.UpdateWorkflowsRequest(defs=[definition]))
        asked = request.StartWorkflowRequest(name=definition.name, version=definition.version)
        workflow_id = (await client.workflows.StartWorkflow(asked)).workflow_id
        found = await client.status(workflow_id)
        while found.status == Workflow.RUNNING:
            for each in found.tasks:
                done = each.task_type == "USER_TASK" and len(each.output_data) > 0
                if each.status == Task.SCHEDULED and each.task_type.startswith("integration_"):
                    await client.work(each.task_type, case="two", op={"ep": "x"})
                elif each.status == Task.IN_PROGRESS and done:  # asyncComplete: it waits for us
                    await client.complete(each)
            found = await client.status(workflow_id)
        assert found.status == Workflow.COMPLETED
        own = [each for each in found.tasks if not each.task_type.startswith("integration_")]
        kinds = [each.task_type for each in own if each.task_type != "DECISION"]
        assert kinds == CORPUS[name]
        assert {each.status for each in found.tasks} == {Task.COMPLETED}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ('SWITCH = "bad:Good"', "a task type that is free, found one that Podium or Conductor has"),
        ('MINE = "bad:Absent"', "a class that can be made, found AttributeError"),
        ('MINE = "bad:Other"', "a class derived from SystemTask, found Other"),
        ('MINE = "bad:Raising"', "a class that can be made, found ZeroDivisionError"),
        ('MINE = "bad:None_"', "tasks_max of 1 or more, found 0"),
        ('MINE = "bad:NoStart"', "a task that starts, found that it raises ZeroDivisionError"),
    ],
)
async def test_a_server_does_not_start_with_a_task_that_cannot_be_used(
    tmp_path: Path, entry: str, words: str
) -> None:
    source, folder = tmp_path / "source", tmp_path / "installed"
    (source / "bad").mkdir(parents=True)
    project = (EXAMPLE / "pyproject.toml").read_text()
    head = project[: project.index("USER_TASK")]
    (source / "pyproject.toml").write_text(
        f'{head}{entry}\n\n[tool.hatch.build.targets.wheel]\npackages = ["bad"]\n'
    )
    (source / "bad" / "__init__.py").write_text(
        "from podium.tasks.system import SystemTask\n"
        "class Good(SystemTask): pass\n"
        "class Other: pass\n"
        "class Raising(SystemTask):\n    def __init__(self): 1 / 0\n"
        "class None_(SystemTask):\n    tasks_max = 0\n"
        "class NoStart(SystemTask):\n    async def start(self): 1 / 0\n"
    )
    environment = {"PYTHONPATH": install(source, folder)}
    process = await start("--grpc", "127.0.0.1:0", "--store", "memory://", environment=environment)
    _, complaints = await process.communicate()
    assert process.returncode == 2
    assert words in complaints.decode().splitlines()[-1]

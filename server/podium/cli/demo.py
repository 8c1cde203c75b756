"""`podium demo`: Conductor's kitchen-sink workflow with a server, worker and search stub.

All of it is real: another process serves, gRPC carries, sqlite keeps, workers come over the stream.
Nothing is left behind: the folder is temporary, and each child is ended by its own id.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import grpc
import grpc.aio
from google.protobuf import json_format

from podium.cli import sink_work
from podium.cli.definition_text import workflow_message
from podium.cli.demo_server import ServerFailed, demo_server
from podium.cli.search_stub import search_stub
from podium.conductor import metadata_service_pb2, request_pb2
from podium.conductor.definition_pb2 import TaskDef
from podium.conductor.metadata_service_pb2_grpc import MetadataServiceStub
from podium.conductor.workflow_service_pb2_grpc import WorkflowServiceStub
from podium.v1 import workflow_pb2
from podium.v1.workflow_pb2_grpc import WorkflowServiceStub as PodiumStub
from podium_worker import Worker, worker_task

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from podium.model.payload import JsonObject
    from podium_worker import WorkerTask

DEMO_S_MAX: Final = 60
SEARCH_NAME: Final = "localhost:9200"
DONE: Final = 0
FAILED: Final = 1


def run_demo() -> int:
    """The exit code: 0 when the workflow completed."""
    try:
        return asyncio.run(_demo())
    except (ServerFailed, TimeoutError, grpc.RpcError) as problem:
        found = str(problem) or f"no end within {DEMO_S_MAX} s"
        if isinstance(problem, grpc.aio.AioRpcError):
            found = f"{problem.code().name}: {problem.details()}"
        print(f"podium demo: expected the workflow to complete, found {found}", file=sys.stderr)
        return FAILED


async def _demo() -> int:
    async with asyncio.timeout(DEMO_S_MAX), search_stub() as search:
        with TemporaryDirectory(prefix="podium-demo-") as folder:
            async with demo_server(Path(folder), {SEARCH_NAME: search}) as target:
                print(f"server      {target}, store sqlite in {folder}")
                print(f"search      {SEARCH_NAME} is answered by a stub on {search}")
                return await _run(target)


async def _run(target: str) -> int:
    tasks = [_worker_task(str(task["name"])) for task in sink_work.task_documents()]
    worker = Worker(target, tasks=tasks, worker_id="demo-worker")
    async with grpc.aio.insecure_channel(target) as channel, _working(worker):
        await _register(channel)
        print(f"worker      one stream for {', '.join(task.name for task in tasks)}")
        workflow_id = await _start(channel)
        print(f"started     {sink_work.WORKFLOW} as {workflow_id}\n")
        await _show(channel, workflow_id)
        return await _conclude(channel, workflow_id)


@asynccontextmanager
async def _working(worker: Worker) -> AsyncGenerator[None, None]:
    """The worker runs for the block."""
    run = asyncio.get_running_loop().create_task(worker.run())
    try:
        yield
    finally:
        await worker.stop()
        await run


def _worker_task(name: str) -> WorkerTask:
    async def handle(given: JsonObject) -> Mapping[str, object]:
        return sink_work.answer(name, given)

    return worker_task(name)(handle)


async def _register(channel: grpc.aio.Channel) -> None:
    metadata = MetadataServiceStub(channel)
    tasks = sink_work.task_documents()
    definitions = [json_format.ParseDict(task, TaskDef()) for task in tasks]
    await metadata.CreateTasks(metadata_service_pb2.CreateTasksRequest(defs=definitions))
    names = (*sink_work.SUB_WORKFLOWS, sink_work.WORKFLOW)
    for name in names:
        message = workflow_message(sink_work.document(name))
        await metadata.CreateWorkflow(metadata_service_pb2.CreateWorkflowRequest(workflow=message))
    print(f"registered  {', '.join(names)} and {len(definitions)} task definitions")


async def _start(channel: grpc.aio.Channel) -> str:
    request = json_format.ParseDict(
        {"name": sink_work.WORKFLOW, "version": 1, "input": sink_work.INPUT},
        request_pb2.StartWorkflowRequest(),
    )
    started = await WorkflowServiceStub(channel).StartWorkflow(request)
    return started.workflow_id


async def _show(channel: grpc.aio.Channel, workflow_id: str) -> None:
    """One line per change of a task, as the server streams them, until the workflow ends."""
    request = workflow_pb2.WatchRequest(workflow_id=workflow_id)
    began_ms = 0
    line = "{:>6}  {:>6}  {:<18}{:<13}{}".format
    print(line("ms", "commit", "task", "status", "because of"))
    async for response in PodiumStub(channel).Watch(request):
        for change in response.changes:
            began_ms = began_ms or change.time_ms
            name = change.reference_name or "(workflow)"
            status = change.task_status or change.workflow_status
            cause = " ".join(each for each in (*change.commands[:1], change.actor) if each)
            print(line(change.time_ms - began_ms, change.position, name, status, cause))


async def _conclude(channel: grpc.aio.Channel, workflow_id: str) -> int:
    """The output as JSON, and the exit code."""
    request = workflow_pb2.WaitRequest(workflow_id=workflow_id)
    ended = await PodiumStub(channel).Wait(request)
    output = json.loads(ended.output.json or b"{}")
    print("\n" + " ".join(each for each in (ended.status, ended.reason) if each) + "\noutput:")
    print(json.dumps(output, indent=2))
    return DONE if ended.status == "COMPLETED" else FAILED

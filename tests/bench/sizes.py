"""Wide forks and long loops, each beside a small one on the same server: what one more branch or
iteration costs must not grow with how many there are.
"""

from __future__ import annotations

import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import grpc.aio
from google.protobuf.json_format import ParseDict

from podium.conductor import definition_pb2 as definition
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import metadata_service_pb2_grpc as metadata_grpc
from podium.conductor import request_pb2 as request
from podium.conductor import search_pb2, workflow_service_pb2
from podium.conductor import workflow_service_pb2_grpc as workflow_grpc
from podium.v1 import workflow_pb2, workflow_pb2_grpc
from tests.bench.figures import Bar, Figure, figure, ratio
from tests.bench.jobs import TASK_TYPE
from tests.bench.processes import Failed, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from google.protobuf.struct_pb2 import Value

    from podium.conductor import execution_pb2 as execution
    from tests.bench.plan import Plan
    from tests.bench.processes import Server

SMALL: Final = 100
LARGE: Final = 10_000
SMALL_RUNS: Final = 10
"""Runs of the small size in one round, one after the other: the first ones warm up."""
SAME: Final = Bar(1.3, at_least=False)
FORK_S: Final = Bar(12, at_least=False)
RUN_S_MAX: Final = 60
OWNER: Final = "bench@example.com"
WORKER_COMMAND: Final = (sys.executable, "-m", "tests.bench.sdk_worker")
OPTIONS: Final = (("grpc.max_send_message_length", 1 << 26),)


class Client:
    """Registers and runs workflows at one server."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._metadata = metadata_grpc.MetadataServiceStub(channel)
        self._workflows = workflow_grpc.WorkflowServiceStub(channel)
        self._podium = workflow_pb2_grpc.WorkflowServiceStub(channel)

    async def register(self, *workflows: definition.WorkflowDef) -> None:
        task = definition.TaskDef(name=TASK_TYPE, owner_email=OWNER, response_timeout_seconds=600)
        await self.register_task(task, *workflows)

    async def register_task(
        self, task: definition.TaskDef, *workflows: definition.WorkflowDef
    ) -> None:
        await self._metadata.CreateTasks(metadata.CreateTasksRequest(defs=[task]))
        await self._metadata.UpdateWorkflows(metadata.UpdateWorkflowsRequest(defs=workflows))

    async def start(self, name: str, value: dict[str, object], *, correlation_id: str = "") -> str:
        """The workflow id."""
        asked = request.StartWorkflowRequest(name=name, version=1, correlation_id=correlation_id)
        for key, each in value.items():
            put(asked.input[key], each)
        return (await self._workflows.StartWorkflow(asked)).workflow_id

    async def ended(self, workflow_id: str, status: str = "COMPLETED") -> None:
        """Wait for its end. Raises Failed where it does not end so."""
        asked = workflow_pb2.WaitRequest(workflow_id=workflow_id, timeout_ms=RUN_S_MAX * 1000)
        found = await self._podium.Wait(asked)
        if found.status != status:
            raise Failed(f"workflow {workflow_id}: expected {status}, found {found.status}")

    async def over(self, workflow_id: str) -> None:
        """Wait for its end, whatever that is."""
        asked = workflow_pb2.WaitRequest(workflow_id=workflow_id, timeout_ms=RUN_S_MAX * 1000)
        if not (await self._podium.Wait(asked)).finished:
            raise Failed(f"workflow {workflow_id}: expected an end, found none")

    async def status(self, workflow_id: str) -> execution.Workflow:
        """It, with its tasks."""
        asked = workflow_service_pb2.GetWorkflowStatusRequest(
            workflow_id=workflow_id, include_tasks=True
        )
        return await self._workflows.GetWorkflowStatus(asked)

    async def all_indexed(self) -> None:
        """A search sees what was answered before, so the index has written it then."""
        await self._workflows.Search(search_pb2.Request(size=1))

    async def run_s(self, name: str, value: dict[str, object]) -> float:
        """Seconds from the start call to the end."""
        began_s = time.perf_counter()
        await self.ended(await self.start(name, value))
        return time.perf_counter() - began_s


def put(field: Value, value: object) -> None:
    """A JSON value into a google.protobuf.Value."""
    ParseDict(value, field)  # pyright: ignore[reportArgumentType] - any JSON value


@asynccontextmanager
async def client_of(server: Server) -> AsyncIterator[Client]:
    async with grpc.aio.insecure_channel(server.target, options=OPTIONS) as channel:
        yield Client(channel)


def workflow(name: str, *tasks: definition.WorkflowTask) -> definition.WorkflowDef:
    return definition.WorkflowDef(
        name=name, version=1, schema_version=2, owner_email=OWNER, tasks=tasks
    )


def step(reference: str) -> definition.WorkflowTask:
    return definition.WorkflowTask(name=TASK_TYPE, task_reference_name=reference, type="SIMPLE")


def wide() -> definition.WorkflowDef:
    """A dynamic fork of `workflow.input.tasks`, its join, and one task after it."""
    fork = definition.WorkflowTask(
        name="fork", task_reference_name="fork", type="FORK_JOIN_DYNAMIC",
        dynamic_fork_tasks_param="tasks", dynamic_fork_tasks_input_param_name="inputs",
    )  # fmt: skip
    put(fork.input_parameters["tasks"], "${workflow.input.tasks}")
    put(fork.input_parameters["inputs"], {})
    join = definition.WorkflowTask(name="join", task_reference_name="join", type="JOIN")
    return workflow("bench_wide", fork, join, step("after"))


def branches(count: int) -> dict[str, object]:
    return {
        "tasks": [
            {"name": TASK_TYPE, "taskReferenceName": f"b{number}", "type": "SIMPLE"}
            for number in range(count)
        ]
    }


def long() -> definition.WorkflowDef:
    """A loop of `workflow.input.n` iterations with one worker task each, of which 3 are kept."""
    loop = definition.WorkflowTask(
        name="loop", task_reference_name="loop", type="DO_WHILE", loop_over=[step("body")],
        loop_condition="$.loop['iteration'] < $.n",
    )  # fmt: skip
    put(loop.input_parameters["n"], "${workflow.input.n}")
    put(loop.input_parameters["keepLastN"], 3)
    return workflow("bench_long", loop)


async def measure_sizes(command: tuple[str, ...], plan: Plan) -> list[Figure]:
    """A wide fork and a long loop, each beside a small one."""
    forks_s: list[float] = []
    small_ms: dict[str, list[float]] = {"bench_wide": [], "bench_long": []}
    large_ms: dict[str, list[float]] = {"bench_wide": [], "bench_long": []}
    values: dict[str, Callable[[int], dict[str, object]]] = {
        "bench_wide": branches,
        "bench_long": lambda count: {"n": count},
    }
    for _ in range(plan.rounds):
        async with (
            serving(*command) as server,
            serving(*WORKER_COMMAND, server.target),
            client_of(server) as client,
        ):
            await client.register(wide(), long())
            for name, value in values.items():
                runs = [await client.run_s(name, value(SMALL)) for _ in range(SMALL_RUNS)]
                small_ms[name].append(sorted(runs)[len(runs) // 2] * 1000 / SMALL)
                took_s = await client.run_s(name, value(LARGE))
                large_ms[name].append(took_s * 1000 / LARGE)
                if name == "bench_wide":
                    forks_s.append(took_s)
    return [
        figure(f"podium: fork of {LARGE}, whole run", "s", forks_s, FORK_S),
        ratio(f"fork of {LARGE} / {SMALL}: time per branch",
              large_ms["bench_wide"], small_ms["bench_wide"], SAME),
        ratio(f"loop of {LARGE} / {SMALL}: time per iteration",
              large_ms["bench_long"], small_ms["bench_long"], SAME),
    ]  # fmt: skip

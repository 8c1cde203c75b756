"""The load: a starter and a worker, each with a ledger of its own, that outlive every server.

Workflows are two tasks long; the second's input is the first's output, a number that only the run
of the first that counted can have made. Between them a timer runs; the ledger knows by a clock of
its own when the first task was done and when the second one came. The starter writes a line before
each send and the id after each acknowledgement; a start that failed is sent again under the same
idempotency key.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from random import Random
from typing import TYPE_CHECKING

import grpc

from podium.conductor import (
    definition_pb2,
    metadata_service_pb2,
    metadata_service_pb2_grpc,
    request_pb2,
    workflow_service_pb2_grpc,
)
from podium_worker import TaskContext, Worker, WorkerTask, worker_task
from tests.chaos.overheard import Overheard, OverheardTransport
from tests.chaos.unruly import Unruliness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

NAME = "chaos"
TASKS = ("chaos_first", "chaos_second")
PAUSE_S = 1
STARTS_PER_S = 60
"""Two tasks each: 120 tasks/s are offered, a run under 50 completed is invalid."""
RESPONSE_S = 75
"""Longer than any fault and the recovery from it: who needs it was stuck."""
OPEN_STARTS_MAX = 200
CALL_S = 5
RETRY_S = 0.1


class Ledgers:
    """What the clients know, whatever the server remembers."""

    def __init__(self) -> None:
        self.sent: dict[str, str | None] = {}
        """Idempotency key → acknowledged workflow id, None before."""
        self.runs: dict[str, list[int]] = {}
        """Task id → the numbers that its runs in this worker made."""
        self.done_s: dict[int, float] = {}
        """Number → when its run was done, before anybody was told."""
        self.came_s: dict[str, float] = {}
        """Task id → when it came here first."""
        self.errors: dict[str, int] = {}
        self.worker = Overheard()
        """Which results were acknowledged."""
        self.unruly = Unruliness(Random(1))
        self.numbers = itertools.count(1)

    @property
    def acknowledged(self) -> list[str]:
        return [each for each in self.sent.values() if each is not None]


async def register(target: str) -> None:
    """Task definitions without retry delay, and the workflow."""
    async with grpc.aio.insecure_channel(target) as channel:
        metadata = metadata_service_pb2_grpc.MetadataServiceStub(channel)
        tasks = [
            definition_pb2.TaskDef(
                name=name,
                retry_count=5,
                retry_logic=definition_pb2.TaskDef.FIXED,
                timeout_policy=definition_pb2.TaskDef.RETRY,
                response_timeout_seconds=RESPONSE_S,
                owner_email="chaos@example.org",
            )
            for name in TASKS
        ]
        await metadata.CreateTasks(metadata_service_pb2.CreateTasksRequest(defs=tasks))
        await metadata.CreateWorkflow(metadata_service_pb2.CreateWorkflowRequest(workflow=chain()))


def chain() -> definition_pb2.WorkflowDef:
    """chaos_first, a pause, then chaos_second with its number."""
    definition = definition_pb2.WorkflowDef(
        name=NAME, version=1, schema_version=2, owner_email="chaos@example.org"
    )
    for name in TASKS:
        if name != TASKS[0]:
            pause = definition.tasks.add(
                name="chaos_pause", task_reference_name="chaos_pause", type="WAIT"
            )
            pause.input_parameters["duration"].string_value = f"{PAUSE_S} s"
        task = definition.tasks.add(name=name, task_reference_name=name, type="SIMPLE")
        if name != TASKS[0]:
            task.input_parameters["number"].string_value = f"${{{TASKS[0]}.output.number}}"
    return definition


def worker(target: str, ledgers: Ledgers, worker_id: str = "chaos") -> Worker:
    """Serves both tasks; every run gets a number of its own."""
    numbers = ledgers.numbers

    def tasks() -> list[WorkerTask]:
        made: list[WorkerTask] = []
        for name in TASKS:

            @worker_task(name, tasks_max=200)
            async def run(
                task_input: Mapping[str, object], context: TaskContext
            ) -> dict[str, object]:
                ledgers.came_s.setdefault(context.task_id, time.monotonic())
                await asyncio.sleep(0.02)  # long enough to be in hand at a kill
                number = next(numbers)
                ledgers.done_s[number] = time.monotonic()
                ledgers.runs.setdefault(context.task_id, []).append(number)
                return {"number": number, "input": dict(task_input)}

            made.append(run)
        return made

    transport = OverheardTransport(target, ledgers.worker, ledgers.unruly)
    return Worker(target, tasks=tasks(), worker_id=worker_id, transport=transport)


class Starter:
    """Starts workflows at a steady rate until told to stop, through every outage."""

    def __init__(self, target: str, ledgers: Ledgers, name: str = "run") -> None:
        self._name = name
        self._channel = grpc.aio.insecure_channel(
            target, options=[("grpc.max_reconnect_backoff_ms", 500)]
        )
        self._workflows = workflow_service_pb2_grpc.WorkflowServiceStub(self._channel)
        self._ledgers = ledgers
        self._open = asyncio.Semaphore(OPEN_STARTS_MAX)
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Returns when every start that was begun is acknowledged."""
        async with asyncio.TaskGroup() as group:
            async for key in self._pace():
                await self._open.acquire()
                group.create_task(self._start(key))
        await self._channel.close()

    async def _pace(self) -> AsyncIterator[str]:
        for serial in itertools.count(1):
            if self.stopping.is_set():
                return
            yield f"{self._name}-{serial}"
            await asyncio.sleep(1 / STARTS_PER_S)

    async def _start(self, key: str) -> None:
        request = request_pb2.StartWorkflowRequest(name=NAME, version=1)
        self._ledgers.sent[key] = None
        try:
            while True:
                try:
                    reply = await self._workflows.StartWorkflow(
                        request,
                        timeout=CALL_S,
                        metadata=(("podium-idempotency-key", key),),
                    )
                except grpc.aio.AioRpcError as error:
                    code = error.code().name
                    self._ledgers.errors[code] = self._ledgers.errors.get(code, 0) + 1
                    await asyncio.sleep(RETRY_S)
                    continue
                self._ledgers.sent[key] = reply.workflow_id
                return
        finally:
            self._open.release()

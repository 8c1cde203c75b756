"""Fifty parked long polls of the old protocol: how soon a task reaches one, and a limit of one."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Self

import grpc.aio

from podium.conductor import definition_pb2 as definition
from podium.conductor import metadata_service_pb2, metadata_service_pb2_grpc, task_service_pb2_grpc
from podium.conductor import task_service_pb2 as tasks
from podium.conductor.execution_pb2 import TaskResult
from tests.bench.figures import Bar, Figure, figure, percentile
from tests.bench.processes import serving
from tests.bench.sizes import client_of, workflow

if TYPE_CHECKING:
    from tests.bench.plan import Plan
    from tests.bench.processes import Server

POLLERS: Final = 50
REACHED_MS: Final = Bar(5, at_least=False)
AT_ONCE: Final = Bar(1, at_least=False)
SLOT_IDLE_MS: Final = Bar(100, at_least=False)
POLL_MS: Final = 5_000
PACE_S: Final = 0.05
LIMITED: Final = 60
WORK_S: Final = 0.02
OPEN, ONE = "bench_polled", "bench_polled_one"


class Pollers:
    """POLLERS loops, each of which polls for one task, works and tells."""

    def __init__(self, server: Server, task_type: str, *, work_s: float) -> None:
        self._channel = grpc.aio.insecure_channel(server.target)
        self._tasks = task_service_pb2_grpc.TaskServiceStub(self._channel)
        self._type = task_type
        self._work_s = work_s
        self._running: list[asyncio.Task[None]] = []
        self.arrived_s: dict[str, float] = {}
        """By workflow id."""
        self.told_s: list[float] = []
        self.taken_s: list[float] = []
        self.at_once = 0
        self.most_at_once = 0
        self.changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._running = [asyncio.create_task(self._poll(number)) for number in range(POLLERS)]
        await asyncio.sleep(1)
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in self._running:
            each.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._channel.close()

    async def finished(self, count: int) -> None:
        while len(self.told_s) < count:
            self.changed.clear()
            await self.changed.wait()

    async def _poll(self, number: int) -> None:
        request = tasks.BatchPollRequest(
            task_type=self._type, worker_id=f"poller-{number}", count=1, timeout=POLL_MS
        )
        while True:
            async for task in self._tasks.BatchPoll(request):
                now_s = time.perf_counter()
                self.arrived_s[task.workflow_instance_id] = now_s
                self.taken_s.append(now_s)
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                await asyncio.sleep(self._work_s)
                self.at_once -= 1
                result = TaskResult(
                    workflow_instance_id=task.workflow_instance_id,
                    task_id=task.task_id,
                    status=TaskResult.COMPLETED,
                )
                await self._tasks.UpdateTask(tasks.UpdateTaskRequest(result=result))
                self.told_s.append(time.perf_counter())
                self.changed.set()


async def measure_polls(command: tuple[str, ...], plan: Plan) -> list[Figure]:
    """From the start of a workflow to the poller; then a concurrency limit of one."""
    reached_ms: list[float] = []
    at_once: list[float] = []
    idle_ms: list[float] = []
    for _ in range(plan.rounds):
        async with serving(*command) as server:
            await _register(server)
            reached_ms.append(await _reached_ms(server, plan.paced_count))
            most, idle = await _limited(server)
            at_once.append(most)
            idle_ms.append(idle)
    return [
        figure(f"podium: start to one of {POLLERS} pollers, p50", "ms", reached_ms, REACHED_MS),
        figure("podium: a limit of 1 under them, at once", "tasks", at_once, AT_ONCE),
        figure("podium: its slot idle while work waits", "ms", idle_ms, SLOT_IDLE_MS),
    ]


async def _register(server: Server) -> None:
    async with grpc.aio.insecure_channel(server.target) as channel:
        metadata = metadata_service_pb2_grpc.MetadataServiceStub(channel)
        limited = definition.TaskDef(name=ONE, concurrent_exec_limit=1)
        limited.response_timeout_seconds = 600
        await metadata.CreateTasks(metadata_service_pb2.CreateTasksRequest(defs=[limited]))
    async with client_of(server) as client:
        for name in (OPEN, ONE):
            task = definition.WorkflowTask(name=name, task_reference_name="t", type="SIMPLE")
            await client.register(workflow(f"{name}_workflow", task))


async def _reached_ms(server: Server, count: int) -> float:
    async with Pollers(server, OPEN, work_s=0) as pollers, client_of(server) as client:
        began_s: dict[str, float] = {}
        for _ in range(count):
            at_s = time.perf_counter()
            began_s[await client.start(f"{OPEN}_workflow", {})] = at_s
            await asyncio.sleep(PACE_S)
        await pollers.finished(count)
        took = [(pollers.arrived_s[each] - at_s) * 1_000 for each, at_s in began_s.items()]
        return percentile(took, 50)


async def _limited(server: Server) -> tuple[float, float]:
    """The most at once, and the longest time from a result to the next task, in ms."""
    async with Pollers(server, ONE, work_s=WORK_S) as pollers, client_of(server) as client:
        await asyncio.gather(*(client.start(f"{ONE}_workflow", {}) for _ in range(LIMITED)))
        await pollers.finished(LIMITED)
        told, taken = sorted(pollers.told_s), sorted(pollers.taken_s)
        idle = [next_s - told_s for told_s, next_s in zip(told, taken[1:], strict=False)]
        return pollers.most_at_once, max(idle) * 1_000

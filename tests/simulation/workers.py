"""Workers: processes of the SDK over streams, and old clients that poll.

Both do what the name of a task type says (generator.py), and crash or lose answers as the seed has
it. They know servers only by their edges: a stream, `polls.poll` and `executor.call`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podium.engine.command import Rejected, ReportResult
from podium.model.execution import TaskStatus
from podium.model.payload import Payload
from podium.model.queue import Queue
from podium.runtime.letter import UnknownExecution
from podium.store.port import StoreError
from podium_worker import (
    ResultStatus,
    TaskContext,
    TaskResult,
    TerminalError,
    Worker,
    worker_task,
)
from tests.simulation.actors import WorkerClock, chance
from tests.simulation.generator import PATIENT_S, POLLED, TYPES
from tests.simulation.network import SimTransport

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from podium.model.execution import ExecutionHeader, TaskRecord
    from podium_worker import WorkerTask
    from tests.simulation.checkers import Checker
    from tests.simulation.node import Nodes
    from tests.simulation.scene import Scene

CRASH_S = 20
CALL_S = 5
POLL_MS = 2_000
CALLBACK_MS = 3_000


class WorkerProcess:
    """One SDK worker and its crashes."""

    def __init__(self, scene: Scene, nodes: Nodes, name: str) -> None:
        self._scene = scene
        self._nodes = nodes
        self._name = name
        self._random = chance(scene.seed, name)

    async def run(self) -> None:
        for life in range(self._scene.swarm.worker_crashes):
            await self._live(life, self._random.uniform(0.5, CRASH_S))
            self._scene.happened("worker crash", self._name)
            await asyncio.sleep(self._random.uniform(0.1, 2))
        await self._live(self._scene.swarm.worker_crashes, None)

    async def _live(self, life: int, lasts_s: float | None) -> None:
        """Run until the crash, or for ever."""
        transport = SimTransport(self._scene, self._nodes, self._random, self._name)
        worker = Worker(
            tasks=[self._handler(kind) for kind in self._types()],
            worker_id=f"{self._name}.{life}",
            transport=transport,
            clock=WorkerClock(self._random),
        )
        running = asyncio.ensure_future(worker.run())
        await asyncio.wait([running], timeout=lasts_s)
        for wire in transport.wires:
            wire.cut()
        running.cancel()
        await asyncio.wait([running])

    def _types(self) -> list[str]:
        """All; where somebody polls for them, most leave the polled ones to him."""
        leaves = self._scene.swarm.pollers > 0 and self._random.random() < 0.7
        return [kind for kind in TYPES if kind != POLLED or not leaves]

    def _handler(self, kind: str) -> WorkerTask:
        random, swarm = self._random, self._scene.swarm

        @worker_task(kind, tasks_max=swarm.tasks_max)
        async def handle(task_input: Mapping[str, object], context: TaskContext) -> object:
            del task_input
            await asyncio.sleep(random.uniform(0, swarm.work_ms_max) / 1000)
            if kind == "fatal":
                raise TerminalError("planned")
            if kind.startswith("fail") and context.retry_count < int(kind[-1]):
                raise ValueError("planned")
            if kind == "slow":
                await asyncio.sleep(random.uniform(0, 3))
            if kind == "hang" and context.retry_count == 0:
                await asyncio.sleep(PATIENT_S)
            if kind == "again" and random.random() < 0.5:
                later_ms = random.randint(0, CALLBACK_MS)
                return TaskResult(ResultStatus.IN_PROGRESS, callback_after_ms=later_ms)
            return {"v": context.info.reference_name}

        return handle


class Poller:
    """A client of the old protocol: polls, works, updates without a lease until it is answered."""

    def __init__(self, scene: Scene, nodes: Nodes, checker: Checker, name: str) -> None:
        self._scene = scene
        self._nodes = nodes
        self._checker = checker
        self._name = name
        self._random: Random = chance(scene.seed, name)

    async def run(self) -> None:
        while True:
            for task, header in await self._poll():
                await self._work(task, header)
            await asyncio.sleep(self._random.uniform(0, 0.1))

    async def _poll(self) -> list[tuple[TaskRecord, ExecutionHeader]]:
        """An answer of a server that died meanwhile, or that the network lost, is none."""
        node = self._nodes.some(self._random)
        runtime = None if node is None else node.runtime
        if node is None or runtime is None:
            return []
        count = self._random.randint(1, 3)
        patience_s = self._random.choice([CALL_S, self._random.uniform(0, POLL_MS / 1000)])
        try:
            async with asyncio.timeout(patience_s):
                polled = await runtime.polls.poll(Queue(POLLED), self._name, count, POLL_MS)
        except TimeoutError:
            return []
        if node.runtime is not runtime:
            return []
        for task, _ in polled:
            self._checker.handed_out(node.name, task.id, task.lease_epoch)
        lost = self._scene.swarm.poll_lost if polled else 0.0
        if self._scene.happens("poll answer lost", lost, self._random, self._name):
            return []
        return polled

    async def _work(self, task: TaskRecord, header: ExecutionHeader) -> None:
        random = self._random
        await asyncio.sleep(random.uniform(0, self._scene.swarm.work_ms_max) / 1000)
        chosen = random.choice(["COMPLETED", "COMPLETED", "FAILED", "IN_PROGRESS"])
        result = ReportResult(
            task_id=task.id,
            status=TaskStatus(chosen),
            output=Payload.of({"v": task.ref}),
            worker_id=self._name,
            callback_after_ms=random.randint(0, CALLBACK_MS) if chosen == "IN_PROGRESS" else 0,
        )
        self._scene.note(self._name, f"updates {task.id} {chosen}")
        answered = False
        while not answered:
            answered = await self._update(header.id, result)
            await asyncio.sleep(random.uniform(0.01, 0.5))

    async def _update(self, workflow_id: str, result: ReportResult) -> bool:
        node = self._nodes.some(self._random)
        if node is None or node.runtime is None:
            return False
        try:
            async with asyncio.timeout(CALL_S):
                await node.runtime.executor.call(workflow_id, result, self._name)
        except (StoreError, TimeoutError):
            return False
        except (Rejected, UnknownExecution):
            pass
        return True

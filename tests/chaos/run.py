"""One chaos run: load, kills and jumps of the clock at random moments, quiet, verdict."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import grpc

from podium.v1 import workflow_pb2, workflow_pb2_grpc
from tests.chaos.load import Ledgers, Starter, register, worker
from tests.chaos.machine import HOUR_S, RIGHT, Machine
from tests.chaos.verdict import Verdict, judge

TASKS_PER_S_MIN = 50
"""A run with less load proves nothing (reliability.md §2)."""
LIFE_S_MIN, LIFE_S_MAX = 0.2, 2.0
FINISH_S = 120
WAIT_MS = 20_000


@dataclass(frozen=True, slots=True)
class Chaos:
    """What a run did and found."""

    kills: int
    seconds: float
    tasks_per_s: float
    verdict: Verdict
    errors: dict[str, int]
    doubled: int
    late_results: int

    @property
    def valid(self) -> bool:
        return self.tasks_per_s >= TASKS_PER_S_MIN

    def line(self) -> str:
        """One line for people."""
        found = self.verdict
        state = "ok" if self.valid and not found.faults else "FAULT" if found.faults else "INVALID"
        return (
            f"chaos: {state}: {self.kills} kills in {self.seconds:.0f} s, "
            f"{found.acknowledged} starts acknowledged, {found.completed} completed, "
            f"{found.runs} task runs, {self.tasks_per_s:.0f} tasks/s completed, "
            f"{self.doubled} results came twice, {self.late_results} after later ones, "
            f"errors at the starter {self.errors}, {len(found.faults)} faults"
        )


async def chaos(*, kills: int, seed: int) -> Chaos:
    """Kill the server `kills` times under load; then let everything finish and judge."""
    random = Random(seed)
    with TemporaryDirectory(prefix="podium-chaos-") as folder:
        victim = Machine(Path(folder))
        ledgers = Ledgers()
        async with victim:
            await register(victim.target)
            began_s = time.monotonic()
            await _storm(victim, ledgers, kills=kills, random=random)
            seconds = time.monotonic() - began_s
        verdict = await judge(victim.store, ledgers)
    rate = 2 * verdict.completed / seconds
    unruly = ledgers.unruly
    return Chaos(kills, seconds, rate, verdict, ledgers.errors, unruly.doubled, unruly.late)


async def _storm(victim: Machine, ledgers: Ledgers, *, kills: int, random: Random) -> None:
    starter = Starter(victim.target, ledgers)
    serving = worker(victim.target, ledgers)
    async with asyncio.TaskGroup() as group:
        group.create_task(serving.run())
        starting = group.create_task(starter.run())
        for _ in range(kills):
            life_s = random.uniform(LIFE_S_MIN, LIFE_S_MAX)
            await asyncio.sleep(life_s / 2)
            victim.set_clock(random.choice([HOUR_S, RIGHT, -HOUR_S]))
            await asyncio.sleep(life_s / 2)
            await victim.kill()
            victim.set_clock(RIGHT)  # a single server believes its clock when it starts
            await victim.start()
        starter.stopping.set()
        await starting
        await all_finished(victim.target, ledgers)
        await serving.stop()


async def all_finished(target: str, ledgers: Ledgers) -> None:
    """Wait for every acknowledged workflow; what does not end in time is left to the verdict."""
    async with grpc.aio.insecure_channel(target) as channel:
        workflows = workflow_pb2_grpc.WorkflowServiceStub(channel)
        try:
            async with asyncio.timeout(FINISH_S):
                for workflow_id in ledgers.acknowledged:
                    finished = False
                    while not finished:
                        request = workflow_pb2.WaitRequest(
                            workflow_id=workflow_id, timeout_ms=WAIT_MS
                        )
                        finished = (await workflows.Wait(request)).finished
        except TimeoutError:
            return

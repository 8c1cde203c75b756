"""Executions that wait: what ten thousand of them cost, and how late a burst of them is fired."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from podium.conductor import definition_pb2 as definition
from tests.bench.figures import Bar, Figure, figure, percentile
from tests.bench.processes import serving
from tests.bench.sizes import Client, client_of, put, workflow

if TYPE_CHECKING:
    from tests.bench.plan import Plan
    from tests.bench.processes import Server

IDLE_CORE: Final = Bar(0.5, at_least=False)
LATE_MS: Final = Bar(100, at_least=False)
WAITING: Final = 10_000
DUE_PER_S: Final = 1_000
DUE_S: Final = 5
LEAD_S: Final = 20
"""Time to start those that will be due."""
STARTS: Final = 64
TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


def waiting() -> definition.WorkflowDef:
    """One WAIT until the instant, or for the duration, that the input says."""
    task = definition.WorkflowTask(name="wait", task_reference_name="wait", type="WAIT")
    put(task.input_parameters["duration"], "${workflow.input.duration}")
    return workflow("bench_wait", task)


async def measure_waits(command: tuple[str, ...], plan: Plan) -> list[Figure]:
    """Percent of a core above an empty server, then lateness of a burst."""
    above: list[float] = []
    late_ms: list[float] = []
    for _ in range(max(plan.rounds // 2, 1)):
        async with serving(*command) as server, client_of(server) as client:
            await client.register(waiting())
            empty = await core_percent(server, plan.waits_ms)
            await start_many(client, ["1 hours"] * WAITING)
            await client.all_indexed()
            await asyncio.sleep(1)
            above.append(await core_percent(server, plan.waits_ms) - empty)
        async with serving(*command) as server, client_of(server) as client:
            await client.register(waiting())
            late_ms.append(await lateness_ms(client))
    return [
        figure(f"podium: {WAITING} executions in WAIT, above idle", "% of a core", above,
               IDLE_CORE),
        figure(f"podium: {DUE_PER_S} WAITs due per second, late, p99", "ms", late_ms, LATE_MS),
    ]  # fmt: skip


async def start_many(client: Client, durations: list[str]) -> list[str]:
    """Ids, in order; STARTS calls in flight."""
    gate = asyncio.Semaphore(STARTS)

    async def start(duration: str) -> str:
        async with gate:
            return await client.start("bench_wait", {"duration": duration})

    return await asyncio.gather(*(start(each) for each in durations))


async def lateness_ms(client: Client) -> float:
    """Executions that fall due evenly over DUE_S seconds: p99 of end - (start + duration)."""
    count = DUE_PER_S * DUE_S
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    gate = asyncio.Semaphore(STARTS)

    async def start(number: int) -> tuple[str, int]:
        async with gate:
            due_s = began_s + LEAD_S + number / DUE_PER_S
            left_s = round(due_s - loop.time())
            return await client.start("bench_wait", {"duration": f"{left_s} seconds"}), left_s

    started = await asyncio.gather(*(start(number) for number in range(count)))
    late: list[float] = []
    for workflow_id, left_s in started:
        await client.ended(workflow_id)
        task = (await client.status(workflow_id)).tasks[0]
        late.append(float(task.end_time - task.start_time - left_s * 1000))
    return percentile(late, 99)


async def core_percent(server: Server, window_ms: int) -> float:
    """CPU of the server's process over the window, in percent of one core."""
    before = cpu_s(server.process_id)
    await asyncio.sleep(window_ms / 1000)
    return (cpu_s(server.process_id) - before) / window_ms * 1000 * 100


def cpu_s(process_id: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S

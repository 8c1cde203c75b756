"""Scripts that never end by themselves, beside plain work: what they cost themselves and others.

The bombs are those of the sandbox's tests which run into a limit of time or memory; each fails its
task. The others are the paced one-task workflows of the latency figures.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from podium.conductor import definition_pb2 as definition
from tests.bench.definitions import register
from tests.bench.figures import Bar, Figure, figure, percentile, ratio
from tests.bench.jobs import Latencies
from tests.bench.processes import run_job, serving
from tests.bench.sizes import Client, client_of, put, workflow
from tests.sandbox.test_programs import BOMBS

if TYPE_CHECKING:
    from tests.bench.jobs import Pace
    from tests.bench.plan import Plan

BOMB_S: Final = Bar(0.6, at_least=False)
OTHERS: Final = Bar(2, at_least=False)
EVERY_MS: Final = 1_000
"""A bomb each second, each kind once while the others are measured."""
LITERAL: Final = [
    (language, program)
    for language, program in BOMBS
    if language in ("javascript", "jq") and "${" not in program
]


def bomb(number: int, language: str) -> definition.WorkflowDef:
    """An INLINE or JSON_JQ_TRANSFORM of one bomb, given with the input: none is parsed before."""
    task = definition.WorkflowTask(name="bomb", task_reference_name="bomb", type="INLINE")
    name = "expression"
    put(task.input_parameters["evaluatorType"], "javascript")
    if language == "jq":
        task = definition.WorkflowTask(
            name="bomb", task_reference_name="bomb", type="JSON_JQ_TRANSFORM"
        )
        name = "queryExpression"
    put(task.input_parameters[name], "${workflow.input.program}")
    return workflow(f"bench_bomb_{number}", task)


async def measure_bombs(command: tuple[str, ...], plan: Plan, pace: Pace) -> list[Figure]:
    """The slowest bomb; p99 of the others with bombs beside them, and without. `pace` is the load,
    its target still to be set.
    """
    slowest_s: list[float] = []
    calm_ms: list[float] = []
    beside_ms: list[float] = []
    for _ in range(plan.rounds):
        async with serving(*command) as server, client_of(server) as client:
            await register(server.target)
            await client.register(
                *(bomb(number, language) for number, (language, _) in enumerate(LITERAL))
            )
            job = type(pace)(
                server.target, pace.shape, pace.interval_ms, pace.warm_up_count, pace.count
            )
            calm = await run_job(job, Latencies)
            calm_ms.append(percentile(calm.received_ms, 99))
            stopping = asyncio.Event()
            throwing = asyncio.create_task(throw(client, stopping))
            count = len(LITERAL) * EVERY_MS // pace.interval_ms
            longer = type(pace)(
                server.target, pace.shape, pace.interval_ms, pace.warm_up_count, count
            )
            loaded = await run_job(longer, Latencies)
            stopping.set()
            slowest_s.append(await throwing)
            beside_ms.append(percentile(loaded.received_ms, 99))
    return [
        figure("podium: slowest script bomb, start to failure", "s", slowest_s, BOMB_S),
        figure("podium: start to handler beside no bomb, p99", "ms", calm_ms),
        ratio("beside bombs / beside none: start to handler, p99", beside_ms, calm_ms, OTHERS),
    ]


async def throw(client: Client, stopping: asyncio.Event) -> float:
    """One bomb after the other, all of them at least once; seconds of the slowest."""
    slowest_s = 0.0
    number = 0
    while number < len(LITERAL) or not stopping.is_set():
        index = number % len(LITERAL)
        began_s = time.perf_counter()
        workflow_id = await client.start(f"bench_bomb_{index}", {"program": LITERAL[index][1]})
        await client.over(workflow_id)
        took_s = time.perf_counter() - began_s
        slowest_s = max(slowest_s, took_s)
        number += 1
        await asyncio.sleep(max(EVERY_MS / 1000 - took_s, 0))
    return slowest_s

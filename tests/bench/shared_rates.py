"""Redis beside sqlite, two servers beside one, and the way from one server to another's worker."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from tests.bench import plan as loads
from tests.bench.figures import Bar, Figure, figure, percentile, ratio
from tests.bench.jobs import ONE_TASK, Latencies, Pace, Rate, Saturate
from tests.bench.processes import run_job
from tests.bench.shared import shared

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from tests.bench.plan import Plan
    from tests.bench.processes import Server
    from tests.bench.shared import Shared

    Embedded = Callable[[], AbstractAsyncContextManager[Server]]

OF_SQLITE: Final = Bar(0.6, at_least=True)
OF_TWO: Final = Bar(0.85, at_least=True)
HOP_P50_MS: Final = Bar(5, at_least=False)
HOP_P99_MS: Final = Bar(20, at_least=False)


async def measure_rates(embedded: Embedded, plan: Plan) -> list[Figure]:
    """One-task workflows: sqlite, one server on Redis, two. Rounds alternate."""
    sqlite: list[float] = []
    one: list[float] = []
    two: list[float] = []
    possible: list[float] = []
    for _ in range(plan.rounds):
        async with embedded() as server:
            sqlite.append((await run_job(saturate([server], plan), Rate)).workflows_per_s)
        async with shared(1) as redis:
            one.append((await run_job(saturate(redis.servers, plan), Rate)).workflows_per_s)
        async with shared(2) as redis:
            rate, cpu_s = await with_cpu(redis, plan)
            two.append(rate.workflows_per_s)
            cores = len(os.sched_getaffinity(0))
            possible.append(min(2 * one[-1], cores * rate.workflows / cpu_s))
    return [
        figure("sqlite: one-task workflows", "workflows/s", sqlite),
        figure("redis: one-task workflows", "workflows/s", one),
        ratio("redis / sqlite: one-task workflows", one, sqlite, OF_SQLITE, "x sqlite"),
        figure("redis, two servers: one-task workflows", "workflows/s", two),
        figure("twice one, or what the cores allow", "workflows/s", possible),
        ratio("two servers / what is possible", two, possible, OF_TWO, "x possible"),
    ]


async def with_cpu(redis: Shared, plan: Plan) -> tuple[Rate, float]:
    """The rate, and the CPU of servers, Redis and generator for all its workflows."""
    before_s = redis.cpu_s
    rate = await run_job(saturate(redis.servers, plan), Rate)
    return rate, redis.cpu_s - before_s + rate.cpu_s


def saturate(servers: list[Server], plan: Plan) -> Saturate:
    """One-task workflows over all of them."""
    return loads.saturate([each.target for each in servers], ONE_TASK, plan)


async def measure_hop(plan: Plan) -> list[Figure]:
    """Started at one server, handed out by another one, at 20 a second."""
    p50_ms: list[float] = []
    p99_ms: list[float] = []
    for _ in range(plan.rounds):
        async with shared(2) as redis:
            first, second = redis.servers
            job = Pace(
                first.target,
                ONE_TASK,
                interval_ms=loads.PACE_INTERVAL_MS,
                warm_up_count=plan.paced_warm_up_count,
                count=plan.paced_count,
                worker_target=second.target,
            )
            found = (await run_job(job, Latencies)).received_ms
            p50_ms.append(percentile(found, 50))
            p99_ms.append(percentile(found, 99))
    name = "redis: start at A to the handler at C"
    return [
        figure(f"{name}, p50", "ms", p50_ms, HOP_P50_MS),
        figure(f"{name}, p99", "ms", p99_ms, HOP_P99_MS),
    ]

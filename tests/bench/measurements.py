"""The measurements behind the printed figures, by name; each starts what it needs afresh per round.

Rounds of floor and Podium alternate, so that both see the same weather on a shared machine. Bars
are those of the issue "Podium runs" and of architecture §8. Knows nothing of how figures are shown.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.bench import (
    attacks,
    bombs,
    lags,
    polls,
    redelivery,
    shared_costs,
    shared_rates,
    sizes,
    streams,
    waits,
)
from tests.bench import plan as loads
from tests.bench.burning_server import BURNING_EVENT
from tests.bench.definitions import register
from tests.bench.figures import Bar, Figure, figure, percentile, ratio
from tests.bench.jobs import (
    ONE_TASK,
    TEN_TASKS,
    Echo,
    Latencies,
    Pace,
    Rate,
    Shape,
)
from tests.bench.plan import Plan
from tests.bench.processes import Failed, Server, run_job, serving

RATE_RATIO = Bar(0.4, at_least=True)
LATENCY_RATIO = Bar(2, at_least=False)
BURNING_START_MS = Bar(50, at_least=False)
SERVING_S = Bar(1.5, at_least=False)
IDLE_MB = Bar(120, at_least=False)

ECHO_COMMAND = (sys.executable, "-m", "tests.bench.echo")
FLOOR_COMMAND = (sys.executable, "-m", "tests.bench.floor", "{folder}/floor.db")
PODIUM_ARGUMENTS = (
    *("serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"),
    *("--store", "sqlite:///{folder}/podium.db"),
)
# The installed script, since its start is measured too.
PODIUM_COMMAND = (str(Path(sys.executable).parent / "podium"), *PODIUM_ARGUMENTS)
BURNING_COMMAND = (sys.executable, "-m", "tests.bench.burning_server", *PODIUM_ARGUMENTS)

Measurement = Callable[[Plan], Awaitable[list[Figure]]]


async def measure_echo(plan: Plan) -> list[Figure]:
    """Calls per second of a bare unary echo."""
    rates: list[float] = []
    for _ in range(plan.rounds):
        async with serving(*ECHO_COMMAND) as server:
            job = Echo(server.target, loads.ECHO_CALLS, plan.warm_up_ms, plan.window_ms)
            rates.append((await run_job(job, Rate)).calls_per_s)
    return [figure("bare unary echo", "calls/s", rates)]


async def measure_one_task(plan: Plan) -> list[Figure]:
    """One-task workflows per second by unary starts, beside the floor's."""
    floor, podium = await rates_of(ONE_TASK, plan)
    ours = [rate.workflows_per_s for rate in podium]
    theirs = [rate.workflows_per_s for rate in floor]
    return [
        figure("floor: one-task workflows", "workflows/s", theirs),
        figure("podium: one-task workflows", "workflows/s", ours),
        ratio("podium / floor: one-task workflows", ours, theirs, RATE_RATIO),
    ]


async def measure_ten_tasks(plan: Plan) -> list[Figure]:
    """Tasks per second in ten-task sequences, beside the floor's."""
    floor, podium = await rates_of(TEN_TASKS, plan)
    ours = [rate.tasks_per_s for rate in podium]
    theirs = [rate.tasks_per_s for rate in floor]
    return [
        figure("floor: ten-task sequences", "tasks/s", theirs),
        figure("podium: ten-task sequences", "tasks/s", ours),
        ratio("podium / floor: ten-task sequences", ours, theirs, RATE_RATIO),
    ]


async def measure_latency(plan: Plan) -> list[Figure]:
    """Start to handler at 20 workflows/s, beside the floor's."""
    floor: list[Latencies] = []
    podium: list[Latencies] = []
    for _ in range(plan.rounds):
        async with floor_server() as server:
            floor.append(await run_job(pace(server, plan), Latencies))
        async with podium_server(PODIUM_COMMAND) as server:
            podium.append(await run_job(pace(server, plan), Latencies))
    figures: list[Figure] = []
    for percent in (50, 99):
        theirs = [percentile(each.received_ms, percent) for each in floor]
        ours = [percentile(each.received_ms, percent) for each in podium]
        name = f"start to handler at 20/s, p{percent}"
        figures += [
            figure(f"floor: {name}", "ms", theirs),
            figure(f"podium: {name}", "ms", ours),
            ratio(f"podium / floor: {name}", ours, theirs, LATENCY_RATIO),
        ]
    return figures


async def measure_burning(plan: Plan) -> list[Figure]:
    """Start to durable answer at 20 workflows/s while 1 ms of every loop turn is burnt."""
    answered_ms: list[float] = []
    for _ in range(plan.rounds):
        async with podium_server(BURNING_COMMAND) as server:
            if BURNING_EVENT not in server.events:
                raise Failed(f"server: expected a burning loop, found only {server.events}")
            latencies = await run_job(pace(server, plan), Latencies)
            answered_ms.append(percentile(latencies.answered_ms, 99))
    name = "podium: start answered, loop burning, p99"
    return [figure(name, "ms", answered_ms, BURNING_START_MS)]


async def measure_idle(plan: Plan) -> list[Figure]:
    """Start to serving, then resident memory with nothing to do."""
    serving_s: list[float] = []
    idle_mb: list[float] = []
    for _ in range(plan.rounds):
        async with serving(*PODIUM_COMMAND) as server:
            serving_s.append(server.serving_s)
            await asyncio.sleep(plan.idle_ms / 1000)
            idle_mb.append(server.resident_mb())
    return [
        figure("podium: start to serving", "s", serving_s, SERVING_S),
        figure("podium: resident at idle", "MB", idle_mb, IDLE_MB),
    ]


async def measure_redelivery(plan: Plan) -> list[Figure]:
    """A worker killed in mid-task, to the handler of the next one."""
    return await redelivery.measure_redelivery(PODIUM_COMMAND, plan)


async def measure_sizes(plan: Plan) -> list[Figure]:
    """A fork and a loop of 10,000 beside those of 100."""
    return await sizes.measure_sizes(PODIUM_COMMAND, plan)


async def measure_lags(plan: Plan) -> list[Figure]:
    """From one task to the next, over a JOIN, a child's end, a freed slot."""
    return await lags.measure_lags(PODIUM_COMMAND, plan)


async def measure_bombs(plan: Plan) -> list[Figure]:
    """Script bombs and the work beside them."""
    return await bombs.measure_bombs(PODIUM_COMMAND, plan, load(plan))


async def measure_waits(plan: Plan) -> list[Figure]:
    """Executions in WAIT."""
    return await waits.measure_waits(PODIUM_COMMAND, plan)


async def measure_streams(plan: Plan) -> list[Figure]:
    """Idle worker streams."""
    return await streams.measure_streams(PODIUM_COMMAND, plan)


async def measure_polls(plan: Plan) -> list[Figure]:
    """Parked long polls."""
    return await polls.measure_polls(PODIUM_COMMAND, plan)


async def measure_attacks(plan: Plan) -> list[Figure]:
    """Others under attack."""
    return await attacks.measure_attacks(PODIUM_COMMAND, plan, load(plan))


async def measure_redis_rates(plan: Plan) -> list[Figure]:
    """Redis beside sqlite, two servers beside one."""
    return await shared_rates.measure_rates(lambda: podium_server(PODIUM_COMMAND), plan)


async def measure_forks(plan: Plan) -> list[Figure]:
    """Scripts per branch of forks of 100 and 10,000."""
    del plan
    return await shared_costs.measure_forks()


MEASUREMENTS: Final[dict[str, Measurement]] = {
    "echo": measure_echo,
    "one-task": measure_one_task,
    "ten-tasks": measure_ten_tasks,
    "latency": measure_latency,
    "burning": measure_burning,
    "idle": measure_idle,
    "redelivery": measure_redelivery,
    "sizes": measure_sizes,
    "lags": measure_lags,
    "bombs": measure_bombs,
    "waits": measure_waits,
    "attacks": measure_attacks,
    "streams": measure_streams,
    "polls": measure_polls,
}


OF_REDIS: Final[dict[str, Measurement]] = {
    "rates": measure_redis_rates,
    "hop": shared_rates.measure_hop,
    "scripts": shared_costs.measure_scripts,
    "forks": measure_forks,
    "rest": shared_costs.measure_idle,
    "stored": shared_costs.measure_stored,
}
OF_STORE: Final = {"sqlite": MEASUREMENTS, "redis": OF_REDIS}


async def rates_of(shape: Shape, plan: Plan) -> tuple[list[Rate], list[Rate]]:
    """Rates of the floor and of Podium, round by round."""
    floor: list[Rate] = []
    podium: list[Rate] = []
    for _ in range(plan.rounds):
        async with floor_server() as server:
            floor.append(await run_job(loads.saturate([server.target], shape, plan), Rate))
        async with podium_server(PODIUM_COMMAND) as server:
            podium.append(await run_job(loads.saturate([server.target], shape, plan), Rate))
    return floor, podium


def pace(server: Server, plan: Plan) -> Pace:
    """The load of the latencies: 20 workflows/s."""
    return load(plan, server.target)


def load(plan: Plan, target: str = "") -> Pace:
    """The same, for a server to come."""
    return Pace(
        target,
        ONE_TASK,
        interval_ms=loads.PACE_INTERVAL_MS,
        warm_up_count=plan.paced_warm_up_count,
        count=plan.paced_count,
    )


@asynccontextmanager
async def floor_server() -> AsyncIterator[Server]:
    """The floor program on an empty store."""
    async with serving(*FLOOR_COMMAND) as server:
        yield server


@asynccontextmanager
async def podium_server(command: tuple[str, ...]) -> AsyncIterator[Server]:
    """Podium on an empty store, with the definitions registered."""
    async with serving(*command) as server:
        await register(server.target)
        yield server

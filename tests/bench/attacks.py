"""Others while the port is attacked (tests/attack): their p99, the memory it takes, how soon all is
as before. The attacker is a process of its own on the same machine.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import grpc.aio

from tests.attack.attacks import ATTACKS
from tests.attack.siege import Healthy, attacking
from tests.bench.definitions import register
from tests.bench.figures import Bar, Figure, figure, percentile
from tests.bench.jobs import Latencies
from tests.bench.processes import Failed, run_job, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.bench.jobs import Pace
    from tests.bench.plan import Plan
    from tests.bench.processes import Server

ANSWERED_MS: Final = Bar(500, at_least=False)
GROWN_MB: Final = Bar(100, at_least=False)
BACK_S: Final = Bar(10, at_least=False)
BACK_S_MAX: Final = 60
CALM_CALLS: Final = 40
ALIKE: Final = 20
"""So many calls in a row, none slower than the slowest twentieth before: as before."""
SLACK: Final = 2
LOOK_S: Final = 0.02
MULTIPLIED: Final = "continuation-again"
"""Its memory is gRPC's own for each connection, which nothing here limits (docs/security.md)."""


async def measure_attacks(command: tuple[str, ...], plan: Plan, pace: Pace) -> list[Figure]:
    """Per attack the p99 of starts; over all attacks the worst growth and the slowest return. The
    one whose memory multiplies comes last, so that what it leaves is in no other figure.
    """
    names = [*(name for name in ATTACKS if name != MULTIPLIED), MULTIPLIED]
    answered_ms: dict[str, list[float]] = {name: [] for name in names}
    grown_mb: dict[str, list[float]] = {name: [] for name in names}
    back_s: list[float] = []
    for _ in range(plan.rounds):
        async with (
            serving(*command) as server,
            grpc.aio.insecure_channel(server.target) as channel,
        ):
            await register(server.target)
            healthy = Healthy(channel)
            await healthy.prepare()
            calm_ms = percentile([await healthy.call() for _ in range(CALM_CALLS)], 95)
            before_mb, slowest_s = server.resident_mb(), 0.0
            for name in names:
                async with peak_mb(server) as peak:
                    answered_ms[name].append(await under(name, server, pace, plan))
                grown_mb[name].append(peak.mb - before_mb)
                slowest_s = max(slowest_s, await as_before(healthy, calm_ms))
            back_s.append(slowest_s)
    multiplied_mb = grown_mb.pop(MULTIPLIED)
    worst_mb = [max(growths) for growths in zip(*grown_mb.values(), strict=True)]
    return [
        *(
            figure(f"start answered under {name}, p99", "ms", rounds, ANSWERED_MS)
            for name, rounds in answered_ms.items()
        ),
        figure("under attack: memory above before", "MB", worst_mb, GROWN_MB),
        figure(f"under {MULTIPLIED}: memory above before", "MB", multiplied_mb),
        figure("under attack: end to latencies as before", "s", back_s, BACK_S),
    ]


async def under(name: str, server: Server, pace: Pace, plan: Plan) -> float:
    """p99 of the paced starts, ms."""
    job = type(pace)(
        server.target, pace.shape, pace.interval_ms, pace.warm_up_count, plan.paced_count // 3
    )
    async with attacking(name, server.target) as siege:
        found = await run_job(job, Latencies)
    if not siege.tally["acts"]:
        raise Failed(f"{name}: expected an attack, found that it did nothing")
    return percentile(found.answered_ms, 99)


class Peak:
    """The most resident memory that was seen, in 10^6 bytes."""

    mb = 0.0


@asynccontextmanager
async def peak_mb(server: Server) -> AsyncIterator[Peak]:
    """Looks all the time."""
    peak = Peak()

    async def look() -> None:
        while True:
            peak.mb = max(peak.mb, server.resident_mb())
            await asyncio.sleep(LOOK_S)

    looking = asyncio.create_task(look())
    try:
        yield peak
    finally:
        looking.cancel()


async def as_before(healthy: Healthy, calm_ms: float) -> float:
    """Seconds until calls take what they took before."""
    began_s = time.perf_counter()
    alike = 0
    while alike < ALIKE:
        alike = alike + 1 if await healthy.call() <= SLACK * calm_ms else 0
        if time.perf_counter() - began_s > BACK_S_MAX:
            raise Failed(f"expected latencies as before within {BACK_S_MAX} s, found slower ones")
    return time.perf_counter() - began_s

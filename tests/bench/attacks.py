"""Others while the port is attacked (tests/attack): their p99, the memory it takes, how soon all is
as before. The attacker is a process of its own on the same machine.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import grpc.aio

from tests.attack.attacks import ATTACKS
from tests.attack.siege import Healthy, attacking, resident_mb
from tests.bench.definitions import register
from tests.bench.figures import Bar, Figure, figure, percentile
from tests.bench.jobs import Latencies
from tests.bench.processes import Failed, run_job, serving

if TYPE_CHECKING:
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


async def measure_attacks(command: tuple[str, ...], plan: Plan, pace: Pace) -> list[Figure]:
    """Per attack the p99 of starts; over all attacks the worst growth and the slowest return."""
    answered_ms: dict[str, list[float]] = {name: [] for name in ATTACKS}
    grown_mb: list[float] = []
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
            before_mb, peak_mb, slowest_s = resident_mb(server.process_id), 0.0, 0.0
            for name in ATTACKS:
                answered_ms[name].append(await under(name, server, pace, plan))
                peak_mb = max(peak_mb, resident_mb(server.process_id) - before_mb)
                slowest_s = max(slowest_s, await as_before(healthy, calm_ms))
            grown_mb.append(peak_mb)
            back_s.append(slowest_s)
    return [
        *(
            figure(f"start answered under {name}, p99", "ms", rounds, ANSWERED_MS)
            for name, rounds in answered_ms.items()
        ),
        figure("under attack: memory above before", "MB", grown_mb, GROWN_MB),
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


async def as_before(healthy: Healthy, calm_ms: float) -> float:
    """Seconds until calls take what they took before."""
    began_s = time.perf_counter()
    alike = 0
    while alike < ALIKE:
        alike = alike + 1 if await healthy.call() <= SLACK * calm_ms else 0
        if time.perf_counter() - began_s > BACK_S_MAX:
            raise Failed(f"expected latencies as before within {BACK_S_MAX} s, found slower ones")
    return time.perf_counter() - began_s

"""From the death of a worker in mid-task to the next worker's handler, under Podium's own grace.

Two worker processes of the SDK hold a task at a time. One is killed with SIGKILL: its stream
breaks, the grace runs, the other gets the task. Both moments are read from the machine's monotonic
clock.
"""

from typing import Final

from tests.bench.figures import Bar, Figure, figure
from tests.bench.plan import Plan
from tests.bench.processes import Failed, Server, serving
from tests.e2e.client import Client
from tests.e2e.holding import holding

REDELIVERY_S: Final = Bar(6, at_least=False)
"""The grace of 5 s, and 1 s."""
HELD: Final = "held"
NS: Final = 1_000_000_000


async def measure_redelivery(command: tuple[str, ...], plan: Plan) -> list[Figure]:
    """Seconds from the kill to the handler; each round on a fresh server."""
    seconds: list[float] = []
    for _ in range(plan.rounds):
        async with serving(*command) as server:
            seconds.append(await _redelivery_s(server))
    return [figure("podium: worker killed to next handler", "s", seconds, REDELIVERY_S)]


async def _redelivery_s(server: Server) -> float:
    async with (
        Client(server.target) as client,
        holding(server.target, HELD, "first") as first,
        holding(server.target, HELD, "second") as second,
    ):
        await client.register(HELD)
        # Each takes one; so the second is connected, and free again when it has finished.
        await client.start(HELD)
        await client.start(HELD)
        lost, done = await first.taken(), await second.taken()
        second.finish()
        await client.ended(done.task_id.split(".", 1)[0])
        killed_ns = await first.kill()
        found = await second.taken()
        if found.task_id != lost.task_id:
            raise Failed(f"second worker: expected {lost.task_id}, found {found.task_id}")
        return (found.at_ns - killed_ns) / NS

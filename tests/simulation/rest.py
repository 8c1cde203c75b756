"""What a store may hold when all executions have ended and the servers have had their time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from podium.store.port import PARKED, PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from podium.store.port import Store
    from podium.store.queue_view import QueueCount

LATEST_MS = 2**62
DUE_MAX = 1_000
LOOK_S = 0.5


async def left_over(store: Store, incarnations: Iterable[str]) -> list[tuple[str, object]]:
    """What should be nothing: (rule, what there is). `incarnations`: of all servers there were."""
    everywhere = range(PARTITIONS)
    return [
        ("nothing is parked", await store.list_definitions(PARKED)),
        ("no ready entry is left", await store.ready(everywhere)),
        ("no deadline is left", await store.due(everywhere, LATEST_MS, DUE_MAX)),
        ("no task is outstanding", await store.outstanding_counts()),
        ("no slot is left", [each for part in everywhere for each in await store.slots(part)]),
        ("nobody has a lease", await store.holders(everywhere)),
        *[
            (f"no outbox entry of {each} is left", await store.outbox(everywhere, each))
            for each in incarnations
        ],
    ]


async def at_rest(
    look: Callable[[], Awaitable[list[tuple[str, object]]]], seconds_max: float
) -> list[tuple[str, object]]:
    """What of `look` (as of left_over) is still there when the servers had their time."""
    until_s = time.monotonic() + seconds_max
    while True:
        found = [(rule, left) for rule, left in await look() if left]
        if not found or time.monotonic() > until_s:
            return found
        await asyncio.sleep(LOOK_S)


async def queued(store: Store) -> list[QueueCount]:
    """Queues that hold a task, though claims need a moment to end."""
    types = await store.task_types()
    counts = [each for name in types for each in await store.queue_counts(name)]
    return [each for each in counts if each.ready or each.claimed]

"""`podium` in a loop that never idles: `python -m tests.bench.burning_server serve ...`.

A coroutine burns 1 ms of every turn of the loop, as a busy neighbour in the process would. The seam
is the command line itself: the installed script `podium` gets the same words, and every coroutine
that it gives to asyncio.Runner (asyncio.run and uvloop.run do so too) runs beside the burner. The
burner's first turn prints an event, so that a figure without it cannot pass for one with it.
"""

import asyncio
import json
import sys
import time
from collections.abc import Coroutine
from contextvars import Context
from importlib.metadata import entry_points
from typing import TypeVar

BURN_S = 0.001
BURNING_EVENT = "burning"

Returned = TypeVar("Returned")


async def burning(served: Coroutine[object, object, Returned]) -> Returned:
    """What the coroutine returns, from a loop that never idled."""
    burner = asyncio.ensure_future(burn())
    try:
        return await served
    finally:
        burner.cancel()


async def burn() -> None:
    """Burn until cancelled: `sleep(0)` gives the loop exactly one turn."""
    print(json.dumps({"event": BURNING_EVENT}), flush=True)
    while True:
        until_s = time.perf_counter() + BURN_S
        while time.perf_counter() < until_s:
            pass
        await asyncio.sleep(0)


def set_alight() -> None:
    """From now on every coroutine that a Runner of this process runs has a burner beside it."""
    plain_run = asyncio.Runner.run

    def run(
        self: asyncio.Runner,
        coro: Coroutine[object, object, Returned],
        *,
        context: Context | None = None,
    ) -> Returned:
        return plain_run(self, burning(coro), context=context)

    asyncio.Runner.run = run


if __name__ == "__main__":
    set_alight()
    (script,) = entry_points(group="console_scripts", name="podium")
    sys.exit(script.load()())

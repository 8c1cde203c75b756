"""`podium` on a machine that a test disturbs: its wall clock is set, its ways to a store are bent.

CLOCK=path: a file with the ns by which the wall clock is wrong, looked at whenever the time is. The
monotonic clock goes on as it was, exactly as when NTP or a person sets the other one.
DETOURS=port:port,...: what is meant for the first port of a pair goes to the second, a proxy, so
that a server can be cut off from nodes whose addresses it learns from the store itself.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import struct
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from podium.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Mapping

WRONG_BY: Final = struct.Struct("q")
NS_PER_S: Final = 1_000_000_000


def bend_clock(path: str) -> None:
    """For all that asks `time` in this process."""
    with open(path, "r+b") as file:  # noqa: PTH123 - mapped for as long as the process lives
        wrong = mmap.mmap(file.fileno(), WRONG_BY.size)
    true_ns = time.time_ns

    def wall_ns() -> int:
        return true_ns() + int(WRONG_BY.unpack_from(wrong)[0])

    def wall_s() -> float:
        return wall_ns() / NS_PER_S

    time.time_ns, time.time = wall_ns, wall_s


def bend_ways(detours: Mapping[int, int]) -> None:
    """For all connections that asyncio opens in this process."""
    real = asyncio.open_connection

    async def open_bent(
        host: str | None = None, port: int = 0, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await real(host, detours.get(int(port), port), **options)

    asyncio.open_connection = open_bent


def detours_of(text: str) -> dict[int, int]:
    """`port:port,...`, as in DETOURS."""
    pairs = (each.split(":") for each in text.split(",") if each)
    return {int(meant): int(taken) for meant, taken in pairs}


if __name__ == "__main__":
    if clock := os.environ.get("CLOCK"):
        bend_clock(clock)
    bend_ways(detours_of(os.environ.get("DETOURS", "")))
    sys.exit(main())

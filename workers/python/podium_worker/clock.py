"""Time and chance of a worker as a port, so that a simulation can run it on a virtual clock."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Protocol


class Clock(Protocol):
    """Where a worker's time comes from."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        ...

    async def sleep(self, delay_ms: int) -> None: ...

    def jitter(self, limit_ms: int) -> int:
        """A random number of ms in [0, limit_ms]."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return int(time.time() * 1000)

    async def sleep(self, delay_ms: int) -> None:
        await asyncio.sleep(max(delay_ms, 0) / 1000)

    def jitter(self, limit_ms: int) -> int:
        return random.randint(0, limit_ms)  # noqa: S311 - spreads load, guards nothing

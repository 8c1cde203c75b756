"""Chance, time and identities of one actor, all from (seed, actor name).

So adding an actor does not disturb the others' draws.
"""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCH_MS = 1_800_000_000_000


def chance(seed: int, actor: str) -> Random:
    """The actor's own source of numbers."""
    digest = blake2b(f"{seed}:{actor}".encode(), digest_size=8).digest()
    return Random(int.from_bytes(digest, "big"))


def loop_ms() -> int:
    """Virtual ms since the run began."""
    return int(asyncio.get_running_loop().time() * 1000)


class SimClock:
    """A machine's clock: true time plus how wrong this machine is (`skew_ms`)."""

    def __init__(self, skew_ms: int = 0) -> None:
        self.skew_ms = skew_ms

    def now_ms(self) -> int:
        return EPOCH_MS + loop_ms() + self.skew_ms

    def now_us(self) -> int:
        return loop_ms() * 1000

    async def sleep(self, delay_ms: int) -> None:
        await asyncio.sleep(max(delay_ms, 0) / 1000)

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(max(delay_ms, 0) / 1000, callback)


class SimIds:
    """A server's identities and jitter."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def workflow_id(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def incarnation(self) -> str:
        return f"{self._random.getrandbits(48):012x}"

    def jitter(self, limit_ms: int) -> int:
        return self._random.randint(0, limit_ms)


class WorkerClock(SimClock):
    """The SDK's clock port."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random

    def jitter(self, limit_ms: int) -> int:
        return self._random.randint(0, limit_ms)

"""Stores under test: each backend with a clock that the test moves, plain or behind faults."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from podium.runtime.clock import SystemClock
from podium.store.conformance.subject import Subject
from podium.store.faulty import FaultSettings, FaultyStore
from podium.store.memory import MemoryStore
from podium.store.port import Store
from podium.store.redis.address import Address, read_address
from podium.store.redis.durability import LOCAL, Durability
from podium.store.redis.store import RedisStore
from podium.store.sqlite import SqliteStore
from tests.store.repeating import Repeating

BEGIN_MS = 1_790_000_000_000


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.at_ms = BEGIN_MS

    def now_ms(self) -> int:
        return self.at_ms


class Bench:
    """A store with its clock; see conformance.subject.Subject."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store: Store = store
        self._clock = clock

    def now_ms(self) -> int:
        return self._clock.now_ms()

    async def advance(self, delay_ms: int) -> None:
        self._clock.at_ms += delay_ms


def unsynced(descriptor: int) -> None:
    """Most tests are about statements; the sync has its own."""


async def slept(delay_ms: int) -> None:
    """A delay that is drawn and costs nothing."""


class Distant:
    """A store with a clock of its own, which nobody moves: time passes by itself."""

    def __init__(self, store: RedisStore) -> None:
        self.store: Store = store
        self._told = store.now

    def now_ms(self) -> int:
        """Redis has the machine's time; Dynomite is told one."""
        told = self._told()
        return told if isinstance(told, int) else time.time_ns() // 1_000_000

    async def advance(self, delay_ms: int) -> None:
        await asyncio.sleep((delay_ms + 2) / 1_000)


def own_part(url: str) -> Address:
    """With a prefix that nobody else has."""
    return read_address(f"{url}{'&' if '?' in url else '?'}prefix=podium:{uuid4().hex}:")


@asynccontextmanager
async def distant(url: str, durability: Durability = LOCAL) -> AsyncIterator[Subject]:
    """A store of its own on shared nodes, open."""
    store = RedisStore(own_part(url), SystemClock().now_ms, durability=durability)
    await store.open()
    try:
        yield Distant(store)
    finally:
        await store.close()


@asynccontextmanager
async def opened(backend: str, folder: Path) -> AsyncIterator[Subject]:
    """A fresh store of a backend's name, open."""
    clock = Clock()
    kind, _, faulty = backend.partition("+")
    store: Store
    if kind == "memory":
        store = MemoryStore(clock.now_ms)
    else:
        store = SqliteStore(folder / "podium.db", clock.now_ms, sync=unsynced)
    if faulty:
        # No lost answers here: a check states what the first answer says.
        settings = FaultSettings(unavailable=0.3, delay=0.3, delay_ms_max=3)
        store = FaultyStore(store, settings, chance=random.Random(7), sleep_ms=slept)
        store = Repeating(store)  # pyright: ignore[reportAssignmentType] - every verb by name
    await store.open()
    try:
        yield Bench(store, clock)
    finally:
        await store.close()

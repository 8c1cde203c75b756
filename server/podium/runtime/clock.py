"""Time, randomness and task spawning as ports; the only file that may touch the real ones.

`now_ms` is epoch ms: a start value plus monotonic time, so a jump of the system clock does not
move it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


NS_PER_MS = 1_000_000
NS_PER_US = 1_000
US_PER_MS = 1_000
JUMP_MS = 1_000
"""An offset that differs by more than this from what round trips explain is a jump."""


class Clock(Protocol):
    """Where time comes from."""

    def now_ms(self) -> int: ...

    def now_us(self) -> int:
        """Monotonic microseconds since nobody knows when, for durations."""
        ...

    async def sleep(self, delay_ms: int) -> None: ...

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> asyncio.TimerHandle: ...


class Ids(Protocol):
    """Where identities and chance come from."""

    def workflow_id(self) -> str: ...

    def incarnation(self) -> str: ...

    def jitter(self, limit_ms: int) -> int:
        """A number of ms in [0, limit_ms]."""
        ...


class SystemClock:
    """The running loop's clock, anchored once to the system's."""

    def __init__(self) -> None:
        self._anchor_ms = time.time_ns() // NS_PER_MS - time.monotonic_ns() // NS_PER_MS

    def now_ms(self) -> int:
        return self._anchor_ms + time.monotonic_ns() // NS_PER_MS

    def now_us(self) -> int:
        return time.monotonic_ns() // NS_PER_US

    async def sleep(self, delay_ms: int) -> None:
        await asyncio.sleep(max(delay_ms, 0) / 1000)

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(max(delay_ms, 0) / 1000, callback)


class StoreClock:
    """A clock on the store's time: every server that shares a store agrees, whatever its own says.

    The offset comes from the heartbeat with the shortest round trip (distribution.md §7); a jump of
    the store's own clock is followed.
    """

    def __init__(self, base: Clock) -> None:
        self._base = base
        self._offset_ms = 0
        self._round_trip_ms: int | None = None

    def now_ms(self) -> int:
        return self._base.now_ms() + self._offset_ms

    def now_us(self) -> int:
        return self._base.now_us()

    def steady_ms(self) -> int:
        """Monotonic ms since nobody knows when, for durations: a clock that is set, this server's
        or the store's, does not move it.
        """
        return self._base.now_us() // US_PER_MS

    def local_ms(self) -> int:
        """This server's own time, for measuring a round trip."""
        return self._base.now_ms()

    async def sleep(self, delay_ms: int) -> None:
        await self._base.sleep(delay_ms)

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return self._base.call_later(delay_ms, callback)

    def heard(self, store_ms: int, sent_ms: int, received_ms: int) -> None:
        """The store said `store_ms` between these two moments of the local clock."""
        round_trip_ms = received_ms - sent_ms
        offset_ms = store_ms - (sent_ms + received_ms) // 2
        best_ms = self._round_trip_ms
        jumped = abs(offset_ms - self._offset_ms) > round_trip_ms + JUMP_MS
        if best_ms is None or round_trip_ms <= best_ms or jumped:
            self._round_trip_ms = round_trip_ms
            self._offset_ms = offset_ms


class SystemIds:
    """Random ids of the operating system."""

    def workflow_id(self) -> str:
        return str(uuid.uuid4())

    def incarnation(self) -> str:
        return uuid.uuid4().hex[:12]

    def jitter(self, limit_ms: int) -> int:
        return uuid.uuid4().int % (limit_ms + 1)


def new_secret() -> str:
    """256 random bits as a text that fits into a header."""
    return secrets.token_urlsafe(32)


def spawn(group: set[asyncio.Task[None]], coroutine: Coroutine[object, object, None]) -> None:
    """Run a coroutine as a task owned by `group`; the owner cancels what is left at its stop."""
    task = asyncio.get_running_loop().create_task(coroutine)
    group.add(task)
    task.add_done_callback(group.discard)

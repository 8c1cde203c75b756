"""How late the event loop is: a timer that measures its own lateness.

It wakes the loop four times a second. A loop that a long computation holds shows it at the next
look; while it is held nothing is answered anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.runtime.clock import US_PER_MS
from podium.runtime.measure import CALL_US_BOUNDS, Histogram

if TYPE_CHECKING:
    import asyncio

    from podium.runtime.clock import Clock

LOOK_MS: Final = 250


class LoopLag:
    """Of the loop in which it is started."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due_us = 0
        self._handle: asyncio.TimerHandle | None = None
        self.last_us = 0
        """As of the last look."""
        self.histogram = Histogram(CALL_US_BOUNDS)

    @property
    def last_ms(self) -> int:
        return self.last_us // US_PER_MS

    def start(self) -> None:
        self._due_us = self._clock.now_us() + LOOK_MS * US_PER_MS
        self._handle = self._clock.call_later(LOOK_MS, self._look)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        self.last_us = max(self._clock.now_us() - self._due_us, 0)
        self.histogram.add(self.last_us)
        self.start()

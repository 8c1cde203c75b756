"""Leases that are stored and whose claims the queues do not know to be over yet.

Where a trip to the store is a script, claims of unlimited types wait a moment to be told together:
a claim ends by itself only seconds later, and nobody waits for its end. A task that is pushed again
goes first, or its own claim would be in its way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Container

    from podium.runtime.clock import Clock
    from podium.store.port import Settle

TOGETHER_MS: Final = 250
"""Far less than a claim lasts."""
TOGETHER_MAX: Final = 500


class Settles:
    """`flush` is called when some should be taken; `together` = those that may wait do."""

    def __init__(self, clock: Clock, flush: Callable[[], None], *, together: bool) -> None:
        self._clock = clock
        self._flush = flush
        self._together = together
        self._waiting: list[Settle] = []
        self._timer: asyncio.TimerHandle | None = None
        self._due = False

    def put(self, settle: Settle) -> None:
        self._waiting.append(settle)
        if settle.hold or not self._together or len(self._waiting) >= TOGETHER_MAX:
            self._all_due()
        elif self._timer is None:
            self._timer = self._clock.call_later(TOGETHER_MS, self._all_due)

    def take(self, pushed: Container[str]) -> list[Settle]:
        """Those to be told now, with the claims of tasks that are pushed."""
        taken = [each for each in self._waiting if self._due or each.task_id in pushed]
        self._waiting = [] if self._due else [e for e in self._waiting if e.task_id not in pushed]
        self._due = False
        return taken

    def take_all(self) -> list[Settle]:
        """At the end."""
        self._due = True
        return self.take(())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _all_due(self) -> None:
        self.stop()
        self._due = True
        self._flush()

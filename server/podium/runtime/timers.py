"""Deadlines: near ones wait in memory, far ones in the store's time index.

The server that commits a deadline arms it here when it is due within NEAR_MS; the owner of a
partition looks into its `due` index up to now + NEAR_MS every LOOK_MS, and at once when it newly
owns it. Firing sends `Due(task, kind, at)`, which does nothing unless the stored deadline equals
`at`; so firing twice, or an entry disarmed elsewhere, does no harm.
"""

from __future__ import annotations

import heapq
import logging
from typing import TYPE_CHECKING, Final

from podium.engine.command import Due
from podium.model.queue import DeadlineKind
from podium.runtime.measure import WAIT_MS_BOUNDS, Histogram
from podium.store.port import StoreError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Sequence

    from podium.model.queue import Deadline
    from podium.runtime.clock import Clock
    from podium.runtime.executor import Executor
    from podium.store.port import Store

LOG = logging.getLogger("podium.timers")
NEAR_MS: Final = 30_000
LOOK_MS: Final = 15_000
FIRE_MAX: Final = 500
"""Deadlines fired per loop turn: results come first."""
LOOK_LIMIT: Final = 10_000
RESPONSE_KIND: Final = "response"

Slot = tuple[str, str, DeadlineKind]
"""(workflow id, task id, kind)."""


class Timers:
    """The near deadlines of this server."""

    def __init__(self, *, store: Store, executor: Executor, clock: Clock) -> None:
        self._store = store
        self._executor = executor
        self._clock = clock
        self._heap: list[tuple[int, Slot]] = []
        self._armed: dict[Slot, int] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._handle_at = 0
        self._responses_from_ms = 0
        self._stopped = False
        self.fired = 0
        self.lateness = Histogram(WAIT_MS_BOUNDS)
        """Of what fired; deadlines that passed while no server ran are as late as that."""

    @property
    def armed_count(self) -> int:
        """Deadlines that wait in memory; those further off are in the store alone."""
        return len(self._armed)

    def hold_responses(self, until_ms: int) -> None:
        """Response deadlines fire only after the grace of a restart (distribution §5)."""
        self._responses_from_ms = until_ms

    def arm(self, workflow_id: str, deadlines: Iterable[Deadline]) -> None:
        """Take in what a commit armed, as far as it is near."""
        horizon_ms = self._clock.now_ms() + NEAR_MS
        for deadline in deadlines:
            slot = (workflow_id, deadline.task_id, deadline.kind)
            if deadline.at_ms > horizon_ms:
                self._armed.pop(slot, None)
                continue
            at_ms = deadline.at_ms
            if deadline.kind == RESPONSE_KIND:
                at_ms = max(at_ms, self._responses_from_ms)
            if self._armed.get(slot) == deadline.at_ms:
                continue
            self._armed[slot] = deadline.at_ms
            heapq.heappush(self._heap, (at_ms, slot))
        self._set_handle()

    def disarm(self, workflow_id: str, gone: Iterable[tuple[str, DeadlineKind]]) -> None:
        for task_id, kind in gone:
            self._armed.pop((workflow_id, task_id, kind), None)

    async def look(self, partitions: Sequence[int]) -> bool:
        """Take in what the time index holds up to now + NEAR_MS. True when there may be more."""
        until_ms = self._clock.now_ms() + NEAR_MS
        entries = await self._store.due(partitions, until_ms, LOOK_LIMIT)
        for entry in entries:
            self.arm(entry.workflow_id, (entry.deadline,))
        return len(entries) == LOOK_LIMIT

    async def run(self, owned: Callable[[], Sequence[int]]) -> None:
        """Look again and again at the partitions owned then, until cancelled."""
        while True:
            more = False
            try:
                more = await self.look(owned())
            except StoreError:
                noted = {"event": "due_unread"}
                LOG.warning("the time index could not be read; trying again", extra=noted)
            await self._clock.sleep(1_000 if more else LOOK_MS)

    def stop(self) -> None:
        self._stopped = True
        if self._handle is not None:
            self._handle.cancel()

    def _set_handle(self) -> None:
        if not self._heap or self._stopped:
            return
        at_ms = self._heap[0][0]
        if self._handle is not None:
            if self._handle_at <= at_ms:
                return
            self._handle.cancel()
        self._handle_at = at_ms
        self._handle = self._clock.call_later(max(at_ms - self._clock.now_ms(), 0), self._fire)

    def _fire(self) -> None:
        self._handle = None
        now_ms = self._clock.now_ms()
        count = 0
        while self._heap and self._heap[0][0] <= now_ms and count < FIRE_MAX:
            _, slot = heapq.heappop(self._heap)
            at_ms = self._armed.get(slot)
            if at_ms is None or at_ms > now_ms:
                continue
            del self._armed[slot]
            count += 1
            self.lateness.add(now_ms - at_ms)
            workflow_id, task_id, kind = slot
            self._executor.submit(
                workflow_id,
                Due(task_id=task_id, kind=kind, at_ms=at_ms),
                "timer",
            )
        self.fired += count
        self._set_handle()

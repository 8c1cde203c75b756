"""Who waits for an execution to change: Wait and Watch calls of this server.

On a shared store the watching server is noted with the execution, so that others tell it. A
wake-up says only "look again"; the stored state is the answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from podium.runtime.clock import US_PER_MS
from podium.store.port import StoreError

if TYPE_CHECKING:
    from podium.runtime.clock import Clock
    from podium.runtime.executor import Executor
    from podium.store.port import Store

LOOK_AGAIN_MS: Final = 5_000
"""On a shared store a wake-up may be lost with the bus; so a waiter looks by itself this often."""


class Watch:
    """Wake-ups by workflow id."""

    def __init__(self, *, store: Store, executor: Executor, clock: Clock, incarnation: str) -> None:
        self._store = store
        self._executor = executor
        self._clock = clock
        self._incarnation = incarnation
        self._waiters: dict[str, set[asyncio.Event]] = {}

    def changed(self, workflow_id: str) -> None:
        """A commit of this execution is durable."""
        for event in self._waiters.get(workflow_id, ()):
            event.set()

    async def subscribe(
        self, workflow_id: str, event: asyncio.Event | None = None
    ) -> asyncio.Event:
        """An event that is set at each change from now on; give it back by `unsubscribe`. One that
        is given may tell of several executions.
        """
        event = event or asyncio.Event()
        first = workflow_id not in self._waiters
        self._waiters.setdefault(workflow_id, set()).add(event)
        if first and self._store.capabilities.shared:
            try:
                await self._store.watch(workflow_id, self._incarnation, on=True)
            except StoreError:
                self.unsubscribe(workflow_id, event)
                raise
        return event

    def unsubscribe(self, workflow_id: str, event: asyncio.Event) -> None:
        waiters = self._waiters.get(workflow_id)
        if waiters is not None:
            waiters.discard(event)
            if not waiters:
                del self._waiters[workflow_id]

    async def next_change(self, event: asyncio.Event, timeout_ms: int) -> bool:
        """Wait for a change, at most timeout_ms; False when none was told in that time."""
        if self._store.capabilities.shared:
            timeout_ms = min(timeout_ms, LOOK_AGAIN_MS)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await event.wait()
        except TimeoutError:
            return False
        event.clear()
        return True

    async def wait(self, workflow_id: str, timeout_ms: int) -> bool:
        """Wait until it is terminal; False when the time is over. Raises UnknownExecution."""
        event = await self.subscribe(workflow_id)
        end_us = self._clock.now_us() + timeout_ms * US_PER_MS
        try:
            while True:
                entry = await self._executor.read(workflow_id, everything=False)
                if entry.header is not None and entry.header.status.terminal:
                    return True
                rest_ms = (end_us - self._clock.now_us()) // US_PER_MS
                if rest_ms <= 0:
                    return False
                await self.next_change(event, rest_ms)
        finally:
            self.unsubscribe(workflow_id, event)

"""Tasks that ended while they stood in a queue: their places are given up.

Only where queues are apart from executions (a shared store): others take them out in the commit.
Without this a worker's turn would come to them, and be in vain: nothing depends on it, so what the
store does not take is left to that.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from podium.runtime.clock import spawn
from podium.store.port import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.model.queue import Ready
    from podium.store.port import Store


class Departures:
    """What one loop turn adds is told together."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._left: list[Ready] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, left: Sequence[Ready]) -> None:
        if not self._store.capabilities.shared:
            return
        if not self._left:
            asyncio.get_running_loop().call_soon(lambda: spawn(self._tasks, self._tell()))
        self._left.extend(left)

    def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()

    async def _tell(self) -> None:
        left, self._left = self._left, []
        with suppress(StoreError):
            await self._store.leave(left)

"""Log lines of tasks on their way into the store: written behind, given up under pressure.

A line is never worth a result: what the store does not take, or what comes faster than it takes, is
dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from podium.engine.limits import LOG_CHARS_LIMIT
from podium.runtime.clock import spawn
from podium.store.port import StoreError
from podium.store.task_log import LOG_LINES_LIMIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.store.port import Store

LOG = logging.getLogger("podium.task_log")
WRITES_MAX: Final = 256


class TaskLog:
    """Takes lines as (epoch ms, text)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writes: set[asyncio.Task[None]] = set()
        self.dropped_count = 0

    def put(self, task_id: str, lines: Sequence[tuple[int, str]]) -> None:
        """Write the lines soon."""
        if len(self._writes) >= WRITES_MAX:
            self.dropped_count += len(lines)
            return
        kept = [(at_ms, text[:LOG_CHARS_LIMIT]) for at_ms, text in lines[-LOG_LINES_LIMIT:]]
        spawn(self._writes, self._write(task_id, kept))

    async def drain(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._writes)

    async def _write(self, task_id: str, lines: Sequence[tuple[int, str]]) -> None:
        try:
            await self._store.add_logs(task_id, lines)
        except StoreError:
            self.dropped_count += len(lines)
            noted = {"event": "lines_dropped", "task_id": task_id, "count": len(lines)}
            LOG.warning("log lines of a task were dropped", extra=noted)

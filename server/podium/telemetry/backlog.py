"""Queues as the store has them, asked when somebody scrapes: how much is ready, and since when.

Bounded three ways: an answer is kept for a second, at most so many task types are asked for, and
beyond the fullest queues the rest is one row. A store that does not answer in time is left alone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from podium.model.queue import Queue
from podium.runtime.gates import is_gate
from podium.runtime.measure import OTHER
from podium.store.port import StoreError
from podium.telemetry.reading import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.runtime.clock import Clock
    from podium.store.port import Store
    from podium.store.queue_view import QueueCount

KEPT_MS: Final = 1_000
ASK_S: Final = 1
TYPES_MAX: Final = 200
QUEUES_MAX: Final = 200


class Backlog:
    """Of one store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._rows: list[Row] = []
        self._asked_ms = 0

    async def rows(self) -> list[Row]:
        """One of each kind per queue; none where the store does not tell."""
        now_ms = self._clock.now_ms()
        if now_ms - self._asked_ms >= KEPT_MS:
            self._asked_ms = now_ms
            self._rows = rows_of(await self._counts(), now_ms)
        return self._rows

    async def _counts(self) -> list[QueueCount]:
        found: list[QueueCount] = []
        try:
            async with asyncio.timeout(ASK_S):
                types = [each for each in await self._store.task_types() if not _gate(each)]
                for task_type in types[:TYPES_MAX]:
                    found += await self._store.queue_counts(task_type)
        except (StoreError, TimeoutError):
            pass  # what came is told
        return found


def rows_of(counts: Sequence[QueueCount], now_ms: int) -> list[Row]:
    """The fullest queues, then all others as one."""
    ordered = sorted(counts, key=lambda each: (-each.ready, *_labels(each)))
    rows: list[Row] = []
    for each in ordered[:QUEUES_MAX]:
        rows += _rows(_labels(each), each.ready, each.oldest_ms, now_ms)
    rest = ordered[QUEUES_MAX:]
    if rest:
        oldest_ms = min((each.oldest_ms for each in rest if each.oldest_ms), default=0)
        rows += _rows((OTHER, OTHER), sum(each.ready for each in rest), oldest_ms, now_ms)
    return rows


def _labels(count: QueueCount) -> tuple[str, str]:
    return count.queue.task_type, count.queue.domain


def _rows(labels: tuple[str, str], ready: int, oldest_ms: int, now_ms: int) -> list[Row]:
    age_ms = max(now_ms - oldest_ms, 0) if oldest_ms else 0
    return [
        Row("podium_ready_tasks", ready, labels),
        Row("podium_oldest_task_seconds", age_ms, labels),
    ]


def _gate(task_type: str) -> bool:
    return is_gate(Queue(task_type))

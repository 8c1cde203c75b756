"""Log lines: stored behind the stream's back; what the store does not take is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.runtime.clock import SystemClock
from podium.runtime.task_log import WRITES_MAX, TaskLog
from podium.store.memory import MemoryStore
from podium.store.port import Commit, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

WORKFLOW = "3f0c4a52-0000-4000-8000-000000000000"
TASK = f"{WORKFLOW}.abcdefghijklmnop.0"
STARTED = Commit(workflow_id=WORKFLOW, version=0)


class Refusing(MemoryStore):
    async def add_logs(self, task_id: str, logs: Sequence[tuple[int, str]]) -> bool:
        raise StoreUnavailable(task_id)


async def test_lines_are_stored_in_order() -> None:
    store = MemoryStore(SystemClock().now_ms)
    await store.commit([STARTED])
    log = TaskLog(store)
    log.put(TASK, [(1, "one"), (2, "two")])
    log.put(TASK, [(3, "three")])
    await log.drain()
    assert await store.logs(TASK) == [(1, "one"), (2, "two"), (3, "three")]
    assert log.dropped_count == 0


async def test_what_the_store_does_not_take_is_counted() -> None:
    store = Refusing(SystemClock().now_ms)
    await store.open()
    log = TaskLog(store)
    log.put(TASK, [(1, "one"), (2, "two")])
    await log.drain()
    assert log.dropped_count == 2


async def test_what_comes_faster_than_it_is_written_is_counted() -> None:
    store = MemoryStore(SystemClock().now_ms)
    await store.commit([STARTED])
    log = TaskLog(store)
    for number in range(WRITES_MAX + 1):
        log.put(TASK, [(number, "line")])
    await log.drain()
    assert log.dropped_count == 1
    assert len(await store.logs(TASK)) == WRITES_MAX

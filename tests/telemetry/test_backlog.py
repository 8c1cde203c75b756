"""Sizes and ages of queues: as the store tells, bounded, and nothing where it does not answer."""

from __future__ import annotations

import grpc.aio
import pytest

from podium.model.queue import Queue
from podium.runtime.clock import SystemClock
from podium.runtime.measure import OTHER
from podium.store.memory import MemoryStore
from podium.store.queue_view import QueueCount
from podium.telemetry.backlog import QUEUES_MAX, Backlog, rows_of
from podium.telemetry.reading import Row
from tests.cli.serving import serving
from tests.telemetry.scrape import scrape
from tests.telemetry.test_metrics import register, start

NOW_MS = 100_000


def test_beyond_the_fullest_queues_the_rest_is_one_row() -> None:
    counts = [
        QueueCount(queue=Queue(f"t{number:03}"), ready=number, oldest_ms=NOW_MS - number)
        for number in range(1, QUEUES_MAX + 3)
    ]
    rows = rows_of(counts, NOW_MS)
    assert len(rows) == 2 * (QUEUES_MAX + 1)
    assert rows[0] == Row("podium_ready_tasks", QUEUES_MAX + 2, (f"t{QUEUES_MAX + 2}", ""))
    assert rows[-2:] == [
        Row("podium_ready_tasks", 1 + 2, (OTHER, OTHER)),
        Row("podium_oldest_task_seconds", 2, (OTHER, OTHER)),
    ]


def test_queues_that_are_equally_full_are_told_by_name() -> None:
    counts = [QueueCount(queue=Queue("t", domain), ready=1) for domain in ("b", "a")]
    told = [row.labels for row in rows_of(counts, NOW_MS) if row.name == "podium_ready_tasks"]
    assert told == [("t", "a"), ("t", "b")]


def test_an_empty_queue_has_no_age() -> None:
    rows = rows_of([QueueCount(queue=Queue("t"))], NOW_MS)
    assert [row.value for row in rows] == [0, 0]


async def test_a_store_that_does_not_answer_tells_nothing() -> None:
    clock = SystemClock()
    store = MemoryStore(clock.now_ms)  # never opened
    assert await Backlog(store, clock).rows() == []


@pytest.mark.timeout(60)
async def test_what_waits_for_workers_is_told_with_its_age() -> None:
    async with (
        serving("--store", "memory://") as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        await register(channel, "flow", "pack")
        for _ in range(3):
            await start(channel, "flow")
        found = await scrape(server.web)
    assert found.value("podium_ready_tasks", task_type="pack", domain="") == 3
    assert found.value("podium_oldest_task_seconds", task_type="pack", domain="") < 60

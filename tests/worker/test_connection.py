"""The SDK and its connections against a real gRPC server: pings, reconnects, drains."""

from __future__ import annotations

import asyncio
import threading

import pytest

from podium.protocol.frame import ResultVerdict
from podium.runtime.stream import StreamLimits
from podium_worker import (
    SystemClock,
    Worker,
    WorkerRefused,
    worker_task,
)
from podium_worker.session import PING_INTERVAL_MS
from tests.worker.board import Board
from tests.worker.serving import serving
from tests.worker.working import echo, working


async def test_pings_are_answered_while_sync_handlers_block_their_threads() -> None:
    blocked, goes_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    @worker_task("blocks")
    def blocks(task_input: dict[str, object]) -> None:
        loop.call_soon_threadsafe(blocked.set)
        goes_on.wait(10)

    board = Board()
    limits = StreamLimits(ping_interval_ms=20)
    async with serving(board, limits) as server, working(server.address, blocks):
        job = board.put("blocks")
        await blocked.wait()
        await board.until(lambda: server.hosts[0]._pings > 6)
        goes_on.set()
        await job.done.wait()

    assert len(server.hosts) == 1


async def test_a_result_is_sent_again_after_the_server_died_before_its_answer() -> None:
    board = Board()
    board.holding_replies = True
    async with serving(board) as server:
        port = int(server.address.rpartition(":")[2])
        worker = Worker(server.address, tasks=[echo], worker_id="w-1")
        run = asyncio.create_task(worker.run())
        job = board.put("echo", {"n": 1})
        await board.replies_held.wait()
    board.holding_replies = False
    async with serving(board, port=port):
        await board.until(lambda: len(board.verdicts) == 2)
        await worker.stop()
        await run

    assert board.verdicts == [ResultVerdict.OK, ResultVerdict.OK]
    assert board.resumed_count == 1
    assert job.epoch == 1


async def test_a_task_runs_on_through_a_broken_stream() -> None:
    begun, goes_on = asyncio.Event(), asyncio.Event()
    runs = 0

    @worker_task("steady", tasks_max=2)
    async def steady(task_input: dict[str, object]) -> dict[str, object]:
        nonlocal runs
        runs += 1
        begun.set()
        await goes_on.wait()
        return {}

    board = Board()
    async with serving(board) as server, working(server.address, steady):
        job = board.put("steady")
        await begun.wait()
        server.service.end_all("the store does not answer")
        await board.until(lambda: board.resumed_count == 1)
        others = [board.put("steady") for _ in range(3)]
        goes_on.set()
        for each in [job, *others]:
            await each.done.wait()
        host = server.hosts[-1]
        await board.until(lambda: host.credit(job.queue) == 2)

    assert runs == 4
    assert board.lost_count == 0
    assert len(server.hosts) == 2


async def test_go_away_moves_the_worker_to_another_stream_with_its_tasks() -> None:
    begun, goes_on = asyncio.Event(), asyncio.Event()

    @worker_task("steady", tasks_max=1)
    async def steady(task_input: dict[str, object]) -> None:
        begun.set()
        await goes_on.wait()

    board = Board()
    async with serving(board) as server, working(server.address, steady):
        job = board.put("steady")
        await begun.wait()
        server.service.go_away_all("a new version", 1)
        await board.until(lambda: board.resumed_count == 1)
        goes_on.set()
        await job.done.wait()
        await board.until(lambda: server.hosts[0]._over)

    assert len(server.hosts) == 2
    assert job.epoch == 1


async def test_stop_finishes_what_is_in_hand_and_takes_nothing_more() -> None:
    begun, goes_on = asyncio.Event(), asyncio.Event()

    @worker_task("steady", tasks_max=5)
    async def steady(task_input: dict[str, object]) -> None:
        begun.set()
        await goes_on.wait()

    board = Board()
    async with serving(board) as server:
        worker = Worker(server.address, tasks=[steady], worker_id="w-1")
        run = asyncio.create_task(worker.run())
        job = board.put("steady")
        await begun.wait()
        stop = asyncio.create_task(worker.stop())
        await board.until(lambda: server.hosts[0].credit(job.queue) == 0)
        late = board.put("steady")
        goes_on.set()
        await stop
        await run

    assert job.result is not None
    assert late.result is None
    assert not late.leased


async def test_a_worker_that_never_found_a_server_can_be_stopped() -> None:
    async with serving() as server:
        address = server.address
    waits: asyncio.Queue[int] = asyncio.Queue()

    class Waits(SystemClock):
        async def sleep(self, delay_ms: int) -> None:
            waits.put_nowait(delay_ms)
            await super().sleep(delay_ms if delay_ms < 1_000 else 60_000)

    worker = Worker(address, tasks=[echo], clock=Waits())
    run = asyncio.create_task(worker.run())
    drawn = [0]
    while drawn[-1] < 1_000:
        wait_ms = await waits.get()
        drawn += [wait_ms] if wait_ms != PING_INTERVAL_MS else []
    await worker.stop()
    await run

    assert 100 <= drawn[1] <= 200
    assert all(wait_ms <= 5_000 for wait_ms in drawn)


async def test_a_worker_the_server_refuses_ends_with_its_words() -> None:
    async with serving() as server:
        worker = Worker(server.address, tasks=[worker_task("{odd}")(echo.handler)])
        with pytest.raises(WorkerRefused, match="expected no control characters and no braces"):
            await worker.run()

"""SIGTERM under load: what was accepted is stored, what is in hand goes on at the next life."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from podium.conductor.task_service_pb2 import BatchPollRequest, GetTaskRequest
from podium.runtime.clock import SystemClock
from podium.store.sqlite import SqliteStore
from tests.chaos.load import Ledgers, Starter, register, worker
from tests.chaos.verdict import judge, unstored
from tests.chaos.victim import Victim
from tests.e2e.client import Client
from tests.e2e.holding import holding
from tests.e2e.staying import NAME, staying

if TYPE_CHECKING:
    from pathlib import Path

HELD = "held"
RESULTS_MIN = 100
"""So many acknowledged results are load."""
POLL_MS = 5_000


@pytest.mark.timeout(120)
async def test_a_stop_under_load_loses_nothing_and_hands_out_nothing_twice(tmp_path: Path) -> None:
    ledgers = Ledgers()
    async with Victim(tmp_path) as server, Client(server.target) as client:
        await register(server.target)
        await client.register(HELD)
        starter = Starter(server.target, ledgers)
        loaded = worker(server.target, ledgers)
        async with asyncio.TaskGroup() as group, staying(server.target, HELD) as stays:
            # Given a load, tasks in hand of two more workers, and parked polls
            group.create_task(loaded.run())
            starting = group.create_task(starter.run())
            held_id = await client.start(HELD)
            await stays.has_taken()
            async with holding(server.target, HELD, "dies") as dies:
                lost_id = await client.start(HELD)
                lost = await dies.taken()
                await ledgers.worker.until(lambda: ledgers.worker.accepted_count >= RESULTS_MIN)
                polls = await _parked(client)
                # When the server is asked to end
                code, words = await server.stop()
                await dies.kill()
            # Then it does so in good order, and the polls are answered with nothing
            assert (code, words) == (0, "")
            assert [[task async for task in poll] for poll in polls] == [[], [], []]
            assert [await poll.code() for poll in polls] == [grpc.StatusCode.OK] * 3
            # And every acknowledged result is stored
            assert await _faults(server.store, ledgers) == []
            # And at the next life the workers go on: one that came back keeps its task over the
            # grace, whose end the heir sees
            before = ledgers.worker.accepted_count
            await server.start()
            async with holding(server.target, HELD, "heir") as heir:
                assert (await heir.taken()).task_id == lost.task_id
                heir.finish()
                assert await client.ended(lost_id) == ("COMPLETED", {"by": "heir"})
            stays.go.set()
            assert await client.ended(held_id) == ("COMPLETED", {"by": NAME})
            assert len(stays.taken) == 1
            await ledgers.worker.until(lambda: ledgers.worker.accepted_count > before)
            starter.stopping.set()
            await starting
            await _all_ended(client, ledgers)
            await loaded.stop()
        assert (await server.stop())[0] == 0
    verdict = await judge(server.store, ledgers)
    assert verdict.faults == []
    twice = {task_id: runs for task_id, runs in ledgers.runs.items() if len(runs) > 1}
    assert twice == {}


async def _all_ended(client: Client, ledgers: Ledgers) -> None:
    for workflow_id in ledgers.acknowledged:
        await client.ended(workflow_id)


async def _parked(client: Client) -> list[Any]:
    """Polls for tasks that never come, which the server has read."""
    request = BatchPollRequest(task_type="nobody", count=1, timeout=POLL_MS)
    polls = [client.tasks.BatchPoll(request) for _ in range(3)]
    # A call of the same connection that is answered shows that those before it were read.
    with pytest.raises(grpc.aio.AioRpcError):
        await client.tasks.GetTask(GetTaskRequest(task_id="absent"))
    return polls


async def _faults(path: Path, ledgers: Ledgers) -> list[str]:
    store = SqliteStore(path, SystemClock().now_ms)
    await store.open()
    try:
        return await unstored(store, ledgers.worker)
    finally:
        await store.close()

"""The disturbances are real: a clock that is set, ways to a store that are bent, unruly results."""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import TYPE_CHECKING, cast

import grpc
import grpc.aio
import pytest

from podium.conductor.request_pb2 import StartWorkflowRequest
from podium.v1 import worker_pb2 as pb
from tests.chaos.machine import HOUR_S, Machine
from tests.chaos.unruly import Unruliness, UnrulyConnection
from tests.e2e.client import Client
from tests.store.nodes import one_node

if TYPE_CHECKING:
    from pathlib import Path

    from podium_worker.transport import Connection

NAME = "timed"
FRAMES = 200
NOT_ANSWERED_S = 1


async def wrong_by_s(client: Client) -> float:
    """How far a start of now is from now, as the server tells it."""
    workflow_id = await client.start(NAME)
    told = await client.read(workflow_id)
    return told.tasks[0].scheduled_time / 1000 - time.time()


async def test_a_clock_that_is_set_counts_at_a_start_and_not_before(tmp_path: Path) -> None:
    async with Machine(tmp_path) as server, Client(server.target) as client:
        # Given a server; when its clock is set while it runs, then nothing changes
        await client.register(NAME)
        server.set_clock(HOUR_S)
        assert abs(await wrong_by_s(client)) < HOUR_S / 2
        # When it starts on a wrong clock, then it goes by that, also when it is set right
        await server.kill()
        await server.start()
        assert await wrong_by_s(client) > HOUR_S / 2
        server.set_clock(-HOUR_S)
        assert await wrong_by_s(client) > HOUR_S / 2


@pytest.mark.part("redis-server")
async def test_a_server_on_redis_goes_by_the_stores_clock(tmp_path: Path) -> None:
    with one_node(tmp_path / "redis") as node:
        machine = Machine(tmp_path, node.url, ports=[node.port])
        async with machine as server, Client(server.target) as client:
            await client.register(NAME)
            for wrong_s in (HOUR_S, -HOUR_S):
                await server.kill()
                server.set_clock(wrong_s)
                await server.start()
                assert abs(await wrong_by_s(client)) < HOUR_S / 2


@pytest.mark.part("redis-server")
@pytest.mark.parametrize("directions", [("up", "down"), ("up",), ("down",)])
async def test_a_machine_is_cut_off_from_the_store(
    tmp_path: Path, directions: tuple[str, ...]
) -> None:
    with one_node(tmp_path / "redis") as node:
        machine = Machine(tmp_path, node.url, ports=[node.port])
        async with machine as server, Client(server.target) as client:
            await client.register(NAME)
            server.hold(*directions)
            with pytest.raises(grpc.aio.AioRpcError):
                await client.workflows.StartWorkflow(
                    StartWorkflowRequest(name=NAME, version=1), timeout=NOT_ANSWERED_S
                )
            server.go()
            assert await client.start(NAME)


class Far:
    """The other end of a stream."""

    def __init__(self) -> None:
        self.results: list[str] = []
        self.pings = 0

    async def send(self, frame: pb.WorkerFrame) -> None:
        self.results += [each.task_id for each in frame.results]
        self.pings += frame.HasField("ping")

    async def half_close(self) -> None:
        """Nothing to say."""


async def test_results_come_twice_and_in_another_order_and_all_of_them_come() -> None:
    # Given a stream on which many results travel one by one
    far, unruly = Far(), Unruliness(Random(7))
    stream = UnrulyConnection(cast("Connection", far), unruly)
    sent = [f"t{number}" for number in range(FRAMES)]
    for task_id in sent:
        frame = pb.WorkerFrame(results=[pb.Result(task_id=task_id)], ping=pb.Ping(nonce=1))
        await stream.send(frame)
        await asyncio.sleep(0.001)
    await stream.half_close()
    # Then each has come, some twice, some later, and what else a frame says came once
    assert set(far.results) == set(sent)
    assert len(far.results) == len(sent) + unruly.doubled
    assert unruly.doubled
    assert unruly.late
    assert list(dict.fromkeys(far.results)) != sent
    assert far.pings == FRAMES

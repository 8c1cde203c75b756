"""`podium serve` while its store is away: who watches its health hears of it, and of the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1 import health_pb2_grpc

from tests.cli.serving import serving
from tests.e2e.client import Client
from tests.processes.crowd import crowd
from tests.store.nodes import DURABLE, Node

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.part("redis-server"), pytest.mark.timeout(180)]

NAME: Final = "patient"
EVENT_S_MAX: Final = 90


async def test_health_says_that_the_store_is_away_and_that_it_is_back(tmp_path: Path) -> None:
    with Node(tmp_path / "redis", *DURABLE) as node:
        async with (
            serving("--store", node.url) as server,
            Client(server.target) as client,
            crowd(server.target, NAME, 2),
            grpc.aio.insecure_channel(server.target) as channel,
        ):
            stub: Any = health_pb2_grpc.HealthStub(channel)
            watched = stub.Watch(pb.HealthCheckRequest())
            await client.register(NAME)
            held = await client.start(NAME)
            assert await told(watched) == pb.HealthCheckResponse.SERVING
            node.kill()
            assert await told(watched) == pb.HealthCheckResponse.NOT_SERVING
            begun = asyncio.create_task(client.start(NAME))  # it waits for the store
            await asyncio.to_thread(node.start)
            assert await told(watched) == pb.HealthCheckResponse.SERVING
            assert (await client.ended(held))[0] == "COMPLETED"
            assert (await client.ended(await begun))[0] == "COMPLETED"


async def told(watched: Any) -> int:
    """The next status."""
    async with asyncio.timeout(EVENT_S_MAX):
        return (await watched.read()).status

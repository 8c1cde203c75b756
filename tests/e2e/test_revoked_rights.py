"""`podium serve` while rights are taken from its user of Redis, and after they came back."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

import aiohttp
import grpc
import grpc.aio
import pytest

from tests.cli.serving import serving
from tests.e2e.client import Client
from tests.processes.crowd import crowd
from tests.store.secured import Secured

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.serving import Serving

pytestmark = [pytest.mark.part("redis-server"), pytest.mark.timeout(180)]

NAME: Final = "guarded"
EVENT_S_MAX: Final = 90
LOOK_S: Final = 0.1


@pytest.mark.parametrize("right", ["@all", "evalsha"])
async def test_work_waits_while_a_right_is_away_and_then_goes_on(
    right: str, tmp_path: Path
) -> None:
    with Secured(tmp_path / "redis") as node:
        async with (
            serving("--store", node.url) as server,
            Client(server.target) as client,
            crowd(server.target, NAME, 2) as people,
        ):
            await client.register(NAME)
            people.free.clear()
            held = await client.start(NAME)
            await people.have_begun(1)
            node.grant(f"-{right}")
            await until_health(server, 503)
            for _ in range(3):
                with pytest.raises(grpc.aio.AioRpcError) as failure:
                    await client.start(NAME)
                assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
                assert "expected an answer of the store" in str(failure.value.details())
            people.free.set()  # the result comes while nothing can be written
            await asyncio.to_thread(node.admit)
            await until_health(server, 200)
            assert (await client.ended(held))[0] == "COMPLETED"
            assert (await client.ended(await client.start(NAME)))[0] == "COMPLETED"
            code, words = await server.end()
    assert code == 0
    told = [json.loads(line) for line in words.splitlines()]
    forbidden = [each for each in told if each["event"] == "store_forbidden"]
    assert forbidden
    assert len(forbidden) == len({each["text"] for each in forbidden}), "each once"
    assert "taken from user podium" in forbidden[0]["text"]
    assert not [each for each in told if each["event"] in {"decide_raised", "crashed"}]


async def until_health(server: Serving, status: int) -> None:
    async with asyncio.timeout(EVENT_S_MAX), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{server.web}/health") as answer:
                if answer.status == status:
                    return
            await asyncio.sleep(LOOK_S)

"""GET /health of a served process, and what makes it say no."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from podium.gateway.health import Condition, health_routes
from podium.gateway.listener import FAULT, Listener
from tests.cli.serving import serving

FIT = Condition(serving=True, stopping=False, store_reachable=True, loop_lag_ms=3)
ANSWER_S_MAX = 10


async def asked(routes: list[web.RouteDef], path: str) -> tuple[int, str]:
    """Status and text of a GET."""
    listener = Listener(routes)
    port = await listener.start("127.0.0.1", 0)
    try:
        place = f"http://127.0.0.1:{port}{path}"
        async with aiohttp.ClientSession() as client, client.get(place) as answer:
            return answer.status, await answer.text()
    finally:
        await listener.stop()


async def test_a_server_that_serves_is_fit() -> None:
    async with serving("--store", "memory://") as server, aiohttp.ClientSession() as client:
        async with client.get(f"{server.web}/health") as answer:
            assert answer.status == 200
            assert answer.content_type == "application/json"
            told = await answer.json()
        assert told.pop("loop_lag_ms") >= 0
        assert told == {"serving": True, "stopping": False, "store_reachable": True}
        assert await server.end() == (0, "")


@pytest.mark.parametrize(
    "condition",
    [
        Condition(serving=False, stopping=False, store_reachable=True, loop_lag_ms=0),
        Condition(serving=True, stopping=True, store_reachable=True, loop_lag_ms=0),
        Condition(serving=True, stopping=False, store_reachable=False, loop_lag_ms=0),
    ],
)
async def test_any_reason_makes_it_unfit(condition: Condition) -> None:
    status, _ = await asked(health_routes(lambda: condition), "/health")
    assert status == 503


async def test_a_lagging_loop_is_told_and_not_judged() -> None:
    lagging = Condition(serving=True, stopping=False, store_reachable=True, loop_lag_ms=9_000)
    status, text = await asked(health_routes(lambda: lagging), "/health")
    assert (status, '"loop_lag_ms":9000' in text) == (200, True)


async def test_what_is_not_served_is_not_found() -> None:
    status, text = await asked(health_routes(lambda: FIT), "/healthy")
    assert (status, "Traceback" in text) == (404, False)


async def test_a_fault_of_a_handler_tells_nothing_of_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def faulty(request: web.Request) -> web.Response:
        raise RuntimeError(f"the secret of {request.path}")

    async with asyncio.timeout(ANSWER_S_MAX):
        assert await asked([web.get("/x", faulty)], "/x") == (500, FAULT)
    assert len(caplog.records) == 1

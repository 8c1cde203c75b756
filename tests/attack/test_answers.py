"""What the server does with the one who attacks: refuses, resets, sends away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import grpc
import grpc.aio
import pytest

from podium.conductor import task_service_pb2
from podium.conductor.task_service_pb2_grpc import TaskServiceStub
from tests.api.credentials import Certified
from tests.attack.attacks import (
    CONNECT,
    NO_REQUESTS,
    START,
    bomb,
)
from tests.attack.siege import Healthy
from tests.attack.wire import (
    Connection,
    PingFrame,
    headers,
    message,
)
from tests.cli.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)

EVENT_S: Final = 30
STREAMS_MAX: Final = 100
MAX_CONCURRENT_STREAMS: Final = 3
HEALTHY: Final = message(b"")
PINGS: Final = 50_000
LOOK_S: Final = 0.05


async def over(connection: Connection) -> None:
    async with asyncio.timeout(EVENT_S):
        await connection.ended.wait()


async def status_of(connection: Connection) -> tuple[int, int]:
    """How often streams were answered, and how often reset."""
    async with asyncio.timeout(EVENT_S):
        await connection.answered.wait()
    return connection.seen["HeadersFrame"], connection.seen["RstStreamFrame"]


async def test_a_flood_of_pings_is_answered_and_a_call_behind_it_as_well() -> None:
    async with serving("--store", "memory://", "--http", "") as server:
        connection = await Connection.open(server.target)
        connection.write(PingFrame(0, opaque_data=b"podium!!").serialize() * PINGS)
        stream_id = connection.headers(connection.block(headers()))
        connection.send(stream_id, HEALTHY, end_stream=True)
        async with asyncio.timeout(EVENT_S):
            await connection.answered.wait()
            while connection.seen["PingFrame"] < PINGS:  # noqa: ASYNC110 - it has no signal
                await asyncio.sleep(LOOK_S)
        assert connection.seen["GoAwayFrame"] == 0
        connection.close()


async def test_connections_that_say_nothing_are_closed() -> None:
    async with serving("--store", "memory://", "--http", "") as server:
        idle = await asyncio.gather(*(Connection.bare(server.target) for _ in range(200)))
        halves = await asyncio.gather(*(Connection.bare(server.target) for _ in range(50)))
        for half in halves:
            half.write(b"PRI * HTTP/2.0\r\n")
        await asyncio.gather(*map(over, (*idle, *halves)))
        for connection in (*idle, *halves):
            connection.close()


async def test_a_tls_handshake_that_stops_in_the_middle_is_closed(tmp_path: Path) -> None:
    settings = Certified(tmp_path).settings(clients=True)
    environment = {
        "PODIUM_TLS_CERTIFICATE": settings.certificate,
        "PODIUM_TLS_KEY": settings.key,
        "PODIUM_TLS_CLIENT_CA": settings.client_ca,
    }
    async with serving("--store", "memory://", "--http", "", **environment) as server:
        stalled = await asyncio.gather(*(Connection.bare(server.target) for _ in range(100)))
        for connection in stalled[:50]:
            connection.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        plain = await Connection.open(server.target)  # HTTP/2 without TLS
        await asyncio.gather(*map(over, (*stalled, plain)))
        for connection in (*stalled, plain):
            connection.close()


async def test_one_connection_has_a_hundred_calls_open_and_no_more() -> None:
    async with serving("--store", "memory://", "--http", "") as server:
        connection = await Connection.open(server.target)
        for _ in range(STREAMS_MAX):
            connection.headers(connection.block(headers(path=CONNECT)))
        await connection.flush()
        assert not connection.seen["RstStreamFrame"]
        connection.headers(connection.block(headers(path=CONNECT)))
        await status_of(connection)
        assert connection.seen["RstStreamFrame"] or connection.seen["GoAwayFrame"]
        connection.close()


async def test_a_gzip_bomb_is_refused_with_the_limit() -> None:
    packed = message(await asyncio.to_thread(bomb), compressed=True)
    async with serving("--store", "memory://", "--http", "") as server:
        connection = await Connection.open(server.target)
        stream_id = connection.headers(connection.block(headers(path=START, grpc_encoding="gzip")))
        sending = asyncio.ensure_future(send_slowly(connection, stream_id, packed))
        await status_of(connection)
        sending.cancel()
        assert connection.seen["HeadersFrame"] or connection.seen["RstStreamFrame"]
        connection.close()


async def send_slowly(connection: Connection, stream_id: int, data: bytes) -> None:
    """In steps that the server's window lets in."""
    for at in range(0, len(data), 32_768):
        connection.send(stream_id, data[at : at + 32_768])
        await connection.flush()
        await asyncio.sleep(0.01)
    connection.send(stream_id, b"", end_stream=True)


async def test_a_request_that_is_none_is_answered_or_reset_and_harms_nobody() -> None:
    async with (
        serving("--store", "memory://", "--http", "") as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        healthy = Healthy(channel)
        await healthy.prepare()
        for name, request in NO_REQUESTS.items():
            connection = await Connection.open(server.target)
            stream_id = connection.headers(connection.block(request))
            connection.send(stream_id, HEALTHY, end_stream=True)
            assert sum(await status_of(connection)) or connection.ended.is_set(), name
            connection.close()
            await healthy.call()
        code, complaints = await server.end()
        assert code == 0
        assert "Traceback" not in complaints


async def test_metadata_over_its_limit_is_refused() -> None:
    async with (
        serving("--store", "memory://", "--http", "") as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        stub = TaskServiceStub(channel)
        poll = task_service_pb2.PollRequest(task_type="t")
        await stub.Poll(poll, metadata=(("x", "a" * 8_000),))
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.Poll(poll, metadata=(("x", "a" * 17_000),))
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

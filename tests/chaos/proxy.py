"""A proxy between one server and a node of its store, in Toxiproxy's words (reliability.md §2)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

CHUNK_BYTES = 64 * 1024


class Proxy:
    """Passes bytes on, unless told otherwise. Directions: "up" = to the store, "down" = from it."""

    def __init__(self, port_to: int) -> None:
        self.port_to = port_to
        self._server: asyncio.Server | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._flows: set[asyncio.Task[None]] = set()
        self.latency_s = 0.0
        self.stopped: frozenset[str] = frozenset()
        """Directions in which nothing passes, and nobody is told."""
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for each in list(self._flows):
            each.cancel()
        await asyncio.gather(*self._flows, return_exceptions=True)
        self.cut()

    def stop(self, *directions: str) -> None:
        """Keep what comes in these directions, until `go`."""
        self.stopped = frozenset(directions)
        self._open.clear()

    def go(self) -> None:
        """Pass everything again, at once."""
        self.latency_s = 0.0
        self.stopped = frozenset()
        self._open.set()

    def cut(self) -> None:
        """Break every connection: answers under way are lost."""
        for each in list(self._writers):
            each.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port_to)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, far_writer}
        self._writers |= both
        flows = [
            asyncio.create_task(self._flow("up", reader, far_writer)),
            asyncio.create_task(self._flow("down", far_reader, writer)),
        ]
        self._flows.update(flows)
        try:
            await asyncio.wait(flows, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in flows:
                each.cancel()
            self._flows.difference_update(flows)
            self._writers -= both
            for each in both:
                each.transport.abort()

    async def _flow(
        self, direction: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                while direction in self.stopped:
                    await self._open.wait()
                writer.write(data)
                await writer.drain()

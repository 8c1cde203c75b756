"""HTTP/2 by hand: frames as a peer sends them who keeps no rule. Knows nothing of gRPC's libraries.

A connection reads what comes and counts it by kind; it answers nothing but SETTINGS, and that only
if asked to.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from hpack import Encoder
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER_BYTES: Final = 9
FRAME_BYTES_MAX: Final = 16_384
CONNECT_S: Final = 10
HEALTH: Final = "/grpc.health.v1.Health/Check"
HEADERS: Final = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", HEALTH),
    (":authority", "podium"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
)


class Gone(Exception):
    """The server closed the connection."""


class Connection:
    """One TCP connection. `seen` counts frames by kind: "RstStreamFrame", "GoAwayFrame", ..."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen = Counter[str]()
        self.data = b""
        """All DATA of all streams."""
        self.ended = asyncio.Event()
        self.answered = asyncio.Event()
        """Set by the first frame that ends a stream."""
        self._reader = reader
        self._writer = writer
        self._encoder = Encoder()
        self._stream_id = -1
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def open(
        cls, address: str, *, settings: Mapping[int, int] | None = None, tls: bool = False
    ) -> Self:
        """Connected, preface and settings sent."""
        connection = await cls.bare(address, tls=tls)
        connection.write(PREFACE + SettingsFrame(0, settings=dict(settings or {})).serialize())
        return connection

    @classmethod
    async def bare(cls, address: str, *, tls: bool = False) -> Self:
        """Connected, nothing said."""
        host, _, port = address.rpartition(":")
        context = None
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["h2"])
        async with asyncio.timeout(CONNECT_S):
            return cls(*await asyncio.open_connection(host, int(port), ssl=context))

    def write(self, data: bytes) -> None:
        """Raises Gone."""
        if self.ended.is_set() or self._writer.is_closing():
            raise Gone
        self._writer.write(data)

    async def flush(self) -> None:
        """Wait until the kernel has taken most of it. Raises Gone."""
        if self.ended.is_set():
            raise Gone
        try:
            await self._writer.drain()
        except OSError:
            raise Gone from None
        await asyncio.sleep(0)

    def stream(self) -> int:
        """The next stream id."""
        self._stream_id += 2
        return self._stream_id

    def block(self, headers: Iterable[tuple[str | bytes, str | bytes]]) -> bytes:
        """Headers as HPACK without Huffman."""
        return self._encoder.encode(list(headers), huffman=False)

    def headers(self, block: bytes, *, end_stream: bool = False) -> int:
        """Begin a stream; its id. Raises Gone."""
        stream_id = self.stream()
        frame = HeadersFrame(stream_id, data=block, flags=["END_HEADERS"])
        if end_stream:
            frame.flags.add("END_STREAM")
        self.write(frame.serialize())
        return stream_id

    def send(self, stream_id: int, data: bytes, *, end_stream: bool = False) -> None:
        """DATA in frames of the greatest size. Raises Gone."""
        pieces = [
            data[at : at + FRAME_BYTES_MAX] for at in range(0, len(data), FRAME_BYTES_MAX)
        ] or [b""]
        for number, piece in enumerate(pieces, start=1):
            frame = DataFrame(stream_id, data=piece)
            if end_stream and number == len(pieces):
                frame.flags.add("END_STREAM")
            self.write(frame.serialize())

    def reset(self, stream_id: int) -> None:
        """Raises Gone."""
        self.write(RstStreamFrame(stream_id, error_code=8).serialize())

    def close(self) -> None:
        self._reading.cancel()
        self._writer.close()

    async def _read(self) -> None:
        try:
            while True:
                header = await self._reader.readexactly(FRAME_HEADER_BYTES)
                frame, length = Frame.parse_frame_header(memoryview(header))
                body = await self._reader.readexactly(length)
                with suppress(HyperframeError):
                    frame.parse_body(memoryview(body))
                self._take(frame)
        except (asyncio.IncompleteReadError, OSError, HyperframeError):
            pass
        finally:
            self.ended.set()
            self.answered.set()
            self._writer.close()

    def _take(self, frame: Frame) -> None:
        self.seen[type(frame).__name__] += 1
        if isinstance(frame, DataFrame):
            self.data += frame.data
        if "END_STREAM" in frame.flags or isinstance(frame, (RstStreamFrame, GoAwayFrame)):
            self.answered.set()


def message(data: bytes, *, compressed: bool = False, length: int | None = None) -> bytes:
    """A gRPC message with its five bytes of prefix; `length` may lie."""
    size = len(data) if length is None else length
    return bytes((compressed,)) + size.to_bytes(4, "big") + data


def headers(**others: str) -> list[tuple[str | bytes, str | bytes]]:
    """Those of a health check but for `path`, and further ones with _ for -."""
    path = others.pop("path", HEALTH)
    plain = [(name, path if name == ":path" else value) for name, value in HEADERS]
    return [*plain, *((name.replace("_", "-"), value) for name, value in others.items())]


__all__ = [
    "Connection",
    "ContinuationFrame",
    "Gone",
    "HeadersFrame",
    "PingFrame",
    "SettingsFrame",
    "WindowUpdateFrame",
    "headers",
    "message",
]

"""A receiver of spans by OTLP over HTTP, on a free port of the loopback."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from podium.gateway.listener import Listener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

SPANS_S_MAX = 15


@dataclass(frozen=True)
class Span:
    """One span in hex ids, its attributes as text."""

    name: str
    trace: str
    id: str
    parent: str
    begin_ns: int
    end_ns: int
    events: tuple[str, ...]
    failed: bool
    about: dict[str, str] = field(hash=False)

    @classmethod
    def of(cls, span: Message) -> Self:
        return cls(
            name=span.name,
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            begin_ns=span.start_time_unix_nano,
            end_ns=span.end_time_unix_nano,
            events=tuple(event.name for event in span.events),
            failed=span.status.code == 2,
            about={
                each.key: each.value.string_value or str(each.value.int_value)
                for each in span.attributes
            },
        )


class Receiver:
    """What came, in the order of its coming."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.endpoint = ""
        self._came = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        message = ExportTraceServiceRequest.FromString(await request.read())
        self.spans += [
            Span.of(span)
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        self._came.set()
        return web.Response(content_type="application/x-protobuf")

    async def named(self, *names: str) -> list[Span]:
        """The first span of each name, once all have come."""
        async with asyncio.timeout(SPANS_S_MAX):
            while not set(names) <= {span.name for span in self.spans}:
                self._came.clear()
                await self._came.wait()
        found = {span.name: span for span in reversed(self.spans)}
        return [found[name] for name in names]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver for the block."""
    receiver = Receiver()
    listener = Listener([web.post("/v1/traces", receiver.take)])
    port = await listener.start("127.0.0.1", 0)
    receiver.endpoint = f"http://127.0.0.1:{port}/v1/traces"
    try:
        yield receiver
    finally:
        await listener.stop()

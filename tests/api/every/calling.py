"""Any rpc by its name, over a channel: requests and answers are plain JSON, as grpcurl shows them.

The rows are kept here: `row` adds one, ROWS holds them by the full name of their rpc, REFUSALS the
bad requests.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio
from google.protobuf import descriptor_pool, json_format, message_factory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from google.protobuf.message import Message

    from tests.api.edge import Edge

    Fields = dict[str, Any]
    Bad = tuple[Fields, str, str]
    Row = Callable[["Rpcs"], Awaitable[None]]

ANSWER_S: Final = 30
ROWS: Final[dict[str, Row]] = {}
REFUSALS: Final[dict[str, list[Bad]]] = {}
"""By the same names: request, status code, part of the text."""


def row(method: str) -> Callable[[Row], Row]:
    """The decorated function drives `method`, as service/Method, and checks its effect."""

    def add(function: Row) -> Row:
        assert method not in ROWS, method
        ROWS[method] = function
        return function

    return add


class Rpcs:
    """Calls over one channel. `edge` is the server behind it, where it is in this process."""

    def __init__(self, channel: grpc.aio.Channel, edge: Edge | None = None) -> None:
        self._channel = channel
        self._edge = edge

    @property
    def edge(self) -> Edge:
        assert self._edge is not None
        return self._edge

    async def ask(self, method: str, **fields: Any) -> Fields:
        """The one answer. Raises AioRpcError."""
        [answer] = [each async for each in self.answers(method, fields)]
        return answer

    async def listed(self, method: str, **fields: Any) -> list[Fields]:
        """All answers of a call that streams them."""
        return [each async for each in self.answers(method, fields)]

    async def answers(self, method: str, *requests: Fields) -> AsyncIterator[Fields]:
        """The answers as they come; every kind of call is one on the wire."""
        described = described_by(method)
        made = [made_of(described.input_type, each) for each in requests]
        call = self.call(method, iter(made))
        try:
            async with asyncio.timeout(ANSWER_S):
                async for answer in call:
                    yield json_format.MessageToDict(answer, preserving_proto_field_name=True)
        finally:
            call.cancel()

    def call(self, method: str, requests: Iterator[Message] | None = None) -> Any:
        """The call itself, of messages."""
        answer = message_factory.GetMessageClass(described_by(method).output_type)
        return self._channel.stream_stream(
            f"/{method}",
            request_serializer=written,
            response_deserializer=answer.FromString,
        )(requests)

    def raw(self, method: str, data: bytes) -> Any:
        """The call itself, of one message in bytes."""
        return self._channel.stream_stream(f"/{method}")(iter([data]))

    async def refused(self, method: str, **fields: Any) -> str:
        """Name of the status code of a call that must fail."""
        try:
            answer = await self.ask(method, **fields)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        raise AssertionError(answer)


class Stream:
    """A call that sends and reads as it likes."""

    def __init__(self, rpcs: Rpcs, method: str) -> None:
        self._input = described_by(method).input_type
        self._call = rpcs.call(method)

    async def send(self, fields: Fields) -> None:
        await self._call.write(made_of(self._input, fields))

    async def next(self) -> Fields:
        """The next answer."""
        async with asyncio.timeout(ANSWER_S):
            answer = await self._call.read()
        assert answer is not grpc.aio.EOF, "expected an answer, found the end of the stream"
        return json_format.MessageToDict(answer, preserving_proto_field_name=True)

    async def close(self) -> None:
        """Half-close; the server must end it well."""
        await self._call.done_writing()
        async with asyncio.timeout(ANSWER_S):
            assert await self._call.read() is grpc.aio.EOF


def written(message: Any) -> bytes:
    return message.SerializeToString()


def described_by(method: str) -> Any:
    """The descriptor of service/Method."""
    return descriptor_pool.Default().FindMethodByName(method.replace("/", "."))


def made_of(described: Any, fields: Fields) -> Message:
    return json_format.ParseDict(fields, message_factory.GetMessageClass(described)())


def payload(**content: Any) -> Fields:
    """A podium.v1.Payload; `json` is a field of bytes, which JSON shows in base64."""
    return {"json": base64_of(content)}


def base64_of(content: Fields) -> str:
    return base64.b64encode(json.dumps(content).encode()).decode()


def read(payload: Fields) -> Fields:
    """What a podium.v1.Payload, or another message with such a field, holds."""
    return json.loads(base64.b64decode(payload["json"]))


def methods_of(service: str) -> Iterator[str]:
    """All methods of a service, as service/Method."""
    for method in descriptor_pool.Default().FindServiceByName(service).methods:
        yield f"{service}/{method.name}"

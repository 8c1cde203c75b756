"""What is fuzzed: each target takes bytes and raises what must never be raised.

`requests`: the first byte names a method, the rest is its request, which the real handler gets, on
a server with a memory store. `definitions`: the first byte tells workflow or task, the rest is a
JSON document, parsed and checked. `frames`: a worker's stream, frames with two bytes of length
before each, into the server's session.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf.message import DecodeError

from podium.api.errors import status_of
from podium.api.frames import worker_frame_of
from podium.app.definitions import Definitions
from podium.protocol.event import Greeted
from podium.protocol.frame import Welcome
from podium.protocol.problem import ProtocolError
from podium.protocol.session import Session
from podium.v1 import worker_pb2
from tests.api.edge import Edge

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

FRAME_BYTES_MAX: Final = 16 * 1024 * 1024
PAYLOAD_BYTES_MAX: Final = 10 * 1024 * 1024
LENGTH_BYTES: Final = 2
ANSWER_S: Final = 0.05
"""What waits longer than this waits for somebody else, and is cancelled."""
RUNS_MAX: Final = 2_000
"""Then a server is made anew, so that memory does not grow with the runs."""


class Broken(Exception):
    """The guard answered INTERNAL: a handler raised what is no declared failure."""


class Context:
    """Of a call whose client is patient and silent."""

    def __init__(self) -> None:
        self.written: list[Any] = []
        self._code = grpc.StatusCode.OK

    async def read(self) -> Any:
        return grpc.aio.EOF

    async def write(self, message: Any) -> None:
        self.written.append(message)

    async def abort(self, code: grpc.StatusCode, *_: object) -> None:
        self._code = code
        if code is grpc.StatusCode.INTERNAL:
            raise Broken
        raise grpc.aio.AbortError(code)

    def code(self) -> grpc.StatusCode:
        return self._code

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    def peer(self) -> str:
        return "fuzz"

    def done(self) -> bool:
        return False

    def cancelled(self) -> bool:
        return False

    def time_remaining(self) -> None:
        return None


class Requests:
    """All unary requests of all services, as the edge takes them: guard, audit, handler."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._edge: Edge | None = None
        self._runs = 0
        self.methods: list[str] = []

    def run(self, data: bytes) -> None:
        """Raises what is no declared failure."""
        if self._edge is None or self._runs >= RUNS_MAX:
            self.close()
            self._runner = asyncio.Runner()
            self._edge, self._runs = self._runner.run(self._opened()), 0
        self._runs += 1
        if data:
            self._runner.run(self._call(self._edge, data))

    def close(self) -> None:
        """End the server."""
        if self._edge is not None:
            self._runner.run(self._edge.__aexit__())
            self._edge = None
        self._runner.close()

    async def _opened(self) -> Edge:
        edge = await Edge().__aenter__()
        handlers: Any = edge.server
        found = handlers._server.handlers
        self.methods = sorted(name for name, each in found.items() if not each.request_streaming)
        self._handlers = found
        return edge

    async def _call(self, edge: Edge, data: bytes) -> None:
        handler = self._handlers[self.methods[data[0] % len(self.methods)]]
        read = handler.request_deserializer
        try:
            async with asyncio.timeout(ANSWER_S):
                request = data[1:] if read is None else read(data[1:])
                context = Context()
                behaviour = handler.unary_unary or handler.unary_stream
                answer = behaviour(request, context)
                if hasattr(answer, "__anext__"):
                    await anext(answer, None)
                    await answer.aclose()
                else:
                    answered = await answer
                    if handler.response_serializer is not None and answered is not None:
                        handler.response_serializer(answered)
        except (TimeoutError, grpc.aio.AbortError):
            pass
        except Exception as error:
            if status_of(error) is None:
                raise


class DefinitionDocuments:
    """JSON documents of definitions."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._edge: Edge | None = None
        self._runs = 0

    def run(self, data: bytes) -> None:
        """Raises what is no declared failure."""
        if self._edge is None or self._runs >= RUNS_MAX:
            self.close()
            self._runner = asyncio.Runner()
            self._edge, self._runs = self._runner.run(Edge().__aenter__()), 0
        self._runs += 1
        self._runner.run(self._check(Definitions(self._edge.registry), data))

    def close(self) -> None:
        if self._edge is not None:
            self._runner.run(self._edge.__aexit__())
            self._edge = None
        self._runner.close()

    async def _check(self, definitions: Definitions, data: bytes) -> None:
        document = data[1:]
        work: Coroutine[Any, Any, Any] = (
            definitions.register_task(document)
            if data[:1] == b"t"
            else definitions.register_workflow(document, overwrite=True)
            if data[:1] == b"r"
            else definitions.check_workflow(document)
        )
        try:
            await work
        except Exception as error:
            if status_of(error) is None:
                raise


class Frames:
    """What a worker says, over one stream."""

    def run(self, data: bytes) -> None:
        """Raises what is no declared failure."""
        session = Session(frame_bytes_limit=FRAME_BYTES_MAX)
        try:
            for frame in _frames_of(data):
                message = worker_pb2.WorkerFrame.FromString(frame)
                for event in session.receive(worker_frame_of(message, PAYLOAD_BYTES_MAX)):
                    if isinstance(event, Greeted):
                        session.welcome(_welcome(event), {})
                while session.take_outgoing() is not None:
                    pass
            session.half_close()
        except (DecodeError, ProtocolError):
            pass

    def close(self) -> None: ...


def _frames_of(data: bytes) -> list[bytes]:
    frames: list[bytes] = []
    while data:
        size = int.from_bytes(data[:LENGTH_BYTES], "big")
        frames.append(data[LENGTH_BYTES : LENGTH_BYTES + size])
        data = data[LENGTH_BYTES + size :]
    return frames


def _welcome(event: Greeted) -> Welcome:
    return Welcome(
        session="s",
        server="inc",
        lease_grace_ms=5_000,
        ping_interval_ms=30_000,
        frame_bytes_limit=FRAME_BYTES_MAX,
        payload_bytes_limit=PAYLOAD_BYTES_MAX,
        resumed=event.hello.in_hand,
        lost=(),
    )


TARGETS: Final[dict[str, Callable[[], Requests | DefinitionDocuments | Frames]]] = {
    "requests": Requests,
    "definitions": DefinitionDocuments,
    "frames": Frames,
}

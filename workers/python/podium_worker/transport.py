"""How frames reach a server: a port with the fewest verbs, and its gRPC implementation.

A Connection is one stream. Its loss is told by ConnectionLost with the name of a gRPC status; what
to do about it is decided in worker.py.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import grpc
import grpc.aio

from podium.v1 import worker_pb2 as pb
from podium.v1 import worker_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Coroutine

    Call = grpc.aio.StreamStreamCall[pb.WorkerFrame, pb.ServerFrame]

Item = TypeVar("Item")

PERMANENT: Final = frozenset(
    {"INVALID_ARGUMENT", "PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED"}
)
"""Statuses after which the same Hello would be refused again."""

OPTIONS: Final = (
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
)
"""Keepalive notices a dead network; the back-off here must not be longer than the worker's own."""


class ConnectionLost(Exception):
    """The stream ended, or could not begin; `code` is the name of a gRPC status."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text

    @property
    def permanent(self) -> bool:
        return self.code in PERMANENT


class Connection(Protocol):
    """One stream."""

    async def send(self, frame: pb.WorkerFrame) -> None:
        """Returns when the frame is on its way. Raises ConnectionLost."""
        ...

    async def receive(self) -> pb.ServerFrame | None:
        """The next frame; None when the server ended the stream with OK. Raises ConnectionLost."""
        ...

    async def half_close(self) -> None:
        """Say that nothing more will be sent."""
        ...

    def close(self) -> None:
        """Break the stream, if it is still there."""
        ...


class Transport(Protocol):
    """Opens streams."""

    async def connect(self) -> Connection:
        """A new stream. Raises ConnectionLost; it may also only come with the first frame."""
        ...

    async def close(self) -> None: ...


class GrpcConnection:
    """One call of WorkerService.Connect.

    grpc breaks a call when somebody who waits for its read or write is cancelled, so both are
    tasks of their own, and only `close` cancels them.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._reading: asyncio.Task[object] | None = None

    async def send(self, frame: pb.WorkerFrame) -> None:
        try:
            await asyncio.shield(_kept(self._call.write(frame)))
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            raise await self._lost() from error

    async def receive(self) -> pb.ServerFrame | None:
        if self._reading is None:
            self._reading = _kept(self._call.read())
        try:
            frame = await asyncio.shield(self._reading)
        except grpc.aio.AioRpcError as error:
            raise await self._lost() from error
        self._reading = None
        if isinstance(frame, pb.ServerFrame):
            return frame
        if await self._call.code() is grpc.StatusCode.OK:
            return None
        raise await self._lost()

    async def half_close(self) -> None:
        try:
            await self._call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # it is over already

    def close(self) -> None:
        self._call.cancel()

    async def _lost(self) -> ConnectionLost:
        code = await self._call.code()
        return ConnectionLost(code.name, await self._call.details() or "")


class GrpcTransport:
    """A channel to one address; `credentials` None = without encryption."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None = None) -> None:
        self._channel = (
            grpc.aio.insecure_channel(address, options=OPTIONS)
            if credentials is None
            else grpc.aio.secure_channel(address, credentials, options=OPTIONS)
        )
        self._stub = worker_pb2_grpc.WorkerServiceStub(self._channel)

    async def connect(self) -> Connection:
        return GrpcConnection(self._stub.Connect())

    async def close(self) -> None:
        await self._channel.close()


def _kept(waiting: Coroutine[object, object, Item]) -> asyncio.Task[Item]:
    """A task that may fail while nobody waits for it any more."""
    task = asyncio.ensure_future(waiting)
    task.add_done_callback(lambda done: None if done.cancelled() else done.exception())
    return task

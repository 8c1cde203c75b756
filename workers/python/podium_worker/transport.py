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
from podium_worker.credentials import Credentials, CredentialsUnusable

if TYPE_CHECKING:
    from collections.abc import Coroutine

    Call = grpc.aio.StreamStreamCall[pb.WorkerFrame, pb.ServerFrame]

Item = TypeVar("Item")

PLAIN: Final = Credentials(tls=False)
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
    """The stream ended, or could not begin; `code` is the name of a gRPC status.

    `renewable`: what was shown may be another the next time, so that a refusal of it is not final.
    """

    def __init__(self, code: str, text: str, *, renewable: bool = False) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self._renewable = renewable

    @property
    def permanent(self) -> bool:
        return self.code in PERMANENT and not (self._renewable and self.code == "UNAUTHENTICATED")


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

    async def connect(self, *, elsewhere: bool = False) -> Connection:
        """A new stream. Raises ConnectionLost; it may also only come with the first frame.

        `elsewhere` = not the way of the last one, which may lead to the same server again.
        """
        ...

    async def close(self) -> None: ...


class GrpcConnection:
    """One call of WorkerService.Connect.

    grpc breaks a call when somebody who waits for its read or write is cancelled, so both are
    tasks of their own, and only `close` cancels them.
    """

    def __init__(self, call: Call, *, renewable: bool = False) -> None:
        self._call = call
        self._renewable = renewable
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
        details = await self._call.details() or ""
        return ConnectionLost(code.name, details, renewable=self._renewable)


class GrpcTransport:
    """A channel to one address, and a new one when the files of its credentials change or a stream
    is to go elsewhere; without credentials there is no encryption.
    """

    def __init__(self, address: str, credentials: Credentials | None = None) -> None:
        """Raises ValueError."""
        self._address = address
        self._credentials = credentials or PLAIN
        self._credentials.check(address)
        self._state = self._credentials.state()
        self._channel: grpc.aio.Channel | None = None
        self._former: grpc.aio.Channel | None = None

    async def connect(self, *, elsewhere: bool = False) -> Connection:
        try:
            channel = await self._current(renew=elsewhere)
            metadata = await self._credentials.metadata()
        except CredentialsUnusable as problem:
            raise ConnectionLost("UNAVAILABLE", str(problem)) from problem
        call = worker_pb2_grpc.WorkerServiceStub(channel).Connect(metadata=metadata)
        return GrpcConnection(call, renewable=self._credentials.renewable)

    async def close(self) -> None:
        for channel in (self._former, self._channel):
            if channel is not None:
                await channel.close()

    async def _current(self, *, renew: bool) -> grpc.aio.Channel:
        """The former channel stays for the stream that may still end on it."""
        state = self._credentials.state()
        if self._channel is not None and state == self._state and not renew:
            return self._channel
        secret = self._credentials.channel_credentials()
        made = (
            grpc.aio.insecure_channel(self._address, options=OPTIONS)
            if secret is None
            else grpc.aio.secure_channel(self._address, secret, options=OPTIONS)
        )
        if self._former is not None:
            await self._former.close()
        self._former, self._channel, self._state = self._channel, made, state
        return made


def _kept(waiting: Coroutine[object, object, Item]) -> asyncio.Task[Item]:
    """A task that may fail while nobody waits for it any more."""
    task = asyncio.ensure_future(waiting)
    task.add_done_callback(lambda done: None if done.cancelled() else done.exception())
    return task

"""A real gRPC server of the worker stream over a Board, on a free port of the loopback."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from podium.api.access import Access
from podium.api.call_counts import CallCounts
from podium.api.interceptor import Admission, Guard
from podium.api.load import Load
from podium.api.sturdy_server import sturdy_server
from podium.api.worker_service import WorkerService
from podium.runtime.clock import SystemClock
from podium.runtime.stream import StreamHost, StreamLimits
from podium.v1 import worker_pb2_grpc
from tests.worker.board import Board

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable

    from podium.runtime.link import Link


class TellingClock(SystemClock):
    """The real clock; tests that wait for the effect of a timer are told."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> asyncio.TimerHandle:
        def call() -> None:
            callback()
            self._board.tell()

        return super().call_later(delay_ms, call)


class Serving:
    """One server life; `address` is where it listens."""

    def __init__(self, board: Board, limits: StreamLimits, streams_max: int) -> None:
        self.board = board
        self.hosts: list[StreamHost] = []
        self._limits = limits
        self.service = WorkerService(
            connect=self._connect,
            payload_bytes_limit=limits.payload_bytes_limit,
            clock=SystemClock(),
            streams_max=streams_max,
        )
        now_ms = SystemClock().now_ms
        guard = Guard(
            "test",
            Admission(),
            CallCounts(SystemClock().now_us),
            access=Access(None, now_ms=now_ms),
            load=Load(now_ms=now_ms),
        )
        self.server = sturdy_server(
            layers=[guard],
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", limits.frame_bytes_limit),
                ("grpc.max_send_message_length", -1),
            ],
        )
        worker_pb2_grpc.add_WorkerServiceServicer_to_server(self.service, self.server)
        self.address = ""

    async def start(self, port: int = 0) -> int:
        bound = self.server.add_insecure_port(f"127.0.0.1:{port}")
        await self.server.start()
        self.address = f"127.0.0.1:{bound}"
        return bound

    def _connect(self, link: Link) -> StreamHost:
        host = StreamHost(
            link=link,
            dispatcher=self.board.dispatcher,
            leases=self.board.leases,
            clock=TellingClock(self.board),
            queue_of=self.board.queue_of,
            logs=self.board.logs,
            session=f"s-{len(self.hosts) + 1}",
            server="inc-1",
            limits=self._limits,
        )
        self.hosts.append(host)
        return host


@asynccontextmanager
async def serving(
    board: Board | None = None,
    limits: StreamLimits | None = None,
    *,
    streams_max: int = 5_000,
    port: int = 0,
) -> AsyncIterator[Serving]:
    """A server that listens; stopped at once at the end."""
    serve = Serving(board or Board(), limits or StreamLimits(), streams_max)
    await serve.start(port)
    try:
        yield serve
    finally:
        await serve.server.stop(None)

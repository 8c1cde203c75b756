"""podium.v1.WorkerService: one gRPC call is the link of one stream (runtime/stream.py).

Turns the end of a stream into the call's status, and an unexpected exception into INTERNAL without
a word of it. Counts the streams; what flows through them is not known here.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from podium.api.errors import Refused
from podium.api.frames import server_message_of, worker_frame_of
from podium.api.load import RETRY_MS
from podium.app.caller import caller
from podium.protocol.problem import ProtocolError
from podium.runtime.link import LinkBroken
from podium.v1 import worker_pb2, worker_pb2_grpc

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable

    from podium.protocol.frame import ServerFrame, WorkerFrame
    from podium.protocol.problem import EndCode
    from podium.runtime.clock import Clock
    from podium.runtime.link import Link
    from podium.runtime.stream import StreamHost
    from podium.runtime.stream_view import StreamView

    Context = grpc.aio.ServicerContext[worker_pb2.WorkerFrame, worker_pb2.ServerFrame]

LOG = logging.getLogger("podium.worker_service")
STREAMS_MAX: Final = 5_000
LEAVE_MS: Final = 30_000
ASKED_MAX: Final = 1_000
UNEVEN: Final = "this process has more than its share of the streams"
EXPIRED: Final = "expected valid credentials, found that they expired"


class CallLink:
    """A gRPC call as a Link. The handler is cancelled by grpc when the worker is gone."""

    def __init__(self, context: Context, payload_bytes_limit: int) -> None:
        self._context = context
        self._payload_bytes_limit = payload_bytes_limit
        self.code: EndCode = "OK"
        self.text = ""

    async def receive(self) -> WorkerFrame | None:
        try:
            message = await self._context.read()
        except (grpc.aio.UsageError, grpc.aio.InternalError) as error:
            raise LinkBroken from error
        except DecodeError:
            raise ProtocolError("expected a WorkerFrame, found bytes that are none") from None
        if message is grpc.aio.EOF:
            return None
        return worker_frame_of(message, self._payload_bytes_limit)

    async def send(self, frame: ServerFrame) -> None:
        try:
            await self._context.write(server_message_of(frame))
        except (grpc.aio.UsageError, grpc.aio.InternalError) as error:
            raise LinkBroken from error

    def close(self, code: EndCode, text: str) -> None:
        self.code = code
        self.text = text


class WorkerService(worker_pb2_grpc.WorkerServiceServicer):
    """`connect` makes the host of a new stream: the composition root knows how."""

    def __init__(
        self,
        *,
        connect: Callable[[Link], StreamHost],
        payload_bytes_limit: int,
        clock: Clock,
        streams_max: int = STREAMS_MAX,
    ) -> None:
        self._connect = connect
        self._payload_bytes_limit = payload_bytes_limit
        self._clock = clock
        self._streams_max = streams_max
        self._hosts: dict[StreamHost, str] = {}
        """With the peer, which is a connection."""
        self._asked: dict[str, None] = {}
        """Connections over which a stream was sent away because it was one too many."""
        self.refused_count = 0
        """Streams beyond the maximum."""

    @property
    def stream_count(self) -> int:
        return len(self._hosts)

    @property
    def taking_count(self) -> int:
        """Streams that take tasks, without those that are about to leave."""
        return sum(host.taking for host in self._hosts)

    def views(self) -> list[StreamView]:
        """The connected workers as they are now."""
        return [host.view() for host in self._hosts]

    # The generated type knows generators only; a stream reads and writes whenever it must.
    async def Connect(  # noqa: N802 # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        request_iterator: AsyncIterator[worker_pb2.WorkerFrame],
        context: Context,
    ) -> None:
        del request_iterator  # read by the context, as it is written
        if len(self._hosts) >= self._streams_max:
            self.refused_count += 1
            text = f"expected at most {self._streams_max} worker streams, found as many open"
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, text, RETRY_MS)
        link = CallLink(context, self._payload_bytes_limit)
        host = self._connect(link)
        self._hosts[host] = context.peer() or ""
        LOG.info("a worker connects", extra={"event": "stream_opened", "session": host.session})
        timers = self._expiry(host)
        try:
            await host.run()
        except Exception:
            noted = {"event": "stream_failed", "session": host.session}
            LOG.exception("a stream failed", extra=noted)
            link.close("INTERNAL", "expected the server to serve the stream, found a fault in it")
        finally:
            del self._hosts[host]
            noted = {"event": "stream_ended", "session": host.session, "code": link.code}
            LOG.info("a worker's stream is over", extra=noted)
            for timer in timers:
                timer.cancel()
        if link.code != "OK":
            await context.abort(grpc.StatusCode[link.code], link.text)

    def _expiry(self, host: StreamHost) -> list[asyncio.TimerHandle]:
        """Send the worker away when what it showed expires, so that it comes back with new
        credentials and its tasks in hand; end the stream of one that stays.
        """
        expires_ms = caller().expires_ms
        if expires_ms is None:
            return []
        left_ms = expires_ms - self._clock.now_ms()
        end = partial(host.end, "UNAVAILABLE", EXPIRED)
        return [
            self._clock.call_later(left_ms, partial(host.go_away, EXPIRED)),
            self._clock.call_later(left_ms + LEAVE_MS, end),
        ]

    def send_away(self, count: int) -> int:
        """So many streams at most go to other processes on this port, those with the fewest tasks
        in hand first; answers how many.

        Never those over a connection from which one was sent away before: its client does not make
        a new one, and would come back again and again.
        """
        movable = [
            host for host, peer in self._hosts.items() if host.taking and peer not in self._asked
        ]
        chosen = sorted(movable, key=lambda host: host.in_hand_count)[:count]
        for host in chosen:
            self._asked[self._hosts[host]] = None
            host.go_away(UNEVEN)
        for forgotten in list(self._asked)[:-ASKED_MAX]:
            del self._asked[forgotten]
        return len(chosen)

    def go_away_all(self, reason: str, reconnect_after_ms: int = 0) -> None:
        """The server is about to stop: no new tasks, workers go elsewhere."""
        for host in list(self._hosts):
            host.go_away(reason, reconnect_after_ms)

    def end_all(self, text: str) -> None:
        """End every stream with UNAVAILABLE: the server stops, or gave up its leases."""
        for host in list(self._hosts):
            host.end("UNAVAILABLE", text)

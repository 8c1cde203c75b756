"""One connection at work: frames in, frames out, until it ends or should be left.

One write is in flight; the next frame takes all that waits. Silence of two ping intervals is a
broken connection. What follows from an end is decided in worker.py.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from podium_worker.event import Arrived, Ended, Lease, LeftBehind, Welcomed
from podium_worker.session import StreamMisused
from podium_worker.transport import ConnectionLost

if TYPE_CHECKING:
    from podium.v1 import worker_pb2 as pb
    from podium_worker.clock import Clock
    from podium_worker.event import Event
    from podium_worker.session import Session
    from podium_worker.transport import Connection

SILENT_INTERVALS_MAX: Final = 2
RECEIVED_EVERY_MS: Final = 1_000
"""Of one arrival in this time the server is told at once, so that it can measure the way: a frame
for each would cost more than the tasks. Of tasks in a trace it is told every one.
"""
FAREWELL_S: Final = 5
"""How long a half-closed stream may take to end; everything is acknowledged already."""


class Why(Enum):
    """Why a connection is no longer served."""

    FINISHED = "finished"
    """Drained, and everything acknowledged."""
    LOST = "lost"
    LEAVING = "leaving"
    """The server goes away; the connection is still open."""


@dataclass(frozen=True, slots=True)
class Ending:
    """`lost` tells more where the connection was lost; `welcomed` = the server had accepted us."""

    why: Why
    welcomed: bool
    lost: ConnectionLost | None = None


class TaskDesk(Protocol):
    """Where tasks run."""

    def start(self, task: pb.Task) -> None: ...

    def stop(self, lease: Lease, reason: str) -> None: ...


class Stream:
    """Serves one connection of the session. `wake` is set whenever the session has more to say."""

    def __init__(
        self,
        *,
        connection: Connection,
        session: Session,
        desk: TaskDesk,
        clock: Clock,
        wake: asyncio.Event,
    ) -> None:
        self._connection = connection
        self._session = session
        self._desk = desk
        self._clock = clock
        self._wake = wake
        self._heard = False
        self._welcomed = False
        self._leave: asyncio.Task[None] | None = None
        self._told_ms = 0

    async def serve(self) -> Ending:
        """Until the connection ends, or everything is finished, or the server goes away."""
        ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._wake.set()
        async with asyncio.TaskGroup() as group:
            parts = [
                group.create_task(self._receive_all(group, ended)),
                group.create_task(self._send_all(ended)),
                group.create_task(self._watch_silence(ended)),
            ]
            ending = await ended
            for part in [*parts, *([self._leave] if self._leave else [])]:
                part.cancel()
        return ending

    async def say_farewell(self) -> None:
        """Half-close, and let the server end the stream with OK."""
        try:
            await self._connection.half_close()
            async with asyncio.timeout(FAREWELL_S):
                while await self._connection.receive() is not None:
                    pass
        except (ConnectionLost, TimeoutError):
            return  # nothing was in hand
        finally:
            self._connection.close()

    async def _receive_all(self, group: asyncio.TaskGroup, ended: asyncio.Future[Ending]) -> None:
        try:
            while (frame := await self._connection.receive()) is not None:
                self._heard = True
                for event in self._session.receive(frame):
                    self._apply(event, group, ended)
                self._wake.set()
        except ConnectionLost as lost:
            self._end(ended, Why.LOST, lost)
        except StreamMisused as misuse:
            self._end(ended, Why.LOST, ConnectionLost("INTERNAL", str(misuse)))
        else:
            unasked = ConnectionLost("UNAVAILABLE", "expected the stream to go on, found its end")
            self._end(ended, Why.LOST, unasked)

    def _apply(self, event: Event, group: asyncio.TaskGroup, ended: asyncio.Future[Ending]) -> None:
        match event:
            case Arrived(task):
                self._tell_arrival(task)
                self._desk.start(task)
            case Ended(lease, reason):
                self._desk.stop(lease, reason)
            case LeftBehind(_, reconnect_after_ms):
                if self._leave is None:
                    self._leave = group.create_task(self._leave_after(reconnect_after_ms, ended))
            case Welcomed():
                self._welcomed = True

    def _tell_arrival(self, task: pb.Task) -> None:
        now_ms = self._clock.now_ms()
        if task.trace_parent or now_ms - self._told_ms >= RECEIVED_EVERY_MS:
            self._told_ms = now_ms
            self._session.received(Lease(task.task_id, task.lease_epoch))

    async def _send_all(self, ended: asyncio.Future[Ending]) -> None:
        try:
            while not self._session.finished:
                await self._wake.wait()
                self._wake.clear()
                while (frame := self._session.take_outgoing()) is not None:
                    await self._connection.send(frame)
        except ConnectionLost as lost:
            self._end(ended, Why.LOST, lost)
        else:
            self._end(ended, Why.FINISHED)

    async def _watch_silence(self, ended: asyncio.Future[Ending]) -> None:
        silent = 0
        while silent < SILENT_INTERVALS_MAX:
            self._heard = False
            await self._clock.sleep(self._session.ping_interval_ms)
            silent = 0 if self._heard else silent + 1
        lost = ConnectionLost("UNAVAILABLE", "expected a ping of the server, found silence")
        self._end(ended, Why.LOST, lost)

    async def _leave_after(self, delay_ms: int, ended: asyncio.Future[Ending]) -> None:
        await self._clock.sleep(delay_ms)
        self._end(ended, Why.LEAVING)

    def _end(
        self, ended: asyncio.Future[Ending], why: Why, lost: ConnectionLost | None = None
    ) -> None:
        if not ended.done():
            ended.set_result(Ending(why, self._welcomed, lost))

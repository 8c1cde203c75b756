"""A worker's own ledger, kept where its frames pass: results sent, and the answers to them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podium.v1 import worker_pb2 as pb
from podium_worker.transport import GrpcTransport
from tests.chaos.unruly import UnrulyConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium_worker.transport import Connection
    from tests.chaos.unruly import Unruliness

Hold = tuple[str, int]
"""A hand-out: task id and epoch."""


class Overheard:
    """What a worker said and was told, over all its streams."""

    def __init__(self) -> None:
        self.sent: dict[Hold, bytes] = {}
        """Outputs of the results sent, as JSON."""
        self.accepted: dict[str, dict[int, bytes]] = {}
        """Task id → epoch → the output that was acknowledged with OK."""
        self.refused: dict[Hold, int] = {}
        """Other verdicts."""
        self.resumed: set[Hold] = set()
        self.pongs = 0
        """Frames with results that have arrived: a Ping goes with each."""
        self._told = asyncio.Event()

    @property
    def accepted_count(self) -> int:
        return len(self.accepted)

    async def until(self, satisfied: Callable[[], bool]) -> None:
        """Wait for a frame after which this holds."""
        while not satisfied():
            self._told.clear()
            await self._told.wait()

    def said(self, frame: pb.WorkerFrame) -> None:
        for result in frame.results:
            self.sent[result.task_id, result.lease_epoch] = result.output.json
        if frame.results:
            frame.ping.nonce = 1
        self._told.set()

    def heard(self, frame: pb.ServerFrame) -> None:
        for ack in frame.acks:
            hold = ack.task_id, ack.lease_epoch
            if ack.verdict == pb.RESULT_VERDICT_OK:
                self.accepted.setdefault(ack.task_id, {})[ack.lease_epoch] = self.sent[hold]
            else:
                self.refused[hold] = ack.verdict
        self.pongs += frame.HasField("pong")
        self.resumed |= {(each.task_id, each.lease_epoch) for each in frame.welcome.resumed}
        self._told.set()


class OverheardTransport(GrpcTransport):
    """gRPC, listened to."""

    def __init__(self, target: str, overheard: Overheard, unruly: Unruliness | None = None) -> None:
        super().__init__(target)
        self._overheard = overheard
        self._unruly = unruly

    async def connect(self, *, elsewhere: bool = False) -> Connection:
        connection = await super().connect(elsewhere=elsewhere)
        if self._unruly is not None:
            connection = UnrulyConnection(connection, self._unruly)
        return OverheardConnection(connection, self._overheard)


class OverheardConnection:
    """A Connection, listened to."""

    def __init__(self, connection: Connection, overheard: Overheard) -> None:
        self._connection = connection
        self._overheard = overheard

    async def send(self, frame: pb.WorkerFrame) -> None:
        self._overheard.said(frame)
        await self._connection.send(frame)

    async def receive(self) -> pb.ServerFrame | None:
        frame = await self._connection.receive()
        if frame is not None:
            self._overheard.heard(frame)
        return frame

    async def half_close(self) -> None:
        await self._connection.half_close()

    def close(self) -> None:
        self._connection.close()

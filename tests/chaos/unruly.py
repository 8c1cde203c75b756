"""A network that brings a worker's results twice and in another order, beneath its ledger.

gRPC itself does neither; a worker that repeats what it is not sure of, on its way through streams
that break, does both (reliability.md §2, I5).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podium.v1 import worker_pb2 as pb
from podium_worker.transport import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from podium_worker.transport import Connection

DOUBLED = 0.05
LATE = 0.05
LATE_S_MAX = 0.5


class Unruliness:
    """How often it happened, over all streams."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.doubled = 0
        self.late = 0
        """Results that those after them overtook, at least by the frame they were taken from."""


class UnrulyConnection:
    """A Connection on which some results travel again later, and some only later."""

    def __init__(self, connection: Connection, unruly: Unruliness) -> None:
        self._connection = connection
        self._unruly = unruly
        self._writing = asyncio.Lock()
        self._travelling: set[asyncio.Task[None]] = set()

    async def send(self, frame: pb.WorkerFrame) -> None:
        random, unruly = self._unruly.random, self._unruly
        late = [each for each in frame.results if random.random() < LATE]
        again = [each for each in frame.results if random.random() < DOUBLED]
        unruly.late += len(late)
        unruly.doubled += len(again)
        if late:
            kept = [each for each in frame.results if each not in late]
            sent = pb.WorkerFrame()
            sent.CopyFrom(frame)
            del sent.results[:]
            sent.results.extend(random.sample(kept, len(kept)))
            frame = sent
        for results in (late, again):
            if results:
                self._later(results)
        await self._write(frame)

    def _later(self, results: Sequence[pb.Result]) -> None:
        task = asyncio.create_task(self._travel(results))
        self._travelling.add(task)
        task.add_done_callback(self._travelling.discard)

    async def _travel(self, results: Sequence[pb.Result]) -> None:
        await asyncio.sleep(self._unruly.random.uniform(0, LATE_S_MAX))
        try:
            await self._write(pb.WorkerFrame(results=results))
        except ConnectionLost:
            return  # lost with the stream, as whatever was on its way

    async def _write(self, frame: pb.WorkerFrame) -> None:
        async with self._writing:
            await self._connection.send(frame)

    async def receive(self) -> pb.ServerFrame | None:
        return await self._connection.receive()

    async def half_close(self) -> None:
        """After what is on its way."""
        await asyncio.gather(*self._travelling)
        async with self._writing:
            await self._connection.half_close()

    def close(self) -> None:
        for each in self._travelling:
            each.cancel()
        self._connection.close()

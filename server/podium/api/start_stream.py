"""WorkflowService.StreamStarts: batches come in, answers go out in their order, few at a time.

A place is taken before a batch is read and given back when its answer is written, so a stream holds
BATCHES_MAX of them, whatever its client does. A batch that was read is always answered, also where
a later one is refused or the server stops: what has no answer then was not started. A batch that
comes while starts are shed is answered with a refusal of each item, and the stream goes on.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Final, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from podium.api.errors import Refused
from podium.api.start_items import check_count, refused_results
from podium.api.value import ValueUnsound
from podium.v1 import workflow_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium.api.start_items import StartItems

    Context: TypeAlias = grpc.aio.ServicerContext[pb.StreamStartsRequest, pb.StreamStartsResponse]
    Started: TypeAlias = asyncio.Task[list[pb.StartResult]]

BATCHES_MAX: Final = 4
STOPPING: Final = "expected batches, found the server stopping; those without an answer are unread"


class StartStreams:
    """All streams of one server. Once it is `stopping` they read no more; what was read is
    answered.
    """

    def __init__(self, stopping: asyncio.Event, admit: Callable[[], None]) -> None:
        self._stopping = stopping
        self._admit = admit
        """Raises Refused where starts are shed."""

    async def serve(self, items: StartItems, context: Context) -> None:
        """One stream. Raises ValueUnsound, Refused."""
        await _Stream(items, context, self._stopping, self._admit).run()


class _Stream:
    def __init__(
        self,
        items: StartItems,
        context: Context,
        stopping: asyncio.Event,
        admit: Callable[[], None],
    ) -> None:
        self._items = items
        self._context = context
        self._stopping = stopping
        self._admit = admit
        self._places = asyncio.Semaphore(BATCHES_MAX)
        self._batches = asyncio.Queue["Started | Exception | None"]()
        """Those that were read, in order; then why no more are read (None = half-closed)."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._read(group))
            stopping = group.create_task(self._stop(reading))
            problem = await self._answer_all()
            stopping.cancel()
        if problem is not None:
            raise problem

    async def _read(self, group: asyncio.TaskGroup) -> None:
        why: Exception | None = Refused(grpc.StatusCode.UNAVAILABLE, STOPPING)
        try:
            await self._read_all(group)
            why = None
        except ValueUnsound as unsound:
            why = unsound
        finally:
            self._batches.put_nowait(why)

    async def _read_all(self, group: asyncio.TaskGroup) -> None:
        """Until the client half-closes or is gone. Raises ValueUnsound."""
        for number in count(1):
            await self._places.acquire()
            try:
                batch = await self._context.read()
            except DecodeError:
                raise ValueUnsound(
                    f"batch {number}: expected a StreamStartsRequest, found bytes that are none"
                ) from None
            if batch is grpc.aio.EOF:
                return
            check_count(f"batch {number}: items", batch.items)
            self._batches.put_nowait(group.create_task(self._start(batch)))

    async def _start(self, batch: pb.StreamStartsRequest) -> list[pb.StartResult]:
        try:
            self._admit()
        except Refused as refused:
            return refused_results(refused, batch.items)
        return await self._items.start_all(batch.items)

    async def _stop(self, reading: asyncio.Task[None]) -> None:
        await self._stopping.wait()
        reading.cancel()

    async def _answer_all(self) -> Exception | None:
        """Why no more are read, once all that were are answered."""
        while isinstance(batch := await self._batches.get(), asyncio.Task):
            await self._context.write(pb.StreamStartsResponse(results=await batch))
            self._places.release()
        return batch

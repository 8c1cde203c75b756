"""The generator's worker: one stream, every task completed at once, results batched.

It speaks podium.v1.WorkerService by hand, without the SDK, so that it costs next to nothing beside
what is measured. One write is in flight; the next frame takes all results that wait. Knows nothing
of starts, and of time only the moment a frame arrived.
"""

import asyncio
import time
from collections.abc import Callable

import grpc.aio

from podium.v1 import worker_pb2, worker_pb2_grpc

OUTPUT = worker_pb2.Payload(json=b'{"text":"done"}')


class StreamWorker:
    """Completes tasks of one type until cancelled.

    `on_task(task, arrived_ns)` is called per task received, `on_ack(task_id)` per result stored.
    Any other verdict, and a lease taken away, is a fault of the server and ends the run.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        on_task: Callable[[worker_pb2.Task, int], None],
        on_ack: Callable[[str], object],
    ) -> None:
        self._call = worker_pb2_grpc.WorkerServiceStub(channel).Connect()
        self._on_task = on_task
        self._on_ack = on_ack
        self._results: list[worker_pb2.Result] = []
        self._pong: worker_pb2.Pong | None = None
        self._wake = asyncio.Event()

    async def connect(self, task_type: str, *, tasks_max: int) -> None:
        """Introduce the worker with room for `tasks_max` tasks; returns once it is accepted."""
        hello = worker_pb2.Hello(
            worker_id="bench", sdk="bench", task_types=[worker_pb2.TaskType(name=task_type)]
        )
        room = worker_pb2.Credit(task_type=task_type, delta=tasks_max)
        await self._call.write(worker_pb2.WorkerFrame(hello=hello, credits=[room]))
        first = await self._read()
        if not first.HasField("welcome"):
            raise RuntimeError(f"expected Welcome in the first frame, found {first}")
        self._take(first)

    async def run(self) -> None:
        """Work until cancelled; the end of the stream is an error."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write())
            while True:
                self._take(await self._read())

    async def _read(self) -> worker_pb2.ServerFrame:
        frame = await self._call.read()
        if isinstance(frame, worker_pb2.ServerFrame):
            return frame
        raise RuntimeError(f"expected an open stream, found {await self._call.code()}")

    def _take(self, frame: worker_pb2.ServerFrame) -> None:
        arrived_ns = time.perf_counter_ns()
        for task in frame.tasks:
            self._on_task(task, arrived_ns)
            self._results.append(
                worker_pb2.Result(
                    task_id=task.task_id,
                    lease_epoch=task.lease_epoch,
                    status=worker_pb2.RESULT_STATUS_COMPLETED,
                    output=OUTPUT,
                )
            )
        for ack in frame.acks:
            if ack.verdict != worker_pb2.RESULT_VERDICT_OK:
                raise RuntimeError(f"expected the result to be accepted, found {ack}")
            self._on_ack(ack.task_id)
        if frame.lost or frame.cancels or frame.HasField("go_away"):
            raise RuntimeError(f"expected the leases to be kept, found {frame}")
        if frame.HasField("ping"):
            self._pong = worker_pb2.Pong(nonce=frame.ping.nonce)
        if self._results or self._pong:
            self._wake.set()

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            frame = worker_pb2.WorkerFrame(results=self._results, pong=self._pong)
            self._results, self._pong = [], None
            await self._call.write(frame)

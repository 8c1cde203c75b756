"""Workers that wait: a thousand idle streams, and what unary calls cost beside them."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import grpc.aio

from podium.conductor import metadata_service_pb2, metadata_service_pb2_grpc
from podium.v1 import worker_pb2, worker_pb2_grpc
from tests.bench.figures import Bar, Figure, figure, percentile, ratio
from tests.bench.processes import serving
from tests.bench.waits import core_percent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.bench.plan import Plan
    from tests.bench.processes import Server

STREAMS: Final = 1_000
SHARED: Final = 100
"""Streams of one connection."""
CORE: Final = Bar(2, at_least=False)
KB_EACH: Final = Bar(40, at_least=False)
BESIDE: Final = Bar(1.5, at_least=False)
"""Unary calls beside the streams against those without: "at their normal latency"."""
CALLS: Final = 300
REST_S: Final = 2.0
WINDOW_MS_MAX: Final = 30_000


async def measure_streams(command: tuple[str, ...], plan: Plan) -> list[Figure]:
    """Percent of a core and memory of idle streams; a unary call without and beside them."""
    window_ms = min(plan.waits_ms, WINDOW_MS_MAX)
    above: list[float] = []
    shared_kb: list[float] = []
    single_kb: list[float] = []
    alone_ms: list[float] = []
    beside_ms: list[float] = []
    for _ in range(max(plan.rounds // 2, 1)):
        async with serving(*command) as server:
            alone_ms.append(await call_ms(server))
            empty, before_mb = await core_percent(server, window_ms), server.resident_mb()
            async with idle_streams(server, per_connection=SHARED):
                await asyncio.sleep(REST_S)
                above.append(await core_percent(server, window_ms) - empty)
                shared_kb.append((server.resident_mb() - before_mb) * 1_000 / STREAMS)
                beside_ms.append(await call_ms(server))
        async with serving(*command) as server:
            await call_ms(server)
            before_mb = server.resident_mb()
            async with idle_streams(server, per_connection=1):
                await asyncio.sleep(REST_S)
                single_kb.append((server.resident_mb() - before_mb) * 1_000 / STREAMS)
    return [
        figure(f"podium: {STREAMS} idle streams, above none", "% of a core", above, CORE),
        figure(f"podium: an idle stream, {SHARED} a connection", "KB", shared_kb, KB_EACH),
        figure("podium: an idle stream, one a connection", "KB", single_kb),
        figure("podium: a unary call, p50", "ms", alone_ms),
        ratio("podium: the same beside the streams", beside_ms, alone_ms, BESIDE, "x alone"),
    ]


async def call_ms(server: Server) -> float:
    """A call that reads the store, one after the other: p50."""
    async with grpc.aio.insecure_channel(server.target) as channel:
        metadata = metadata_service_pb2_grpc.MetadataServiceStub(channel)
        request = metadata_service_pb2.GetTaskRequest(task_type="absent")
        took_ms: list[float] = []
        for _ in range(CALLS):
            began_s = time.perf_counter()
            try:
                await metadata.GetTask(request)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
            took_ms.append((time.perf_counter() - began_s) * 1_000)
        return percentile(took_ms, 50)


@asynccontextmanager
async def idle_streams(
    server: Server, *, per_connection: int, count: int = STREAMS
) -> AsyncIterator[None]:
    """`count` workers with credit that nobody uses; they answer pings."""
    channels = [
        grpc.aio.insecure_channel(server.target, options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(count // per_connection)
    ]
    calls: list[Any] = []
    readers: list[asyncio.Task[None]] = []
    try:
        for number in range(count):
            call: Any = worker_pb2_grpc.WorkerServiceStub(
                channels[number // per_connection]
            ).Connect()
            calls.append(call)
            await call.write(_hello(number))
            first = await call.read()
            assert first.HasField("welcome"), first
            readers.append(asyncio.create_task(_stay(call)))
        yield
        # In good order: what a cancelled call leaves behind, three events each, reaches the loop
        # after it: where that is closed, each costs the next loop of the process a turn.
        for call in calls:
            await call.done_writing()
        await asyncio.gather(*readers)
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        for channel in channels:
            await channel.close()


def _hello(number: int) -> worker_pb2.WorkerFrame:
    return worker_pb2.WorkerFrame(
        hello=worker_pb2.Hello(
            worker_id=f"idle-{number}",
            sdk="bench",
            task_types=[worker_pb2.TaskType(name="bench_idle")],
        ),
        credits=[worker_pb2.Credit(task_type="bench_idle", delta=1)],
    )


async def _stay(call: Any) -> None:
    while True:
        frame = await call.read()
        if frame is grpc.aio.EOF:
            return
        if frame.HasField("ping"):
            pong = worker_pb2.Pong(nonce=frame.ping.nonce)
            await call.write(worker_pb2.WorkerFrame(pong=pong))

"""The gRPC edge of the stream: which status ends a call, and what its text may say."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest

from podium.runtime.stream import StreamLimits
from podium.v1 import worker_pb2 as pb
from podium.v1 import worker_pb2_grpc
from tests.worker.board import Board
from tests.worker.serving import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from podium.protocol.frame import LeaseName

HELLO = pb.Hello(worker_id="w", sdk="test", task_types=[pb.TaskType(name="a")])


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[worker_pb2_grpc.WorkerServiceAsyncStub]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield worker_pb2_grpc.WorkerServiceStub(channel)


async def read_all(call: grpc.aio.StreamStreamCall[pb.WorkerFrame, pb.ServerFrame]) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (pb.WorkerFrame(ping=pb.Ping(nonce=1)), "expected Hello in the first frame, found ping"),
        (pb.WorkerFrame(hello=pb.Hello(worker_id="w")), "hello.task_types: expected at least one"),
        (
            pb.WorkerFrame(hello=HELLO, credits=[pb.Credit(task_type="b", delta=1)]),
            "credits: expected a queue of Hello.task_types, found 'b'",
        ),
    ],
)
async def test_what_breaks_the_contract_is_an_invalid_argument(
    frame: pb.WorkerFrame, text: str
) -> None:
    async with serving() as server, calling(server.address) as stub:
        call = stub.Connect()
        await call.write(frame)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read_all(call)

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert text in str(caught.value.details())


async def test_no_hello_in_time_is_a_deadline() -> None:
    limits = StreamLimits(hello_ms=1)
    async with serving(limits=limits) as server, calling(server.address) as stub:
        call = stub.Connect()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_too_many_streams_and_too_large_frames_are_exhausted_resources() -> None:
    limits = StreamLimits(frame_bytes_limit=10_000)
    board = Board()
    async with serving(board, limits, streams_max=1) as server, calling(server.address) as stub:
        first = stub.Connect()
        await first.write(pb.WorkerFrame(hello=HELLO))
        await first.read()
        second = stub.Connect()
        with pytest.raises(grpc.aio.AioRpcError, match="at most 1 worker streams") as caught:
            await second.read()
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

        await first.write(pb.WorkerFrame(logs=[pb.TaskLog(task_id="t", text="x" * 20_000)]))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await first.read()
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_half_closed_call_ends_with_ok_and_a_cancelled_one_frees_its_place() -> None:
    board = Board()
    async with serving(board) as server, calling(server.address) as stub:
        call = stub.Connect()
        await call.write(pb.WorkerFrame(hello=HELLO, drain=pb.Drain()))
        assert isinstance(await call.read(), pb.ServerFrame)
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK

        call = stub.Connect()
        await call.write(pb.WorkerFrame(hello=HELLO, credits=[pb.Credit(task_type="a", delta=1)]))
        await call.read()
        job = board.put("a")
        await call.read()
        call.cancel()
        await board.until(lambda: not board.workers and job.holder is None)
        assert job.leased


async def test_a_stopping_server_says_unavailable() -> None:
    async with serving() as server, calling(server.address) as stub:
        call = stub.Connect()
        await call.write(pb.WorkerFrame(hello=HELLO))
        await call.read()
        server.service.go_away_all("stopping", 7)
        away = await call.read()
        assert isinstance(away, pb.ServerFrame)
        assert (away.go_away.reason, away.go_away.reconnect_after_ms) == ("stopping", 7)
        server.service.end_all("expected a running server, found one that stops")
        with pytest.raises(grpc.aio.AioRpcError, match="found one that stops") as caught:
            await call.read()

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_no_word_of_an_unexpected_exception_reaches_the_worker() -> None:
    def nack(holder: object, lease: LeaseName) -> None:
        raise RuntimeError("a secret")

    board = Board()
    async with serving(board) as server, calling(server.address) as stub:
        call = stub.Connect()
        await call.write(pb.WorkerFrame(hello=HELLO, credits=[pb.Credit(task_type="a", delta=1)]))
        await call.read()
        job = board.put("a")
        await call.read()
        board.leases.nack = nack
        lease = pb.TaskLease(task_id=job.record.id, lease_epoch=1)
        await call.write(pb.WorkerFrame(nacks=[pb.Nack(lease=lease)]))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()

    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(caught.value)

"""StreamStarts over a real channel: order, what is refused, bounds, the server's end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest

from podium.api.load import MAILBOX_BYTES_MAX
from podium.app.start import StartWorkflow
from podium.runtime.executor import Executor
from podium.v1 import admin_pb2 as admin
from podium.v1 import workflow_pb2 as pb
from podium.v1 import workflow_pb2_grpc
from tests.api.calls import PODIUM
from tests.api.edge import Edge
from tests.api.test_flow import one_task, registered, status_of
from tests.cli.serving import serving

if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWER_S = 30


def batch(*names: str) -> pb.StreamStartsRequest:
    return pb.StreamStartsRequest(items=[pb.StartItem(name=name) for name in names])


async def answered(stream: grpc.aio.StreamStreamCall) -> list[pb.StartResult]:
    async with asyncio.timeout(ANSWER_S):
        answer = await stream.read()
    assert isinstance(answer, pb.StreamStartsResponse), (
        await stream.code(),
        await stream.details(),
    )
    return list(answer.results)


async def ended(stream: grpc.aio.StreamStreamCall) -> tuple[str, str]:
    """How it ended, without another answer."""
    async with asyncio.timeout(ANSWER_S):
        try:
            assert await stream.read() is grpc.aio.EOF
        except grpc.aio.AioRpcError as error:
            return error.code().name, error.details() or ""
        return (await stream.code()).name, await stream.details()


def names_or_codes(results: Sequence[pb.StartResult]) -> list[object]:
    return ["started" if each.workflow_id else each.error.code for each in results]


async def test_batches_are_answered_in_their_order_and_items_stand_for_themselves() -> None:
    async with Edge() as edge:
        await registered(edge, one_task())
        stream = edge.podium.StreamStarts()
        # Given batches that are sent without waiting for answers
        for sent in (batch("one", "absent"), batch(*["one"] * 500), batch("absent")):
            await stream.write(sent)
        await stream.done_writing()
        # Then each is answered, in order, and what is started can be read
        first, second, third = [await answered(stream) for _ in range(3)]
        assert await ended(stream) == ("OK", "")
        assert names_or_codes(first) == ["started", 5]
        assert names_or_codes(second) == ["started"] * 500
        assert names_or_codes(third) == [5]
        assert len({each.workflow_id for each in [first[0], *second]}) == 501
        read = await status_of(edge, second[-1].workflow_id)
        assert read.workflow_definition.name == "one"


async def test_a_stream_without_a_batch_ends_well() -> None:
    async with Edge() as edge:
        stream = edge.podium.StreamStarts()
        await stream.done_writing()
        assert await ended(stream) == ("OK", "")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "batch 2: items: expected 1 to 1000, found 0"),
        (batch(*["one"] * 1001).SerializeToString(), "batch 2: items: expected 1 to 1000"),
        (b"\xff\xff", "batch 2: expected a StreamStartsRequest, found bytes that are none"),
    ],
    ids=["empty", "long", "bytes"],
)
async def test_a_bad_batch_ends_the_stream_after_the_answers_before_it(
    data: bytes, text: str
) -> None:
    async with Edge() as edge:
        await registered(edge, one_task())
        stream = edge.channel.stream_stream(
            f"{PODIUM}StreamStarts", response_deserializer=pb.StreamStartsResponse.FromString
        )()
        for sent in (batch("one").SerializeToString(), data):
            await stream.write(sent)
        assert names_or_codes(await answered(stream)) == ["started"]
        code, details = await ended(stream)
        assert (code, text in details) == ("INVALID_ARGUMENT", True), details
        assert len(edge.store.executions) == 1


class Held:
    """Starts that wait until they are let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, expected: int) -> None:
        self.go = asyncio.Event()
        self.entered = 0
        self._full = asyncio.Event()
        real = StartWorkflow.start

        async def start(starts: StartWorkflow, asked: object) -> object:
            self.entered += 1
            if self.entered >= expected:
                self._full.set()
            await self.go.wait()
            return await real(starts, asked)  # pyright: ignore[reportArgumentType]

        monkeypatch.setattr(StartWorkflow, "start", start)

    async def full(self) -> None:
        async with asyncio.timeout(ANSWER_S):
            await self._full.wait()


async def test_a_stream_is_not_read_further_than_its_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Edge() as edge:
        await registered(edge, one_task())
        held = Held(monkeypatch, 4)
        stream = edge.podium.StreamStarts()
        for _ in range(10):
            await stream.write(batch("one"))
        await held.full()
        # A call of the same connection that is answered shows that those before it arrived.
        await edge.admin.ListParked(admin.ListParkedRequest())
        assert held.entered == 4
        held.go.set()
        assert [names_or_codes(await answered(stream)) for _ in range(10)] == [["started"]] * 10
        await stream.done_writing()
        assert await ended(stream) == ("OK", "")


async def test_what_was_read_is_answered_when_the_server_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Edge() as edge:
        await registered(edge, one_task())
        held = Held(monkeypatch, 4)
        stream = edge.podium.StreamStarts()
        for _ in range(6):
            await stream.write(batch("one"))
        await held.full()
        edge.health.stop()
        held.go.set()
        assert [names_or_codes(await answered(stream)) for _ in range(4)] == [["started"]] * 4
        code, text = await ended(stream)
        assert (code, text.startswith("expected batches, found the server stopping")) == (
            "UNAVAILABLE",
            True,
        )
        assert held.entered == len(edge.store.executions) == 4


async def test_a_client_that_goes_away_harms_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Edge() as edge:
        await registered(edge, one_task())
        held = Held(monkeypatch, 1)
        stream = edge.podium.StreamStarts()
        await stream.write(batch("one"))
        await held.full()
        stream.cancel()
        held.go.set()
        other = edge.podium.StreamStarts()
        await other.write(batch("one"))
        assert names_or_codes(await answered(other)) == ["started"]
        other.cancel()
    assert caplog.text == ""


async def test_items_are_refused_while_starts_are_shed_and_the_stream_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Edge() as edge:
        await registered(edge, one_task())
        stream = edge.podium.StreamStarts()
        # Given a stream that was let in, and then more that waits than there may be
        await stream.write(batch("one"))
        assert names_or_codes(await answered(stream)) == ["started"]
        monkeypatch.setattr(Executor, "bytes_waiting", MAILBOX_BYTES_MAX + 1)
        await stream.write(batch("one", "one", "absent"))
        # Then each item is refused
        shed = await answered(stream)
        assert names_or_codes(shed) == [8, 8, 8]
        assert "of commands that wait" in shed[0].error.message
        assert shed[0].error.message.endswith("; nothing was started")
        # And what comes when less waits is started
        monkeypatch.undo()
        await stream.write(batch("one"))
        await stream.done_writing()
        assert names_or_codes(await answered(stream)) == ["started"]
        assert await ended(stream) == ("OK", "")
        assert len(edge.store.executions) == 2


async def test_an_idle_stream_is_told_that_the_server_stops() -> None:
    async with (
        serving("--store", "memory://") as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        stream = workflow_pb2_grpc.WorkflowServiceStub(channel).StreamStarts()
        await stream.write(batch("absent"))
        assert names_or_codes(await answered(stream)) == [5]
        server.process.terminate()
        assert (await ended(stream))[0] == "UNAVAILABLE"
        assert await server.ended() == (0, "")

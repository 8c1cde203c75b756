"""What grpc says of a write to a call that is over is not passed on; all else is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import grpc.aio
import pytest

from podium.api.gone import GRPC_LOGGER
from podium.api.worker_service import WorkerService
from podium.v1 import worker_pb2, worker_pb2_grpc
from tests.api.edge import Edge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WORDS = "%s raised in core by servicer method [/podium.v1.WorkerService/Connect]"


async def test_only_writes_to_nobody_are_kept_quiet(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger(GRPC_LOGGER)
    async with Edge():
        for error in (grpc.aio.InternalError("to nobody"), ValueError("a fault")):
            log.error(WORDS, type(error).__name__, exc_info=error)
        log.error("without an exception")
    said = [each.getMessage() for each in caplog.records if each.name == GRPC_LOGGER]
    assert said == [WORDS % "ValueError", "without an exception"]


async def test_a_status_that_nobody_waits_for_is_no_failed_call(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a stream whose end cannot be told, as its connection broke a moment before
    async def connect(*_: object) -> None:
        raise grpc.aio.InternalError("to nobody")

    async def hello() -> AsyncIterator[worker_pb2.WorkerFrame]:
        yield worker_pb2.WorkerFrame()

    monkeypatch.setattr(WorkerService, "Connect", connect)
    async with Edge() as edge:
        stream = worker_pb2_grpc.WorkerServiceStub(edge.channel).Connect(hello())
        with pytest.raises(grpc.aio.AioRpcError):
            await stream.read()
    # Then the log says nothing
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR] == []

"""What grpc says of a write to a call that is over is not passed on; all else is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import grpc.aio

from podium.api.gone import GRPC_LOGGER
from tests.api.edge import Edge

if TYPE_CHECKING:
    import pytest

WORDS = "%s raised in core by servicer method [/podium.v1.WorkerService/Connect]"


async def test_only_writes_to_nobody_are_kept_quiet(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger(GRPC_LOGGER)
    async with Edge():
        for error in (grpc.aio.InternalError("to nobody"), ValueError("a fault")):
            log.error(WORDS, type(error).__name__, exc_info=error)
        log.error("without an exception")
    said = [each.getMessage() for each in caplog.records if each.name == GRPC_LOGGER]
    assert said == [WORDS % "ValueError", "without an exception"]

"""Every rpc that is served refuses what is bad, by status and text, and nothing is stored then."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest

from tests.api.bad_definitions import BAD_BYTES
from tests.api.edge import Edge
from tests.api.every.acting import ended, register, report, start, take, task
from tests.api.every.calling import ANSWER_S, REFUSALS, Rpcs
from tests.api.every.podium_worker import WORKER
from tests.api.every.refusals import ENDED, RUNNING, cases
from tests.api.every.table import ROWS
from tests.api.test_bad_input import everything
from tests.cli.serving import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def served(method: str) -> AsyncIterator[tuple[Rpcs, dict[str, str]]]:
    """A server with two executions, whose ids stand for RUNNING and ENDED."""
    if method.startswith(WORKER):  # an Edge takes no streams
        async with (
            serving("--store", "memory://") as server,
            grpc.aio.insecure_channel(server.target) as channel,
        ):
            yield Rpcs(channel), {}
        return
    async with Edge() as edge:
        rpcs = Rpcs(edge.channel, edge)
        await register(rpcs, task("a"), name="known")
        # One after the other: of two that start in the same millisecond either is handed out first
        over = await start(rpcs, "known")
        await report(rpcs, await take(rpcs))
        await ended(rpcs, over)
        running = await start(rpcs, "known")
        yield rpcs, {RUNNING: running, ENDED: over}


async def refusal(rpcs: Rpcs, method: str, request: bytes | dict[str, Any]) -> tuple[str, str]:
    """Name of the status code, and the text, of a call that must fail."""
    try:
        if isinstance(request, bytes):
            call = rpcs.raw(method, request)
            async with asyncio.timeout(ANSWER_S):
                answers = [each async for each in call]
        else:
            answers = [each async for each in rpcs.answers(method, request)]
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details() or ""
    raise AssertionError(answers)


@pytest.mark.parametrize(("method", "fields", "code", "text"), list(cases()))
async def test_a_bad_request_is_refused_and_nothing_is_stored(
    method: str, fields: dict[str, Any], code: str, text: str
) -> None:
    async with served(method) as (rpcs, ids):
        written = json.dumps(fields)
        for name, workflow_id in ids.items():
            written = written.replace(name, workflow_id)
        before = await everything(rpcs.edge) if ids else None
        found = await refusal(rpcs, method, json.loads(written))
        assert found[0] == code, found
        assert text in found[1], found
        assert before == (await everything(rpcs.edge) if ids else None)


@pytest.mark.parametrize("method", ROWS)
async def test_bytes_that_are_no_message_are_refused(method: str) -> None:
    async with served(method) as (rpcs, _):
        code, text = await refusal(rpcs, method, BAD_BYTES)
        assert (code, "found bytes that are none" in text) == ("INVALID_ARGUMENT", True), text


def test_every_rpc_that_is_served_is_in_the_table() -> None:
    assert REFUSALS.keys() == ROWS.keys()

"""Every rpc that is served is driven over a real channel, and its effect is checked.

A row per rpc (tests/api/every); an rpc without a row fails, whichever service it belongs to.
"""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
import pytest

from podium.api.server import SERVICES
from tests.api.edge import Edge
from tests.api.every.calling import Rpcs, methods_of
from tests.api.every.table import ROWS

PROBE_S = 30


@pytest.mark.parametrize("method", ROWS)
async def test_the_rpc_does_what_it_is_for(method: str) -> None:
    async with Edge() as edge:
        await ROWS[method](Rpcs(edge.channel, edge))


async def test_every_rpc_that_is_served_has_a_row() -> None:
    async with Edge() as edge:
        rpcs = Rpcs(edge.channel, edge)
        services = await listed(rpcs)
        assert set(SERVICES) < services
        found = {
            method
            for service in services
            for method in methods_of(service)
            if await is_served(edge.channel, method)
        }
    missing, left = sorted(found - ROWS.keys()), sorted(ROWS.keys() - found)
    assert (missing, left) == ([], []), "a row per rpc that is served: (missing, left over)"


async def listed(rpcs: Rpcs) -> set[str]:
    """The services as reflection names them."""
    reflection = "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    answer = await rpcs.ask(reflection, list_services="")
    return {each["name"] for each in answer["list_services_response"]["service"]}


async def is_served(channel: grpc.aio.Channel, method: str) -> bool:
    """Whether an empty request is answered, with anything but UNIMPLEMENTED."""
    call = channel.stream_stream(f"/{method}")(iter([b""]))
    try:
        async with asyncio.timeout(PROBE_S):
            await call.read()
            if call.done():
                return await call.code() != grpc.StatusCode.UNIMPLEMENTED
    except grpc.aio.AioRpcError as error:
        return error.code() != grpc.StatusCode.UNIMPLEMENTED
    finally:
        call.cancel()
    return True

"""`podium serve` with durability `replica` while the replica is stalled, and after it came back."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final

import grpc
import grpc.aio
import pytest

from podium.conductor import workflow_service_pb2
from podium.conductor.workflow_service_pb2_grpc import WorkflowServiceStub as ConductorStub
from podium.runtime.clock import SystemClock
from podium.store.port import PARTITIONS
from podium.store.redis.address import read_address
from podium.store.redis.store import RedisStore
from podium.v1 import workflow_pb2 as podium
from podium.v1.workflow_pb2_grpc import WorkflowServiceStub
from tests.cli.serving import refused, serving
from tests.deploy.first_workflow import register
from tests.store.nodes import Replicated, one_node

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.part("redis-server"), pytest.mark.timeout(120)]

UNAVAILABLE: Final = 14
CALL_S: Final = 30
BACK_S: Final = 60
REPLICA: Final = {"PODIUM_STORE_DURABILITY": "replica", "PODIUM_STORE_REPLICA_MS": "300"}


async def test_a_start_waits_for_the_replica_and_its_repeat_gives_the_same(tmp_path: Path) -> None:
    with Replicated(tmp_path) as nodes:
        async with (
            serving("--store", nodes.url, **REPLICA) as one,
            serving("--store", nodes.url, **REPLICA) as two,
            grpc.aio.insecure_channel(one.target) as first,
            grpc.aio.insecure_channel(two.target) as second,
        ):
            await register(first)
            before = await start(first, "before")
            assert before.workflow_id
            nodes.replica.signal(signal.SIGSTOP)
            # The same call, at the server that keeps asking and at one that knows of nothing.
            for channel in (first, first, second):
                lost = await start(channel, "k")
                assert lost.error.code == UNAVAILABLE
                assert "whether the change was made is unknown" in lost.error.message
            terminate = workflow_service_pb2.TerminateWorkflowRequest(
                workflow_id=before.workflow_id
            )
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await ConductorStub(first).TerminateWorkflow(
                    terminate,
                    timeout=CALL_S,
                )
            assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
            nodes.replica.signal(signal.SIGCONT)
            found = {(await started(channel, "k")).workflow_id for channel in (first, second)}
        workflow_ids = await stored(nodes.url)
    assert len(found) == 1
    assert workflow_ids == {before.workflow_id, *found}


async def start(channel: grpc.aio.Channel, key: str) -> podium.StartResult:
    item = podium.StartItem(name="deployed", idempotency_key=key)
    asked = podium.StartWorkflowsRequest(items=[item])
    answer = await WorkflowServiceStub(channel).StartWorkflows(asked, timeout=CALL_S)
    return answer.results[0]


async def started(channel: grpc.aio.Channel, key: str) -> podium.StartResult:
    """As a client that repeats what may be repeated."""
    async with asyncio.timeout(BACK_S):
        while True:
            result = await start(channel, key)
            if result.workflow_id:
                return result
            assert result.error.code == UNAVAILABLE, result


async def stored(url: str) -> set[str]:
    """All executions that there are."""
    store = RedisStore(read_address(url), SystemClock().now_ms)
    await store.open()
    found = [await store.scan(each, "", 100) for each in range(PARTITIONS)]
    await store.close()
    return {each for ids in found for each in ids}


async def test_a_server_without_replicas_is_refused_in_one_line(tmp_path: Path) -> None:
    with one_node(tmp_path) as node:
        place = ("--grpc", "127.0.0.1:0", "--store", node.url)
        code, words = await refused(*place, **REPLICA)
        assert code == 2
        assert words.count("\n") == 1
        assert "expected 1 replicas online (store.replicas), found 0" in words
        async with serving(*place[2:], **REPLICA, PODIUM_STORE_VOLATILE="true") as server:
            _, words = await server.end()
        assert "store_unsure" in words


async def test_a_durability_that_a_store_has_not_is_refused() -> None:
    code, words = await refused("--store", "memory://", PODIUM_STORE_DURABILITY="fsync")
    assert code == 2
    assert "expected a URL of Redis with store.durability fsync, found memory" in words

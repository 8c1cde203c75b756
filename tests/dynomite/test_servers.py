"""Two servers over one Dynomite: executions of the corpus begin at one, and whoever works on them
is at the other.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc.aio
import pytest

from podium.conductor import request_pb2, task_service_pb2
from podium.conductor.task_service_pb2_grpc import TaskServiceStub
from podium.conductor.workflow_service_pb2_grpc import WorkflowServiceStub
from podium.runtime.clock import SystemClock
from podium.store.redis.address import read_address
from podium.store.redis.store import RedisStore
from tests.cli.serving import serving
from tests.corpus.apart import CASES, Apart, run_all
from tests.deploy.first_workflow import CALL_S, register
from tests.store.checked import two_servers_keep_the_rules

if TYPE_CHECKING:
    from tests.dynomite.conftest import Dynomite

pytestmark = [pytest.mark.part("redis-server"), pytest.mark.timeout(180)]


async def test_what_one_server_starts_is_worked_on_at_the_other(dynomite: Dynomite) -> None:
    url = f"{dynomite.url}?prefix={uuid4().hex}:"
    async with AsyncExitStack() as stack:
        places = [
            await stack.enter_async_context(serving("--http", "127.0.0.1:0", "--store", url))
            for _ in range(2)
        ]
        await asyncio.to_thread(run_all, Apart(places[0].target, places[1].target))
        for each in places:
            code, complaints = await each.end()
            assert code == 0
            assert "Traceback" not in complaints
            assert "bus_away" not in complaints
    assert dynomite.offences == []


async def test_who_waits_at_one_server_gets_what_the_other_starts(dynomite: Dynomite) -> None:
    """The task is assigned by the first, and named to the second by a message."""
    url = f"{dynomite.url}?prefix={uuid4().hex}:"
    place = ("--http", "127.0.0.1:0", "--store", url)
    async with (
        serving(*place) as first,
        serving(*place) as second,
        grpc.aio.insecure_channel(first.target) as starts,
        grpc.aio.insecure_channel(second.target) as works,
    ):
        await register(starts)
        poll = asyncio.create_task(polled(works))
        await waited_for(url, "deploy")
        started = await WorkflowServiceStub(starts).StartWorkflow(
            request_pb2.StartWorkflowRequest(name="deployed", version=1), timeout=CALL_S
        )
        assert await poll == started.workflow_id
    assert dynomite.offences == []


async def polled(channel: grpc.aio.Channel) -> str:
    """Of which execution the task is that came at last."""
    request = task_service_pb2.BatchPollRequest(
        task_type="deploy", worker_id="w", count=1, timeout=5_000
    )
    while True:
        async for task in TaskServiceStub(channel).BatchPoll(request, timeout=CALL_S):
            return task.workflow_instance_id


async def is_wanted(store: RedisStore, task_type: str) -> bool:
    return any(each.wants for each in await store.queue_counts(task_type))


async def waited_for(url: str, task_type: str) -> None:
    """Until a server has said that it wants such a task."""
    store = RedisStore(read_address(url), SystemClock().now_ms)
    await store.open()
    async with asyncio.timeout(20):
        while not await is_wanted(store, task_type):  # noqa: ASYNC110 - by another process
            await asyncio.sleep(0.05)
    await store.close()


async def test_the_rules_are_kept_through_dynomite(dynomite: Dynomite) -> None:
    await two_servers_keep_the_rules(dynomite.url, CASES)
    assert dynomite.offences == []

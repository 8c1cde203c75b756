"""Outputs on their way into the cache: past a store that fails, and past a server that dies."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podium.model.definition import WorkflowDef, WorkflowTask
from podium.model.execution import WorkflowStatus
from podium.model.payload import Payload
from podium.model.queue import Queue
from podium.store.port import StoreUnavailable
from tests.runtime.rig import EVENT_S, Hand, Rig

if TYPE_CHECKING:
    import pytest

    from podium.runtime.service import Runtime

A = Queue("a")
CACHED = WorkflowDef(
    name="cached",
    tasks=[
        WorkflowTask(
            name="a", task_reference_name="a", cache_config={"key": "k", "ttlInSecond": 3_600}
        )
    ],
)
OUTPUT = Payload.of({"y": 1})


class Puts:
    """Outputs on their way: those that arrived are counted, the first few may fail."""

    def __init__(self, rig: Rig, monkeypatch: pytest.MonkeyPatch, *, failing: int) -> None:
        self.failing = failing
        self.tried = asyncio.Event()
        self.done = asyncio.Event()
        self._put = rig.store.put_cached
        monkeypatch.setattr(rig.store, "put_cached", self.put)

    async def put(self, name: str, value: bytes, *, at_ms: int, until_ms: int) -> None:
        self.tried.set()
        if self.failing:
            self.failing -= 1
            raise StoreUnavailable("planned")
        await self._put(name, value, at_ms=at_ms, until_ms=until_ms)
        self.done.set()


async def worked(rig: Rig, server: Runtime) -> str:
    """An execution whose task a worker completes."""
    hand = Hand(server, "w", [A], 1)
    workflow_id = await rig.start(server, "cached")
    await hand.answer(await hand.take(), output=OUTPUT)
    hand.leave()
    return workflow_id


async def answered(rig: Rig, server: Runtime) -> None:
    """The next execution is answered from the cache."""
    header = await rig.finished(server, await rig.start(server, "cached"))
    assert header.status is WorkflowStatus.COMPLETED


async def test_an_output_gets_past_a_store_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Rig([CACHED]) as rig:
        server = await rig.server()
        puts = Puts(rig, monkeypatch, failing=1)
        await worked(rig, server)
        async with asyncio.timeout(EVENT_S):
            await puts.done.wait()
        await answered(rig, server)


async def test_an_output_gets_past_a_server_that_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Rig([CACHED]) as rig:
        # Given a server that dies before it could keep an output
        doomed, other = await rig.server(), await rig.server()
        puts = Puts(rig, monkeypatch, failing=1_000)
        await worked(rig, doomed)
        async with asyncio.timeout(EVENT_S):
            await puts.tried.wait()
        doomed.kill()
        # When another one takes over what it left
        puts.failing = 0
        async with asyncio.timeout(2 * EVENT_S):
            await puts.done.wait()
        # Then the next execution is answered
        await answered(rig, other)


async def test_a_lookup_gets_past_a_store_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Rig([CACHED]) as rig:
        server = await rig.server()
        puts = Puts(rig, monkeypatch, failing=0)
        await worked(rig, server)
        async with asyncio.timeout(EVENT_S):
            await puts.done.wait()
        failures = [StoreUnavailable("planned")]
        look = rig.store.cached

        async def cached(name: str, after_ms: int) -> bytes | None:
            if failures:
                raise failures.pop()
            return await look(name, after_ms)

        monkeypatch.setattr(rig.store, "cached", cached)
        await answered(rig, server)
        assert not failures

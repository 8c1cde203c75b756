"""Workflows that refuse what is over their limit (S-047, policy REJECT), on both stores."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from podium.engine.command import Rejected, Restart, Retry, Start, Terminate
from podium.model.execution import TaskStatus, WorkflowStatus
from podium.store.port import CLAIM_MS, Idempotency, StoreFull
from podium.store.sqlite import SqliteStore
from tests.runtime.rig import EVENT_S, Hand, Rig, chain, quick
from tests.runtime.test_gates import A, Site, call, workflow_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path

    from podium.model.definition import WorkflowDef
    from podium.runtime.service import Runtime


def rejecting(limit: int, name: str) -> WorkflowDef:
    config = {"rateLimitKey": "", "concurrentExecLimit": limit, "policy": "REJECT"}
    return msgspec.structs.replace(chain(name, "a"), rate_limit_config=config)


@pytest.fixture(params=["memory", "sqlite"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    definitions = [rejecting(5, "five"), rejecting(1, "one")]
    async with Rig(definitions, [quick("a", retry_count=0)]) as rig:
        made = Site(rig, tmp_path / "p.db" if request.param == "sqlite" else None)
        yield made
        await made.kill()


async def outcomes(starts: list[Coroutine[None, None, str]]) -> tuple[list[str], int]:
    """Ids of those that were started, and how many were refused for the limit."""
    found = await asyncio.gather(*starts, return_exceptions=True)
    ids = [each for each in found if isinstance(each, str)]
    refused = [each for each in found if isinstance(each, Rejected)]
    assert len(ids) + len(refused) == len(found), found
    assert {each.code for each in refused} <= {"RESOURCE_EXHAUSTED"}
    return ids, len(refused)


async def admitted(site: Site, server: Runtime, name: str = "one") -> str:
    """A start, once the slot of one that ended is free."""
    async with asyncio.timeout(EVENT_S):
        while True:
            try:
                return await site.rig.start(server, name)
            except Rejected:
                await asyncio.sleep(0.005)


async def test_s_047_of_many_starters_as_many_as_the_limit_are_served(site: Site) -> None:
    server = await site.server()
    hand = Hand(server, "w", [A], 50)
    running: set[str] = set()
    for round_ in range(3):
        ids, refused = await outcomes([site.rig.start(server, "five") for _ in range(40)])
        assert (len(ids), refused) == (5, 35), round_
        for _ in ids:
            task = await hand.take()
            running.add(workflow_of(task))
            await hand.answer(task)
        for each in ids:
            assert (await site.rig.finished(server, each)).status is WorkflowStatus.COMPLETED
        await emptied(server)
    assert len(running) == 15


async def emptied(server: Runtime) -> None:
    """Until the slots of those that ended are free."""
    async with asyncio.timeout(EVENT_S):
        while await slots(server):  # noqa: ASYNC110 - it has no signal
            await asyncio.sleep(0.005)


async def slots(server: Runtime) -> int:
    return sum([len(await server.store.slots(each)) for each in range(256)])


async def test_what_is_refused_leaves_nothing_behind(site: Site) -> None:
    server = await site.server()
    first = await site.rig.start(server, "one")
    ids, refused = await outcomes([site.rig.start(server, "one") for _ in range(5)])
    assert (ids, refused) == ([], 5)
    stored = [await server.store.scan(each, "", 10) for each in range(256)]
    assert [each for some in stored for each in some] == [first]
    assert await slots(server) == 1


async def test_a_kill_loses_no_slot(site: Site) -> None:
    server = await site.server()
    first = await site.rig.start(server, "one")
    await site.kill()
    server = await site.server()
    assert await outcomes([site.rig.start(server, "one")]) == ([], 1)
    await call(server, first, Terminate())
    await admitted(site, server)


async def test_who_was_restarted_and_waits_comes_before_a_start(site: Site) -> None:
    server = await site.server()
    hand = Hand(server, "w", [A], 1)
    first = await site.rig.start(server, "one")
    await hand.answer(await hand.take(), TaskStatus.FAILED)
    assert (await site.rig.finished(server, first)).status is WorkflowStatus.FAILED
    second = await admitted(site, server)
    await call(server, first, Retry())
    held = await hand.take()
    assert workflow_of(held) == second
    assert await outcomes([site.rig.start(server, "one")]) == ([], 1)
    await hand.answer(held)
    await hand.answer(await hand.take())
    assert (await site.rig.finished(server, first)).status is WorkflowStatus.COMPLETED
    await call(server, first, Restart())
    assert workflow_of(await hand.take()) == first


async def test_a_slot_is_free_again_where_the_start_comes_to_nothing() -> None:
    async with Rig([rejecting(1, "one")], [quick("a")]) as rig:
        server = await rig.server()
        graph = rig.registry.graphs["one"]
        command = Start(name="one", version=1, digest="one")
        key = Idempotency("one", "key", "RETURN_EXISTING")
        # A key that was used
        first = rig.ids.workflow_id()
        await server.executor.start(first, command, graph=graph, idempotency=key)
        await call(server, first, Terminate())
        for _ in range(3):
            await emptied(server)
            with pytest.raises(Exception, match=first):
                await server.executor.start(
                    rig.ids.workflow_id(), command, graph=graph, idempotency=key
                )
        # A child that must not start
        gone = rig.ids.workflow_id()
        await server.store.tombstone(gone, rig.clock.now_ms() + 60_000)
        with pytest.raises(Exception):  # noqa: B017, PT011 - what matters is the slot
            await server.executor.start(gone, command, graph=graph)
        # A store that is full
        rig.store.before.append(StoreFull("full"))
        with pytest.raises(StoreFull):
            await server.executor.start(rig.ids.workflow_id(), command, graph=graph)
        began_ms = rig.clock.now_ms()
        await server.executor.start(rig.ids.workflow_id(), command, graph=graph)
        assert rig.clock.now_ms() - began_ms < CLAIM_MS


async def test_a_key_is_looked_up_in_a_file_that_was_closed(tmp_path: Path) -> None:
    async with Rig([rejecting(1, "one")], [quick("a")]) as rig:
        key = Idempotency("one", "key", "RETURN_EXISTING")
        store = SqliteStore(tmp_path / "p.db", rig.clock.now_ms)
        await store.open()
        server = await rig.server(store)
        workflow_id = rig.ids.workflow_id()
        command = Start(name="one", version=1, digest="one")
        graph = rig.registry.graphs["one"]
        await server.executor.start(workflow_id, command, graph=graph, idempotency=key)
        server.kill()
        await store.close()
        again = SqliteStore(tmp_path / "p.db", rig.clock.now_ms)
        await again.open()
        assert await again.recorded(workflow_id, key) == workflow_id
        await again.close()

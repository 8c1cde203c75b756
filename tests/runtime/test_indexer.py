"""Feeding the index: what is told, what is made good, and what a search waits for."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from podium.engine.command import Terminate
from podium.index.conformance.samples import ids, task_ids
from podium.index.port import IndexDamaged, IndexFailure
from podium.index.sqlite import SqliteIndex
from podium.model.queue import Queue
from podium.runtime import indexer as indexing
from podium.runtime import notes
from podium.runtime.indexer import IndexUnready
from podium.store.port import INDEX, PARTITIONS, TOMBSTONE_MS
from tests.runtime.rig import EVENT_S, Hand, Rig, chain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from podium.index.document import Update
    from podium.runtime.service import Runtime

ALL = range(PARTITIONS)
FAR = 10_000


class Index(SqliteIndex):
    """In memory; fails on wish, and can be held."""

    def __init__(self) -> None:
        super().__init__(None, lambda: 0)
        self.failures: list[Exception] = []
        self.go = asyncio.Event()
        self.go.set()
        self.batches: list[list[str]] = []
        self.resets = 0

    async def write(self, updates: Sequence[Update]) -> None:
        await self.go.wait()
        if self.failures:
            raise self.failures.pop(0)
        await super().write(updates)
        self.batches.append([each.workflow_id for each in updates])

    async def reset(self) -> None:
        self.resets += 1
        await super().reset()


@asynccontextmanager
async def indexed(rig: Rig) -> AsyncIterator[tuple[Runtime, Index]]:
    """A server with an index."""
    index = Index()
    await index.open()
    server = await rig.server(index=index)
    await server.indexer.settled()
    try:
        yield server, index
    finally:
        server.kill()
        await index.close()


A = Queue("a")


def rig() -> Rig:
    return Rig([chain("one", "a")])


async def test_a_short_workflow_is_written_once_and_its_note_is_taken_off() -> None:
    async with rig() as one, indexed(one) as (server, index):
        index.batches.clear()
        hand = Hand(server, "w", [A], 1)
        workflow_id = await one.start(server, "one")
        await hand.answer(await hand.take())
        await one.finished(server, workflow_id)
        settled = await server.indexer.settled()
        assert index.batches == [[workflow_id]]
        assert await ids(settled, "status = COMPLETED") == {workflow_id}
        assert len(await task_ids(settled, "status = COMPLETED")) == 1
        assert await one.store.changed(ALL, FAR) == []


async def test_without_a_search_it_is_written_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(indexing, "GATHER_MS", 20)
    async with rig() as one, indexed(one) as (server, index):
        workflow_id = await one.start(server, "one")
        async with asyncio.timeout(EVENT_S):
            while [workflow_id] not in index.batches:  # noqa: ASYNC110 - it has no signal
                await asyncio.sleep(0.01)


async def test_a_search_waits_for_what_was_committed_before_it_and_for_no_more() -> None:
    async with rig() as one, indexed(one) as (server, index):
        first = await one.start(server, "one")
        index.go.clear()
        waiting = asyncio.create_task(server.indexer.settled())
        later = await one.start(server, "one")
        assert not waiting.done()
        index.go.set()
        settled = await waiting
        assert first in await ids(settled)
        assert await ids(await server.indexer.settled()) == {first, later}


async def test_what_a_failing_index_missed_is_read_from_the_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(indexing, "RETRY_MS", 1)
    async with rig() as one, indexed(one) as (server, index):
        index.failures = [IndexFailure("disk full")]
        workflow_id = await one.start(server, "one")
        with pytest.raises(IndexUnready, match="found that it fails"):
            await server.indexer.settled()
        # The store knows it still
        assert [each.workflow_id for each in await one.store.changed(ALL, FAR)] == [workflow_id]
        assert await ids(await server.indexer.settled()) == {workflow_id}
        assert await one.store.changed(ALL, FAR) == []


async def test_more_changes_than_memory_should_hold_are_read_from_the_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notes, "RECORDS_MAX", 5)
    async with rig() as one, indexed(one) as (server, index):
        index.go.clear()
        started = {await one.start(server, "one") for _ in range(30)}
        index.go.set()
        settled = await server.indexer.settled()
        assert await ids(settled) == started
        assert len(await task_ids(settled)) == len(started)


async def test_a_search_while_too_much_is_to_be_read_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(indexing, "CATCH_UP_MAX", 3)
    async with rig() as one, indexed(one) as (server, index):
        index.failures = [IndexFailure("disk full")]
        monkeypatch.setattr(indexing, "RETRY_MS", 1)
        started = {await one.start(server, "one") for _ in range(8)}
        with pytest.raises(IndexUnready, match="found that it fails"):
            await server.indexer.settled()
        with pytest.raises(IndexUnready, match="found it catching up"):
            await server.indexer.settled()
        async with asyncio.timeout(EVENT_S):
            while True:
                try:
                    settled = await server.indexer.settled()
                    break
                except IndexUnready:
                    continue
        assert await ids(settled) == started


async def test_a_damaged_index_is_made_anew() -> None:
    async with rig() as one, indexed(one) as (server, index):
        started = {await one.start(server, "one") for _ in range(3)}
        assert await ids(await server.indexer.settled()) == started
        index.failures = [IndexDamaged("no index")]
        started.add(await one.start(server, "one"))
        with pytest.raises(IndexUnready, match="found that it fails"):
            await server.indexer.settled()
        assert await ids(await server.indexer.settled()) == started
        # As does one that a search finds
        server.indexer.damaged()
        assert await ids(await server.indexer.settled()) == started
        assert index.resets == 3


async def test_a_removal_that_nobody_told_of_is_found() -> None:
    async with rig() as one, indexed(one) as (server, index):
        del index
        gone, kept = [await one.start(server, "one") for _ in range(2)]
        await server.indexer.settled()
        loaded = await one.store.load(gone, ())
        assert loaded is not None
        assert await one.store.remove(gone, loaded.version, one.clock.now_ms() + TOMBSTONE_MS)
        server.indexer.look_again()
        settled = await server.indexer.settled()
        assert await ids(settled) == {kept}
        assert len(await task_ids(settled)) == 1


async def test_one_that_cannot_be_read_hurts_no_other() -> None:
    async with rig() as one, indexed(one) as (server, index):
        broken, sound = [await one.start(server, "one") for _ in range(2)]
        one.store.executions[broken].fields["h"] = b"\xff"
        server.indexer.damaged()
        assert await ids(await server.indexer.settled()) == {sound}
        assert index.resets == 2
        assert await one.store.changed(ALL, FAR) == []


async def test_what_changes_while_an_index_is_made_is_in_it() -> None:
    async with rig() as one:
        before = await one.server()
        started = {await one.start(before, "one") for _ in range(20)}
        before.kill()
        index = Index()
        await index.open()
        index.go.clear()
        server = await one.server(index=index)
        waiting = asyncio.create_task(server.indexer.settled())
        victim = min(started)
        started.add(await one.start(server, "one"))
        await server.executor.call(victim, Terminate(reason="meanwhile"), "")
        index.go.set()
        settled = await waiting
        assert await ids(settled) == started
        assert await ids(await server.indexer.settled(), "status = TERMINATED") == {victim}
        server.kill()
        await index.close()


async def test_a_search_does_not_wait_for_ever_for_an_index_that_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(indexing, "READY_MS", 20)
    async with rig() as one:
        await one.start(await one.server(), "one")
        index = Index()
        await index.open()
        index.go.clear()
        server = await one.server(index=index)
        with pytest.raises(IndexUnready, match="found it being made from the store: "):
            await server.indexer.settled()
        server.kill()
        index.go.set()
        await index.close()


async def test_the_same_index_is_taken_up_and_another_is_made_anew() -> None:
    async with rig() as one:
        index = Index()
        await index.open()
        for made in (1, 1, 2):
            server = await one.server(index=index)
            await one.start(server, "one")
            assert len(await ids(await server.indexer.settled())) == len(one.store.executions)
            assert index.resets == made
            server.kill()
            if len(one.store.executions) == 2:  # a copy of another time
                await index.set_origin("another life")
        row = await one.store.get_definition(INDEX, INDEX, 1)
        assert row is not None
        assert row.value.decode() == await index.origin()
        await index.close()


async def test_who_waits_when_the_server_dies_is_told() -> None:
    async with rig() as one, indexed(one) as (server, index):
        await one.start(server, "one")
        index.go.clear()
        waiting = asyncio.create_task(server.indexer.settled())
        while not server.indexer._in_round:  # noqa: ASYNC110 - it has no signal
            await asyncio.sleep(0)
        server.kill()
        with pytest.raises(IndexUnready, match="found that it stops"):
            await waiting
        index.go.set()


async def test_a_stop_in_good_order_writes_what_is_noted() -> None:
    async with rig() as one, indexed(one) as (server, index):
        workflow_id = await one.start(server, "one")
        await server.stop()
        assert await ids(index) == {workflow_id}
        assert await one.store.changed(ALL, FAR) == []


async def test_a_server_without_an_index_says_so() -> None:
    async with rig() as one:
        server = await one.server()
        await one.start(server, "one")
        with pytest.raises(IndexUnready, match="expected a server with an index, found one"):
            await server.indexer.settled()

"""Closed executions go when they are over, on SQLite and on Redis; whatever is needed stays."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from podium.app.retention import Retention
from podium.app.services import services_of
from podium.config_retention import Retention as Settings
from podium.engine.command import Retry, Terminate
from podium.model.definition import SubWorkflowParams, WorkflowDef, WorkflowTask
from podium.model.payload import Payload
from podium.model.queue import Queue
from podium.place import CannotServe
from podium.runtime.clock import SystemClock
from podium.store.port import PARTITIONS
from podium.store.redis.address import read_address
from podium.store.redis.store import RedisStore
from podium.store.sqlite import SqliteStore
from tests.runtime.rig import EVENT_S, Hand, Rig, chain, quick
from tests.store.nodes import DURABLE, Node
from tests.store.subjects import unsynced

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from podium.runtime.clock import Clock
    from podium.runtime.service import Runtime
    from podium.store.port import Store

DAY_S = 86_400
DAY_MS = DAY_S * 1_000
WORK = Queue("work")
LATER = Queue("later")
PARENT = WorkflowDef(
    name="parent",
    tasks=[
        WorkflowTask(
            name="child",
            task_reference_name="child",
            type="SUB_WORKFLOW",
            sub_workflow_param=SubWorkflowParams(name="child"),
        ),
        WorkflowTask(name="later", task_reference_name="later"),
    ],
)
ORDER = WorkflowDef(
    name="order",
    tasks=[WorkflowTask(name="work", task_reference_name="work")],
    masked_fields=["pin"],
)
GIVEN = Payload.of({"pin": "4711", "size": 3})
DEFINITIONS = (ORDER, chain("child", "work"), PARENT)
on_both = pytest.mark.parametrize("backend", ["sqlite", "redis"])


class Ahead:
    """A clock so far ahead of another one; sleeping takes no time, and can be made to stay."""

    def __init__(self, base: Clock) -> None:
        self._base = base
        self.ahead_ms = 0
        self.stays_at = -1
        """The batch after which it sleeps for ever."""
        self.stayed = asyncio.Event()

    def now_ms(self) -> int:
        return self._base.now_ms() + self.ahead_ms

    def now_us(self) -> int:
        return self._base.now_us()

    async def sleep(self, delay_ms: int) -> None:
        if delay_ms == self.stays_at:
            self.stayed.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    def call_later(self, delay_ms: int, callback: object) -> asyncio.TimerHandle:
        raise AssertionError((delay_ms, callback))


class Site:
    """A store with a rig over it."""

    def __init__(self, rig: Rig, store: Store) -> None:
        self.rig = rig
        self.store = store

    async def server(self) -> Runtime:
        return await self.rig.server(self.store)

    def retention(self, runtime: Runtime, **settings: int | bool | str) -> tuple[Retention, Ahead]:
        clock = Ahead(runtime.clock)
        registry: Any = self.rig.registry
        services = services_of(runtime, registry)
        asked = Settings(**{"closed_seconds": DAY_S, **settings})
        return Retention(dataclasses.replace(services, clock=clock), asked), clock

    async def closed(self, runtime: Runtime, count: int) -> list[str]:
        ids = [await self.rig.start(runtime, "order", GIVEN) for _ in range(count)]
        for each in ids:
            await runtime.executor.call(each, Terminate(reason="enough"), "")
        return ids

    async def left(self, *workflow_ids: str) -> set[str]:
        return {each for each in workflow_ids if await self.store.load(each, ()) is not None}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("redis"), *DURABLE) as started:
        yield started


@asynccontextmanager
async def site(backend: str, folder: Path, node: Node) -> AsyncIterator[Site]:
    clock = SystemClock()
    store: Store
    if backend == "sqlite":
        store = SqliteStore(folder / "podium.db", clock.now_ms, sync=unsynced)
    else:
        address = read_address(f"{node.url}?prefix={folder.name}:")
        store = RedisStore(address, clock.now_ms, notes=False)
    async with Rig(DEFINITIONS, [quick("work"), quick("later")]) as rig:
        await store.open()
        try:
            yield Site(rig, store)
        finally:
            for runtime in rig.runtimes:
                runtime.kill()
            await store.close()


@on_both
async def test_what_ended_goes_in_its_time_and_what_runs_stays(
    backend: str, tmp_path: Path, node: Node
) -> None:
    async with site(backend, tmp_path, node) as place:
        runtime = await place.server()
        closed, running = await place.closed(runtime, 25), await place.rig.start(runtime, "order")
        retention, clock = place.retention(runtime)

        await retention.walk()
        assert await place.left(*closed, running) == {*closed, running}
        clock.ahead_ms = DAY_MS
        await retention.walk()

        assert await place.left(*closed, running) == {running}
        assert retention.removed.counts == {"execution": 25}
        assert retention.late_ms >= 0
        assert await place.store.archived(closed[0]) is None


@on_both
async def test_a_child_stays_as_long_as_its_parent_is_not_over(
    backend: str, tmp_path: Path, node: Node
) -> None:
    async with site(backend, tmp_path, node) as place:
        # Given a closed child of a parent that runs
        runtime = await place.server()
        hand = Hand(runtime, "hand", [WORK, LATER], 5)
        parent = await place.rig.start(runtime, "parent")
        task = await hand.take()
        child = task.id.partition(".")[0]
        await hand.answer(task)
        task = await hand.take()
        retention, clock = place.retention(runtime)
        clock.ahead_ms = 10 * DAY_MS
        # When a walk comes by, then it stays
        await retention.walk()
        assert await place.left(parent, child) == {parent, child}
        # And it goes with the parent
        await hand.answer(task)
        await place.rig.finished(runtime, parent)
        await until(lambda: told(place, parent, child))
        await retention.walk()
        await retention.walk()
        assert await place.left(parent, child) == set()


async def told(place: Site, *workflow_ids: str) -> bool:
    """Their effects are carried out, and taken off."""
    return not any([(await place.store.entries(each, 0)).outbox for each in workflow_ids])


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(EVENT_S):
        while not await true():  # noqa: ASYNC110 - it has no signal
            await asyncio.sleep(0.02)


async def shared_by(*servers: Runtime) -> bool:
    """Each partition has one owner among them."""
    owned = sorted(part for each in servers for part in each.members.owned)
    return owned == list(range(PARTITIONS))


@on_both
async def test_what_runs_again_stays(backend: str, tmp_path: Path, node: Node) -> None:
    async with site(backend, tmp_path, node) as place:
        runtime = await place.server()
        (closed,) = await place.closed(runtime, 1)
        retention, clock = place.retention(runtime, folder=str(tmp_path / "closed"))
        clock.ahead_ms = DAY_MS
        # Given one that is retried after it was looked at
        leaving = await retention._leaving(closed)
        assert leaving is not None
        await runtime.executor.call(closed, Retry(), "")
        # Then neither the removal that was under way nor another walk takes it
        assert not await retention._remove_one(leaving)
        await retention.walk()
        assert await place.left(closed) == {closed}


@on_both
async def test_after_a_death_the_next_life_goes_on(
    backend: str, tmp_path: Path, node: Node
) -> None:
    async with site(backend, tmp_path, node) as place:
        # Given a walk that dies after its first batches
        runtime = await place.server()
        closed, running = await place.closed(runtime, 200), await place.rig.start(runtime, "order")
        retention, clock = place.retention(runtime, removals_per_second=1)
        clock.ahead_ms, clock.stays_at = DAY_MS, 1_000
        walking = asyncio.create_task(retention.walk())
        async with asyncio.timeout(EVENT_S):
            await clock.stayed.wait()
        walking.cancel()
        runtime.kill()
        left = await place.left(*closed)
        assert 0 < len(left) < len(closed)
        # When another life walks, then it removes the rest alone
        runtime = await place.server()
        await until(lambda: shared_by(runtime))
        again, clock = place.retention(runtime)
        clock.ahead_ms = DAY_MS
        await again.walk()
        assert again.removed.counts == {"execution": len(left)}
        assert await place.left(*closed, running) == {running}


@on_both
async def test_it_is_written_and_kept_before_it_goes_and_the_copy_goes_later(
    backend: str, tmp_path: Path, node: Node
) -> None:
    async with site(backend, tmp_path, node) as place:
        runtime = await place.server()
        closed = await place.closed(runtime, 3)
        folder = tmp_path / "closed"
        retention, clock = place.retention(
            runtime, archive=True, archived_seconds=2 * DAY_S, folder=str(folder)
        )
        retention.start()
        await retention.stop()
        clock.ahead_ms = DAY_MS
        await retention.walk()

        (path,) = folder.iterdir()
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert {each["workflowId"] for each in lines} == set(closed)
        assert {each["status"] for each in lines} == {"TERMINATED"}
        assert [len(each["tasks"]) for each in lines] == [1, 1, 1]
        assert {each["input"]["size"] for each in lines} == {3}
        assert "4711" not in path.read_text()
        assert path.stat().st_mode & 0o077 == 0
        assert await place.left(*closed) == set()
        assert all([await place.store.archived(each) for each in closed])
        clock.ahead_ms = 2 * DAY_MS
        await retention.walk()
        assert not any([await place.store.archived(each) for each in closed])
        assert retention.removed.counts == {"execution": 3, "copy": 3}


@on_both
async def test_what_cannot_be_written_stays(backend: str, tmp_path: Path, node: Node) -> None:
    async with site(backend, tmp_path, node) as place:
        runtime = await place.server()
        closed = await place.closed(runtime, 3)
        in_the_way = tmp_path / "file"
        in_the_way.write_text("")
        retention, clock = place.retention(runtime, folder=str(in_the_way))
        clock.ahead_ms = DAY_MS
        with pytest.raises(CannotServe, match=r"retention\.folder: expected a folder"):
            retention.start()
        with pytest.raises(OSError, match="Not a directory"):
            await retention.walk()
        assert await place.left(*closed) == set(closed)


async def test_two_servers_share_the_walk(tmp_path: Path, node: Node) -> None:
    async with site("redis", tmp_path, node) as place:
        servers = [await place.server(), await place.server()]
        await until(lambda: shared_by(*servers))
        closed = await place.closed(servers[0], 60)
        for each in servers:
            retention, clock = place.retention(each)
            clock.ahead_ms = DAY_MS
            await retention.walk()
            assert 0 < retention.removed.counts["execution"] < len(closed)
        assert await place.left(*closed) == set()

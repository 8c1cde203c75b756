"""Workflows that limit how many of them run (S-047): on both stores, through kills and orders."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from podium.engine.command import Pause, Restart, Resume, Retry, Start, Terminate
from podium.model.execution import TaskStatus, WorkflowStatus
from podium.model.payload import Payload
from podium.model.queue import Queue
from podium.runtime.letter import Parked
from podium.store.sqlite import SqliteStore
from tests.runtime.rig import EVENT_S, Hand, Rig, chain, poison, quick

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from podium.engine.command import Command
    from podium.model.definition import WorkflowDef
    from podium.model.execution import TaskRecord
    from podium.runtime.service import Runtime
    from podium.store.port import Store


def limited(limit: int, *types: str, name: str, key: str = "") -> WorkflowDef:
    config = {"rateLimitKey": key, "concurrentExecLimit": limit}
    return msgspec.structs.replace(chain(name, *types), rate_limit_config=config)


A, B = Queue("a"), Queue("b")
ONE = limited(1, "a", name="one")
TWO = limited(2, "a", "b", name="two")
KEYED = limited(1, "a", name="keyed", key="${workflow.input.of}")


class Board:
    """Which executions run tasks, by what a hand takes and answers."""

    def __init__(self, hand: Hand) -> None:
        self.hand = hand
        self.begun: list[str] = []
        self.running: set[str] = set()
        self.most = 0

    async def take(self) -> TaskRecord:
        task = await self.hand.take()
        workflow_id = workflow_of(task)
        if task.ref == "a" and workflow_id not in self.begun:
            self.begun.append(workflow_id)
        self.running.add(workflow_id)
        self.most = max(self.most, len(self.running))
        return task

    async def answer(self, task: TaskRecord, status: TaskStatus = TaskStatus.COMPLETED) -> None:
        if task.ref == "b":
            self.running.discard(workflow_of(task))
        await self.hand.answer(task, status)

    async def work(self, count: int) -> None:
        for _ in range(count):
            await self.answer(await self.take())


def workflow_of(task: TaskRecord) -> str:
    return task.id.rsplit(".", 2)[0]


async def started(rig: Rig, server: Runtime, count: int, name: str = "one") -> list[str]:
    """In an order that the clock can tell."""
    found: list[str] = []
    for _ in range(count):
        found.append(await rig.start(server, name))
        await asyncio.sleep(0.002)
    return found


async def call(server: Runtime, workflow_id: str, command: Command) -> None:
    await server.executor.call(workflow_id, command, "test")


async def quiet(server: Runtime) -> None:
    """Until nothing of a gate is left in memory (a wish is withdrawn a moment after the end)."""
    async with asyncio.timeout(EVENT_S):
        while any(each.queue not in (A, B) for each in server.dispatcher.known()):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Site:
    """A store, of memory or a file, whose server may die and come back."""

    def __init__(self, rig: Rig, file: Path | None) -> None:
        self.rig = rig
        self._file = file
        self._store: Store | None = None
        self._runtime: Runtime | None = None

    async def server(self) -> Runtime:
        if self._file is not None:
            self._store = SqliteStore(self._file, self.rig.clock.now_ms)
            await self._store.open()
        self._runtime = await self.rig.server(self._store)
        return self._runtime

    async def kill(self) -> None:
        assert self._runtime is not None
        self._runtime.kill()
        if self._store is not None:
            await self._store.close()


@pytest.fixture(params=["memory", "sqlite"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    async with Rig([ONE, TWO, KEYED], [quick("a", retry_count=0)]) as rig:
        made = Site(rig, tmp_path / "p.db" if request.param == "sqlite" else None)
        yield made
        await made.kill()


async def test_s_047_no_more_than_the_limit_run_and_all_in_order(site: Site) -> None:
    server = await site.server()
    board = Board(Hand(server, "w", [A, B], 20))
    ids = await started(site.rig, server, 20, "two")
    await board.work(40)
    for each in ids:
        assert (await site.rig.finished(server, each)).status is WorkflowStatus.COMPLETED
    assert board.most == 2
    assert board.begun == ids
    await quiet(server)


async def test_the_waiting_are_running_and_a_higher_priority_begins_first(site: Site) -> None:
    server = await site.server()
    board = Board(Hand(server, "w", [A], 5))
    ids = await started(site.rig, server, 3)
    ids.append(await site.rig.start(server, "one", priority=9))
    entry = await server.executor.read(ids[2], everything=True)
    assert entry.header is not None
    assert (entry.header.status, entry.records.tasks) == (WorkflowStatus.RUNNING, {})
    await board.work(4)
    assert board.begun == [ids[0], ids[3], ids[1], ids[2]]


async def test_executions_of_other_keys_do_not_wait(site: Site) -> None:
    server = await site.server()
    hand = Hand(server, "w", [A], 5)
    for of in ("x", "x", "y"):
        command = Start(name="keyed", version=1, digest="keyed", input=Payload.of({"of": of}))
        graph = site.rig.registry.graphs["keyed"]
        await server.executor.start(site.rig.ids.workflow_id(), command, graph=graph)
    tasks = [await hand.take(), await hand.take()]
    assert hand.tasks.empty()
    for task in tasks:
        await hand.answer(task)
    await hand.answer(await hand.take())
    await quiet(server)


async def test_a_kill_loses_no_slot_and_no_place(site: Site) -> None:
    server = await site.server()
    board = Board(Hand(server, "w", [A, B], 20))
    ids = await started(site.rig, server, 8, "two")
    await board.work(6)
    held = [await board.take() for _ in board.running]
    assert len(held) == 2
    await site.kill()
    server = await site.server()
    board.hand = Hand(server, "v", [A, B], 20)
    while len(done := [each for each in ids if await ended(server, each)]) < len(ids):
        assert len(done) < len(ids)
        await board.answer(await board.take())
    assert board.most == 2
    assert board.begun == ids
    await quiet(server)


async def ended(server: Runtime, workflow_id: str) -> bool:
    entry = await server.executor.read(workflow_id, everything=False)
    assert entry.header is not None
    return entry.header.status.terminal


async def test_a_kill_between_grant_and_begin_begins_it(site: Site) -> None:
    server = await site.server()
    first, second = await started(site.rig, server, 2)
    await site.kill()
    server = await site.server()
    board = Board(Hand(server, "w", [A], 5))
    await board.work(2)
    assert board.begun == [first, second]


async def test_a_waiting_one_that_is_terminated_leaves_and_may_be_retried(site: Site) -> None:
    server = await site.server()
    board = Board(Hand(server, "w", [A], 5))
    first, second, third = await started(site.rig, server, 3)
    task = await board.take()
    await call(server, second, Terminate(reason="enough"))
    await board.answer(task)
    await board.work(1)
    assert board.begun == [first, third]
    await quiet(server)
    await call(server, second, Retry())
    await board.work(1)
    assert (await site.rig.finished(server, second)).status is WorkflowStatus.COMPLETED
    await quiet(server)


async def test_one_that_is_terminated_while_it_runs_frees_its_slot(site: Site) -> None:
    server = await site.server()
    board = Board(Hand(server, "w", [A], 5))
    first, second = await started(site.rig, server, 2)
    await board.take()
    await call(server, first, Terminate(reason="enough"))
    await board.work(1)
    assert board.begun == [first, second]


async def test_a_failed_one_that_is_retried_or_restarted_waits_behind_the_others(
    site: Site,
) -> None:
    server = await site.server()
    board = Board(Hand(server, "w", [A], 5))
    first, second, third = await started(site.rig, server, 3)
    await board.answer(await board.take(), TaskStatus.FAILED)
    assert (await site.rig.finished(server, first)).status is WorkflowStatus.FAILED
    await call(server, first, Retry())
    await asyncio.sleep(0.002)
    await board.work(1)
    assert (await site.rig.finished(server, second)).status is WorkflowStatus.COMPLETED
    await call(server, second, Restart())
    order = []
    for _ in range(3):
        task = await board.take()
        order.append(workflow_of(task))
        assert board.hand.tasks.empty()
        await board.answer(task)
    assert order == [third, first, second]
    await quiet(server)


async def test_a_paused_one_keeps_its_slot_and_begins_when_it_is_resumed(site: Site) -> None:
    server = await site.server()
    board = Board(Hand(server, "w", [A], 5))
    first, second, third = await started(site.rig, server, 3)
    task = await board.take()
    await call(server, second, Pause())
    await board.answer(task)
    assert (await site.rig.finished(server, first)).status is WorkflowStatus.COMPLETED
    await asyncio.sleep(0.05)
    assert board.hand.tasks.empty()
    await call(server, second, Resume())
    await board.work(2)
    assert board.begun == [first, second, third]


async def park(server: Runtime, workflow_id: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        poison(patch, server, workflow_id)
        with pytest.raises(Parked):
            await call(server, workflow_id, Pause())


async def test_a_parked_one_lets_others_pass_until_it_is_taken_up(site: Site) -> None:
    server = await site.server()
    board = Board(Hand(server, "w", [A], 5))
    first, second, third, fourth = await started(site.rig, server, 4)
    task = await board.take()
    await park(server, second)
    await board.answer(task)
    task = await board.take()
    assert workflow_of(task) == third
    assert await server.parking.retry(second)
    await board.answer(task)
    await board.work(2)
    assert board.begun == [first, third, second, fourth]
    assert (await site.rig.finished(server, second)).status is WorkflowStatus.COMPLETED
    await quiet(server)


async def test_a_parked_one_lets_others_pass_after_a_kill_and_when_it_is_removed(
    site: Site,
) -> None:
    server = await site.server()
    hand = Hand(server, "w", [A], 5)
    first, second, third, fourth = await started(site.rig, server, 4)
    await hand.take()
    await park(server, second)
    await site.kill()
    server = await site.server()
    await call(server, first, Terminate(reason="enough"))
    board = Board(Hand(server, "v", [A], 5))
    await board.work(1)
    assert await server.parking.purge(second)
    await board.work(1)
    assert board.begun == [third, fourth]
    await quiet(server)

"""Queues and dispatch (section 6), in the engine and over a whole runtime."""

from __future__ import annotations

import asyncio

from podium.engine.command import ReportResult, Retry
from podium.model.execution import TaskStatus
from podium.model.queue import Queue
from podium.store.port import StoreUnavailable
from tests.engine.machine import T0, Machine
from tests.engine.shapes import flow, op, simple, task_def
from tests.runtime.rig import EVENT_S, Hand, Rig, chain, quick

A = Queue("a")
ONE = chain("one", "a")


def test_s_529_a_queue_is_a_type_and_a_domain() -> None:
    machine = Machine(flow(simple("t", "named"), op("OWN", "o")))
    machine.start(task_to_domain={"named": "d", "OWN": "e"})
    assert machine.task("t").queue == Queue("named", "d")
    machine.work("t")
    assert machine.task("o").queue == Queue("OWN", "e")


def test_s_531_any_character_may_stand_in_a_type() -> None:
    for name in ("a-b", "a:b", "a@b-c", "d:a"):
        machine = Machine(flow(simple("t", name))).start()
        assert machine.task("t").queue == Queue(name)
        machine.work("t")
        assert machine.status == "COMPLETED"


def test_s_565_s_567_which_entry_gives_the_domain() -> None:
    for domains, expected in (
        ({"*": "any"}, "any"),
        ({"*": "any", "a": "own"}, "own"),
        ({"*": "any", "a": "NO_DOMAIN"}, ""),
        ({"t": "by_reference"}, ""),
    ):
        machine = Machine(flow(simple("t", "a"))).start(task_to_domain=domains)
        assert machine.task("t").domain == expected


def test_s_568_the_domain_is_fixed_when_a_task_is_scheduled() -> None:
    machine = Machine(flow(simple("a")), task_defs={"a": task_def("a")})
    machine.start(task_to_domain={"a": "d"})
    machine.work("a", "FAILED")
    machine.now_ms += 1
    machine.send(Retry())
    assert machine.task("a").queue == Queue("a", "d")


def test_s_563_a_limited_task_keeps_its_poll_timeout() -> None:
    kind = task_def("a", concurrent_exec_limit=1, poll_timeout_seconds=5)
    machine = Machine(flow(simple("a")), task_defs={"a": kind}).start()
    assert machine.task("a").status is TaskStatus.SCHEDULED
    assert machine.deadlines == {(machine.task("a").id, "poll"): T0 + 5_000}


async def test_s_537_a_poll_answers_with_what_is_there() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        started = {await rig.start(server, "one") for _ in range(3)}
        async with asyncio.timeout(EVENT_S):
            first = await server.polls.poll(A, "p", 1, 60_000)
            rest = await server.polls.poll(A, "p", 10, 60_000)
        assert len(first) == 1
        assert 1 <= len(rest) <= 2
        assert {header.id for _, header in [*first, *rest]} <= started


async def test_s_538_a_poll_takes_from_one_queue_only() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        await rig.start(server, "one")
        assert await server.polls.poll(Queue("a", "d"), "p", 1, 20) == []
        assert await server.polls.poll(Queue("b"), "p", 1, 20) == []
        async with asyncio.timeout(EVENT_S):
            assert len(await server.polls.poll(A, "p", 1, 60_000)) == 1


async def test_s_539_what_has_ended_is_not_handed_out() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        first = await rig.start(server, "one")
        second = await rig.start(server, "one")
        entry = await server.executor.read(first, everything=True)
        [task] = [each for each in entry.records.tasks.values() if each is not None]
        done = ReportResult(task_id=task.id, status=TaskStatus.COMPLETED)
        await server.executor.call(first, done, "test")
        async with asyncio.timeout(EVENT_S):
            polled = await server.polls.poll(A, "p", 5, 60_000)
        assert [header.id for _, header in polled] == [second]


async def test_s_545_a_worker_needs_no_name_and_acknowledges_nothing() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        workflow_id = await rig.start(server, "one")
        async with asyncio.timeout(EVENT_S):
            [(task, _)] = await server.polls.poll(A, "", 1, 60_000)
        done = ReportResult(task_id=task.id, status=TaskStatus.COMPLETED)
        await server.executor.call(workflow_id, done, "")
        assert (await rig.finished(server, workflow_id)).status.value == "COMPLETED"


async def test_s_559_s_834_a_rate_limit_hands_out_no_more_than_the_window_allows() -> None:
    kind = quick("a", rate_limit_per_frequency=1, rate_limit_frequency_in_seconds=1)
    async with Rig([ONE], [kind]) as rig:
        server = await rig.server()
        hand = Hand(server, "w", [A], 5)
        started = [await rig.start(server, "one") for _ in range(2)]
        first = await hand.take()
        assert hand.tasks.empty()
        second = await hand.take()
        assert second.start_ms - first.start_ms >= 1_000
        for task in (first, second):
            await hand.answer(task)
        for workflow_id in started:
            await rig.finished(server, workflow_id)


async def test_s_560_s_834_progress_gives_a_slot_back() -> None:
    async with Rig([ONE], [quick("a", concurrent_exec_limit=1)]) as rig:
        server = await rig.server()
        hand = Hand(server, "w", [A], 1)
        for _ in range(2):
            await rig.start(server, "one")
        task = await hand.take()
        await hand.answer(task, TaskStatus.IN_PROGRESS)
        assert await hand.take()


async def test_s_562_a_system_task_is_limited_as_well() -> None:
    http = flow(op("HTTP", "a", input_parameters={"uri": "u"}), name="calls")
    async with Rig([http], [quick("a", concurrent_exec_limit=1)]) as rig:
        server = await rig.server()
        hand = Hand(server, "w", [Queue("HTTP")], 5)
        for _ in range(2):
            await rig.start(server, "calls")
        task = await hand.take()
        assert task.limits.concurrent == 1
        await asyncio.sleep(0.1)
        assert hand.tasks.empty()
        await hand.answer(task)
        assert (await hand.take()).id != task.id


async def test_s_544_a_store_that_fails_for_a_moment_costs_no_task() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        workflow_id = await rig.start(server, "one")
        rig.store.before.append(StoreUnavailable("for a moment"))
        async with asyncio.timeout(EVENT_S):
            [(task, _)] = await server.polls.poll(A, "p", 1, 60_000)
        done = ReportResult(task_id=task.id, status=TaskStatus.COMPLETED)
        await server.executor.call(workflow_id, done, "test")
        assert (await rig.finished(server, workflow_id)).status.value == "COMPLETED"

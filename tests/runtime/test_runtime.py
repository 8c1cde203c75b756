"""The runtime: commits per task, hand-out, leases, polls, store failures, several servers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from podium.engine.command import Rejected, ReportResult, Terminate
from podium.model.definition import SubWorkflowParams, WorkflowDef, WorkflowTask
from podium.model.execution import TaskStatus, WorkflowStatus
from podium.model.queue import Queue
from podium.protocol.frame import LeaseName, ResultVerdict
from podium.runtime.letter import Parked, UnknownExecution
from podium.runtime.reconciling import Reconciling
from podium.store.port import StoreFull, StoreUnavailable
from tests.runtime.rig import EVENT_S, Hand, Rig, chain, poison, quick

if TYPE_CHECKING:
    from podium.runtime.service import Runtime

A = Queue("a")
B = Queue("b")
ONE = chain("one", "a")


async def test_a_one_task_workflow_costs_two_commits_when_a_worker_waits() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        hand = Hand(server, "w", [A], 1)
        await rig.start(server, "one")  # the first one tells the queue nothing waits behind
        await hand.answer(await hand.take())
        workflow_id = await rig.start(server, "one")
        await hand.answer(await hand.take())
        await rig.finished(server, workflow_id)
        assert len(rig.store.commits_of(workflow_id)) == 2


async def test_a_one_task_workflow_costs_three_commits_through_the_queue() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        workflow_id = await rig.start(server, "one")
        hand = Hand(server, "w", [A], 1)
        await hand.answer(await hand.take())
        await rig.finished(server, workflow_id)
        assert len(rig.store.commits_of(workflow_id)) == 3


async def test_queued_tasks_are_handed_out_by_priority_then_age() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        started = [await rig.start(server, "one", priority=each) for each in (0, 0, 7, 99)]
        hand = Hand(server, "w", [A], 1)
        order: list[str] = []
        for _ in started:
            task = await hand.take()
            order.append(task.id.rsplit(".", 2)[0])
            await hand.answer(task)
        assert order[:2] == [started[3], started[2]]
        assert sorted(order[2:]) == sorted(started[:2])


async def test_a_parked_poll_gets_the_task_and_its_unleased_result_counts() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        poll = asyncio.ensure_future(server.polls.poll(A, "p", 5, 60_000))
        workflow_id = await rig.start(server, "one")
        async with asyncio.timeout(EVENT_S):
            tasks = await poll
        assert [task.ref for task, _ in tasks] == ["a"]
        assert len(rig.store.commits_of(workflow_id)) <= 2


async def test_a_cancelled_poll_gives_its_task_to_the_next_one() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        poll = asyncio.ensure_future(server.polls.poll(A, "p", 1, 60_000))
        workflow_id = await rig.start(server, "one")
        async with asyncio.timeout(EVENT_S):
            tasks = await poll
        server.polls.give_back(tasks)
        async with asyncio.timeout(EVENT_S):
            again = await server.polls.poll(A, "q", 1, 60_000)
        assert again[0][0].id == tasks[0][0].id
        assert again[0][0].lease_epoch == tasks[0][0].lease_epoch + 1
        assert again[0][0].retry_count == 0
        assert again[0][1].id == workflow_id


async def test_an_empty_poll_answers_empty_and_leaves_no_wish() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        assert await server.polls.poll(A, "p", 1, 10) == []
        hand = Hand(server, "w", [A], 1)
        await rig.start(server, "one")
        assert (await hand.take()).ref == "a"


async def test_a_broken_stream_gives_its_task_away_after_the_grace() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        first = Hand(server, "first", [A], 1)
        workflow_id = await rig.start(server, "one")
        task = await first.take()
        first.leave()
        second = Hand(server, "second", [A], 1)
        again = await second.take()
        assert again.id == task.id
        assert again.lease_epoch == task.lease_epoch + 1
        assert await first.answer(task) is ResultVerdict.STALE
        assert await second.answer(again) is ResultVerdict.OK
        assert (await rig.finished(server, workflow_id)).status is WorkflowStatus.COMPLETED


async def test_a_worker_that_comes_back_in_time_keeps_its_task() -> None:
    async with Rig([ONE], grace_ms=60_000) as rig:
        server = await rig.server()
        first = Hand(server, "w", [A], 1)
        await rig.start(server, "one")
        task = await first.take()
        first.leave()
        back = Hand(server, "w", [A], 0)
        back.session = "session-again"
        name = LeaseName(task.id, task.lease_epoch)
        unknown = LeaseName(task.id, task.lease_epoch + 7)
        resumed, lost = await server.leases.resume(back, [name, unknown])
        assert (resumed, lost) == ((name,), (unknown,))
        assert await back.answer(task) is ResultVerdict.OK
        assert await back.answer(task) is ResultVerdict.OK  # sent again: acknowledged again


async def test_a_worker_may_come_back_to_another_server() -> None:
    async with Rig([ONE], grace_ms=60_000) as rig:
        one = await rig.server()
        other = await rig.server()
        first = Hand(one, "w", [A], 1)
        workflow_id = await rig.start(one, "one")
        task = await first.take()
        one.kill()
        back = Hand(other, "w", [A], 0)
        name = LeaseName(task.id, task.lease_epoch)
        assert await other.leases.resume(back, [name]) == ((name,), ())
        assert await back.answer(task) is ResultVerdict.OK
        assert (await rig.finished(other, workflow_id)).status is WorkflowStatus.COMPLETED


async def test_a_task_made_ready_on_one_server_reaches_a_worker_of_another() -> None:
    async with Rig([chain("two", "a", "b")]) as rig:
        one = await rig.server()
        other = await rig.server()
        hand = Hand(other, "w", [A, B], 1)
        await wish_is_told(other, A)
        workflow_id = await rig.start(one, "two")
        await hand.answer(await hand.take())
        await hand.answer(await hand.take())
        assert (await rig.finished(one, workflow_id)).status is WorkflowStatus.COMPLETED


async def wish_is_told(server: Runtime, queue: Queue) -> None:
    """Wait until the queue knows that this server waits there."""
    async with asyncio.timeout(EVENT_S):
        while not any(  # noqa: ASYNC110 - a wish being noted has no signal
            each.told["stream"] for each in server.dispatcher.known() if each.queue == queue
        ):
            await asyncio.sleep(0)


async def test_termination_cancels_the_task_in_a_workers_hands() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        hand = Hand(server, "w", [A], 1)
        workflow_id = await rig.start(server, "one")
        task = await hand.take()
        await server.executor.call(workflow_id, Terminate(reason="enough"), "test")
        async with asyncio.timeout(EVENT_S):
            lease, _ = await hand.gone.get()
        assert lease == LeaseName(task.id, task.lease_epoch)
        assert await hand.answer(task) is ResultVerdict.CLOSED


async def test_a_result_whose_answer_was_lost_is_effective_once() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        hand = Hand(server, "w", [A], 1)
        workflow_id = await rig.start(server, "one")
        task = await hand.take()
        rig.store.after.append(StoreUnavailable("answer lost"))
        assert await hand.answer(task) is ResultVerdict.OK
        header = await rig.finished(server, workflow_id)
        assert header.task_count == 1


async def test_a_start_whose_answer_was_lost_is_one_execution() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        rig.store.after.append(StoreUnavailable("answer lost"))
        rig.store.before.append(StoreUnavailable("not reached"))
        workflow_id = await rig.start(server, "one")
        assert list(rig.store.executions) == [workflow_id]
        hand = Hand(server, "w", [A], 1)
        await hand.answer(await hand.take())
        await rig.finished(server, workflow_id)


async def test_a_full_store_refuses_a_start_and_keeps_a_result() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        hand = Hand(server, "w", [A], 1)
        workflow_id = await rig.start(server, "one")
        task = await hand.take()
        rig.store.before.append(StoreFull("no space"))
        with pytest.raises(StoreFull):
            await rig.start(server, "one")
        rig.store.before.append(StoreFull("no space"))
        assert await hand.answer(task) is ResultVerdict.OK
        await rig.finished(server, workflow_id)


async def test_a_decision_that_raises_harms_only_its_own_execution(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        bad = await rig.start(server, "one")
        good = await rig.start(server, "one")
        poison(monkeypatch, server, bad)
        with pytest.raises(Parked) as failed:
            await server.executor.call(bad, Terminate(reason=None), "test")
        assert "secret" not in str(failed.value)
        await server.executor.call(good, Terminate(reason=None), "test")
        assert "decide raised" in caplog.text


@pytest.mark.parametrize("ends", ["with its result", "with its stream"])
async def test_a_lease_that_ends_while_its_execution_is_parked_is_no_lease_afterwards(
    ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the reconcile, which servers of a store that is not shared do not make."""
    monkeypatch.setattr(Reconciling, "where_due", nothing_amiss)
    async with Rig([ONE]) as rig:
        server = await rig.server()
        hand = Hand(server, "w", [A], 1)
        bad = await rig.start(server, "one")
        task = await hand.take()
        with monkeypatch.context() as patch:
            poison(patch, server, bad)
            if ends == "with its result":
                assert await hand.answer(task) is ResultVerdict.REJECTED
            else:
                hand.leave()
                async with asyncio.timeout(EVENT_S):
                    while not server.parking.holds(bad):
                        await rig.clock.sleep(10)
        assert server.parking.holds(bad)
        assert not server.leases.holds(task.id, task.lease_epoch)
        await server.parking.retry(bad)
        other = Hand(server, "other", [A], 1)
        hands = [asyncio.ensure_future(each.take()) for each in (hand, other)]
        done, left = await asyncio.wait(hands, return_when=asyncio.FIRST_COMPLETED)
        for each in left:
            each.cancel()
        [again] = [each.result() for each in done]
        assert (again.id, again.lease_epoch) == (task.id, task.lease_epoch + 1)
        assert await other.answer(again) is ResultVerdict.OK
        await rig.finished(server, bad)


async def nothing_amiss(reconciling: Reconciling, heard: object) -> None:
    del reconciling, heard


async def test_unknown_executions_and_tasks_are_refused() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        with pytest.raises(UnknownExecution):
            await server.executor.call(rig.ids.workflow_id(), Terminate(), "test")
        workflow_id = await rig.start(server, "one")
        hand = Hand(server, "w", [A], 1)
        task = await hand.take()
        foreign = task.id.replace(task.key, "q" * len(task.key))
        with pytest.raises(Rejected) as refused:
            await server.executor.call(workflow_id, _result(foreign), "test")
        assert refused.value.code == "NOT_FOUND"


def _result(task_id: str) -> ReportResult:
    return ReportResult(task_id=task_id, status=TaskStatus.COMPLETED)


async def test_a_dead_servers_child_start_is_carried_out_by_another() -> None:
    parent = WorkflowDef(
        name="parent",
        tasks=[
            WorkflowTask(
                name="sub",
                task_reference_name="sub",
                type="SUB_WORKFLOW",
                sub_workflow_param=SubWorkflowParams(name="one", version=1),
            )
        ],
    )
    async with Rig([parent, ONE]) as rig:
        doomed = await rig.server()
        other = await rig.server()
        never = asyncio.Event()

        async def stuck(effect: object, origin: str) -> None:
            await never.wait()

        doomed.relay.starter = stuck
        workflow_id = await rig.start(doomed, "parent")
        doomed.kill()
        hand = Hand(other, "w", [A], 1)
        await hand.answer(await hand.take())
        assert (await rig.finished(other, workflow_id)).status is WorkflowStatus.COMPLETED


async def test_a_concurrency_limit_admits_one_and_hands_the_slot_on() -> None:
    async with Rig([ONE], [quick("a", concurrent_exec_limit=1)]) as rig:
        server = await rig.server()
        hand = Hand(server, "w", [A], 5)
        first = await rig.start(server, "one")
        second = await rig.start(server, "one")
        task = await hand.take()
        assert hand.tasks.empty()
        await hand.answer(task)
        again = await hand.take()
        assert again.id != task.id
        await hand.answer(again)
        await rig.finished(server, first)
        await rig.finished(server, second)


async def test_a_failed_task_is_tried_again_at_once_without_delay() -> None:
    async with Rig([ONE], [quick("a", retry_count=1)]) as rig:
        server = await rig.server()
        hand = Hand(server, "w", [A], 1)
        workflow_id = await rig.start(server, "one")
        await hand.answer(await hand.take(), TaskStatus.FAILED)
        again = await hand.take()
        assert again.retry_count == 1
        await hand.answer(again)
        assert (await rig.finished(server, workflow_id)).status is WorkflowStatus.COMPLETED


async def test_a_response_timeout_fires_by_itself() -> None:
    task_def = quick("a", retry_count=0, response_timeout_seconds=1)
    async with Rig([ONE], [task_def]) as rig:
        server = await rig.server()
        hand = Hand(server, "w", [A], 1)
        workflow_id = await rig.start(server, "one")
        await hand.take()
        header = await rig.finished(server, workflow_id)
        assert header.status is WorkflowStatus.TIMED_OUT


async def test_a_stopped_server_leaves_nothing_and_the_next_goes_on() -> None:
    async with Rig([chain("two", "a", "b")]) as rig:
        server = await rig.server()
        hand = Hand(server, "w", [A], 1)
        workflow_id = await rig.start(server, "two")
        await hand.answer(await hand.take())
        await server.stop()
        other = await rig.server()
        last = Hand(other, "x", [B], 1)
        await last.answer(await last.take())
        assert (await rig.finished(other, workflow_id)).status is WorkflowStatus.COMPLETED


async def test_a_queue_that_is_heard_of_while_a_server_stops_keeps_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Rig([ONE]) as rig:
        # Given a server that waits for work of one queue
        server = await rig.server()
        want, waits = rig.store.want, asyncio.Event()

        async def wanting(*asked: Any, **settings: Any) -> Any:
            if not server.dispatcher.granting:
                server.dispatcher.backlog_known(B)
            answer = await want(*asked, **settings)
            waits.set()
            return answer

        monkeypatch.setattr(rig.store, "want", wanting)
        Hand(server, "w", [A], 1)
        async with asyncio.timeout(EVENT_S):
            await waits.wait()
        # When it hears of another while it tells that it waits no more
        await server.stop()
        # Then it has left
        assert B in {each.queue for each in server.dispatcher.known()}
        assert server.incarnation not in (await rig.store.heartbeat("other")).members

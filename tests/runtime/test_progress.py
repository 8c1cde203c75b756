"""What the runtime counts: each task and result once, whatever is retried, stale or repeated."""

from __future__ import annotations

from podium.engine.command import Retry, Terminate
from podium.model.execution import TaskStatus
from podium.model.queue import Queue
from podium.protocol.frame import LeaseName, ResultAck, ResultVerdict, WorkerFrame
from podium.runtime.measure import OTHER, Histogram, Named, Tally
from tests.runtime.rig import Hand, Rig, chain, quick

A = Queue("a")
ONE = chain("one", "a")


async def test_a_retried_task_counts_per_attempt_and_its_workflow_once() -> None:
    async with Rig([ONE], [quick("a", retry_count=1)]) as rig:
        server = await rig.server()
        hand = Hand(server, "w", [A], 1)
        workflow_id = await rig.start(server, "one")
        await hand.answer(await hand.take(), TaskStatus.FAILED)
        await hand.answer(await hand.take())
        await rig.finished(server, workflow_id)
        tasks = dict(server.progress.types)["a"]
        workflows = dict(server.progress.workflows)["one"]
    assert tasks.ended.counts == {"FAILED": 1, "COMPLETED": 1}
    assert tasks.granted.counts == {"stream": 2}
    assert sum(tasks.handed_out.counts) == sum(tasks.finished.counts) == 2
    assert (workflows.started, workflows.ended.counts) == (1, {"COMPLETED": 1})


async def test_an_execution_that_is_reopened_ends_twice() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        workflow_id = await rig.start(server, "one")
        await server.executor.call(workflow_id, Terminate(reason="stop"), "test")
        await server.executor.call(workflow_id, Retry(), "test")
        hand = Hand(server, "w", [A], 1)
        await hand.answer(await hand.take())
        await rig.finished(server, workflow_id)
        workflows = dict(server.progress.workflows)["one"]
    assert (workflows.started, workflows.reopened) == (1, 1)
    assert workflows.ended.counts == {"TERMINATED": 1, "COMPLETED": 1}


async def test_results_are_counted_by_what_became_of_them() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        hand = Hand(server, "w", [A], 1)
        workflow_id = await rig.start(server, "one")
        task = await hand.take()
        assert await hand.answer(task, epoch=7) is ResultVerdict.STALE
        await hand.answer(task)
        await rig.finished(server, workflow_id)
        await hand.answer(task)
        unreadable = ResultAck(task.id, task.lease_epoch, ResultVerdict.REJECTED, "no status")
        server.leases.received(WorkerFrame(refused=(unreadable,)))
        ended = await rig.start(server, "one")
        late = await hand.take()
        await server.executor.call(ended, Terminate(), "test")
        assert await hand.answer(late) is ResultVerdict.CLOSED
    counts = server.progress.results.counts
    assert counts == {"stale": 1, "ok": 2, "rejected": 1, "closed": 1}


async def test_an_arrival_is_measured_once_and_only_of_what_was_handed_out() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        hand = Hand(server, "w", [A], 1)
        await rig.start(server, "one")
        task = await hand.take()
        lease = LeaseName(task.id, task.lease_epoch)
        server.leases.received(WorkerFrame(received=(lease, LeaseName("other.a.1", 1))))
        server.leases.received(WorkerFrame(received=(lease,)))
        received = dict(server.progress.types)["a"].received
    assert sum(received.counts) == 1


def test_a_value_at_a_bound_counts_below_it() -> None:
    histogram = Histogram((1, 10))
    for value in (0, 1, 2, 10, 11):
        histogram.add(value)
    assert (histogram.counts, histogram.total) == ([2, 2, 1], 24)


def test_names_beyond_the_first_share_one_place() -> None:
    named = Named(Tally, names_max=2)
    for name in ("a", "b", "c", "d", "a"):
        named.of(name).add("x")
    assert {name: tally.counts["x"] for name, tally in named} == {"a": 2, "b": 1, OTHER: 2}

"""Results of tasks (section 1.19): what is taken over, and when a task is offered again."""

from __future__ import annotations

from podium.engine.command import Verdict
from tests.engine.looping import Looping, loop
from tests.engine.machine import T0, Machine
from tests.engine.shapes import flow, fork, join, simple


def test_s_164_what_is_taken_from_a_result() -> None:
    machine = Machine(flow(simple("a"), simple("b"))).start()
    machine.work("a", "IN_PROGRESS", output={"x": 1, "y": 1}, reason="half", worker_id="one")
    assert machine.task("a").reason == "half"
    machine.work("a", output={"x": 2}, worker_id="two")
    task = machine.task("a")
    assert (task.output.value, task.reason, task.worker_id) == ({"x": 2}, None, "two")
    machine.work("b", "IN_PROGRESS", output={"x": 1})
    machine.work("b")
    assert machine.task("b").output.value == {}


def test_s_166_a_result_ends_the_task_or_puts_it_off() -> None:
    machine = Machine(flow(simple("a"))).start(priority=7)
    before = machine.task("a").score
    machine.now_ms += 10
    machine.work("a", "IN_PROGRESS", callback_after_ms=5_000)
    task = machine.task("a")
    assert machine.deadlines[task.id, "retry"] == T0 + 5_010
    assert task.score - before == 5_010
    machine.due("a", "retry")
    machine.work("a")
    assert machine.task("a").end_ms == T0 + 5_010
    assert not machine.ready


def test_s_167_progress_keeps_the_attempt_and_counts_the_polls() -> None:
    machine = Machine(flow(simple("a"))).start()
    for count in (1, 2, 3):
        machine.work("a", "IN_PROGRESS")
        task = machine.task("a")
        assert (task.status.value, task.poll_count, task.retry_count) == ("SCHEDULED", count, 0)


def test_s_165_a_task_may_be_completed_before_it_is_polled() -> None:
    machine = Machine(flow(simple("a"), simple("b"))).start()
    assert machine.report("a", output={"x": 1}).verdict is Verdict.OK
    assert machine.list() == ["a COMPLETED", "b SCHEDULED"]


def test_s_169_branches_of_a_fork_in_a_loop_are_followed_at_once() -> None:
    body = fork("f", [simple("a")], [simple("b")]), join("j", "a", "b"), simple("c")
    machine = Looping(flow(loop(*body, n=1))).start()
    machine.work("a__1")
    machine.work("b__1")
    assert machine.list()[-2:] == ["j__1 COMPLETED", "c__1 SCHEDULED"]

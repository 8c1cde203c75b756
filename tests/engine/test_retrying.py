"""Retry of executions that ended: what is tried again, what waits again, children and parents."""

from __future__ import annotations

from typing import Any

import pytest

from podium.engine.command import Pause, Rejected, ReportResult, Retry, Terminate
from podium.engine.script import body
from podium.engine.transition import Evaluated, StartChild
from podium.model.execution import TaskStatus
from tests.engine.looping import Looping, loop
from tests.engine.machine import Machine
from tests.engine.once import ONCE, machine_of
from tests.engine.shapes import flow, fork, join, op, simple, sub, switch, task_def, terminate
from tests.engine.world import World


def test_s_096_s_098_s_099_a_failed_task_gets_another_attempt_at_once() -> None:
    delayed = simple("a", start_delay=60, input_parameters={"x": "${workflow.input.x}"})
    machine = machine_of(delayed, simple("b"))
    machine.due("a", "retry")
    machine.work("a", "FAILED_WITH_TERMINAL_ERROR", reason="no", output={"y": 1})
    first = machine.task("a")
    assert machine.status == "FAILED"
    machine.now_ms += 5
    machine.send(Retry())
    again = machine.task("a")
    assert machine.list() == ["a FAILED_WITH_TERMINAL_ERROR", "a SCHEDULED"]
    assert (again.retry_count, again.retried_task_id, again.attempt) == (1, first.id, 1)
    assert (again.input.value, again.output.value) == ({"x": 1}, {})
    assert again.id in machine.ready
    header = machine.header
    assert header is not None
    assert (header.reason, header.ended_ms, header.last_retried_ms) == (None, 0, machine.now_ms)
    machine.work("a")
    machine.work("b")
    assert machine.status == "COMPLETED"


def test_all_failed_and_cancelled_branches_are_tried_again_and_the_join_waits() -> None:
    branches = [simple("a")], [simple("b")], [simple("c"), simple("d")]
    machine = machine_of(fork("f", *branches), join("j", "a", "b", "d"), simple("e"))
    machine.work("a", output={"kept": 1})
    machine.work("b", "FAILED")
    assert machine.list() == [
        "f COMPLETED", "a COMPLETED", "b FAILED", "c CANCELED", "j CANCELED",
    ]  # fmt: skip
    machine.send(Retry())
    assert machine.list() == [
        "f COMPLETED", "a COMPLETED", "b FAILED", "c CANCELED", "j IN_PROGRESS", "b SCHEDULED",
        "c SCHEDULED",
    ]  # fmt: skip
    assert machine.task("j").retry_count == 1
    for ref in ("b", "c", "d"):
        machine.work(ref)
    assert machine.join_output("j") == {"a": {"kept": 1}}
    machine.work("e")
    assert machine.status == "COMPLETED"


def test_what_the_end_cut_off_is_scheduled_by_the_retry() -> None:
    """Two results in one decision: the one that ends the workflow hides what follows the other."""
    machine = machine_of(fork("f", [simple("a"), simple("d")], [simple("b")]), join("j", "d", "b"))
    draft = machine.draft()
    for ref, status in (("a", "COMPLETED"), ("b", "FAILED")):
        machine.decide(draft, report_of(machine, ref, status))
    machine.commit(draft)
    assert "d SCHEDULED" not in machine.list()
    machine.send(Retry())
    assert machine.list()[-2:] == ["b SCHEDULED", "d SCHEDULED"]
    machine.work("b")
    machine.work("d")
    assert machine.status == "COMPLETED"


def test_what_ended_in_a_pause_counts_in_a_join_that_stands_before_it() -> None:
    """The join was scheduled first, so it is looked at before the member that ended unsettled."""
    machine = machine_of(
        fork("f", [simple("a")], [op("NOOP", "n"), simple("b")]), join("j", "a", "b"), simple("c")
    )
    assert machine.list().index("j IN_PROGRESS") < machine.list().index("b SCHEDULED")
    machine.send(Pause())
    machine.work("b")
    machine.send(Terminate())
    machine.send(Retry())
    machine.work("a")
    machine.work("c")
    assert machine.status == "COMPLETED"


def report_of(machine: Machine, ref: str, status: str) -> Any:
    return ReportResult(task_id=machine.task(ref).id, status=TaskStatus(status))


def test_a_permissive_failure_is_tried_again_and_what_followed_it_is_not() -> None:
    machine = machine_of(simple("a", permissive=True), simple("b"))
    machine.work("a", "FAILED")
    machine.work("b")
    assert machine.status == "FAILED"
    machine.send(Retry())
    assert machine.list() == ["a FAILED", "b COMPLETED", "a SCHEDULED"]
    machine.work("a")
    assert machine.status == "COMPLETED"


def test_a_choice_that_failed_chooses_again() -> None:
    choice = op("SWITCH", "s", evaluator_type="javascript", expression="$.x",
                decision_cases={"1": [simple("a")]}, input_parameters={"x": 1})  # fmt: skip
    conditions: dict[str, Any] = {"$.x": lambda _: Evaluated(error="no x")}
    machine = Looping(flow(choice), conditions=conditions)
    machine.start()
    assert machine.status == "FAILED"
    conditions["$.x"] = lambda value: value["x"]
    machine.send(Retry())
    assert machine.list() == ["s FAILED", "s COMPLETED", "a SCHEDULED"]


def test_s_822_a_loop_is_retried_in_its_iteration() -> None:
    machine = Looping(flow(loop(simple("a"), simple("b"), n=2))).start()
    machine.work("a__1")
    machine.work("b__1")
    machine.work("a__2", "FAILED")
    first = machine.task("l").id
    machine.send(Retry())
    assert machine.list() == [
        "l IN_PROGRESS", "a__1 COMPLETED", "b__1 COMPLETED", "a__2 FAILED", "a__2 SCHEDULED",
    ]  # fmt: skip
    assert machine.task("l").id == first
    machine.work("a__2")
    machine.work("b__2")
    assert machine.status == "COMPLETED"


def test_a_terminated_execution_goes_on() -> None:
    machine = machine_of(simple("a"), simple("b"))
    machine.work("a")
    machine.grant("b")
    machine.send(Terminate(reason="no"))
    machine.send(Retry())
    assert machine.list() == ["a COMPLETED", "b CANCELED", "b SCHEDULED"]
    machine.work("b")
    assert machine.status == "COMPLETED"


def test_s_095_a_timed_out_workflow_without_failed_tasks_goes_on() -> None:
    machine = machine_of(
        switch("s", "x", {"x": [simple("a")]}), timeout_seconds=5, timeout_policy="TIME_OUT_WF"
    )
    machine.due("", "workflow")
    assert machine.status == "TIMED_OUT"
    machine.send(Retry())
    assert machine.task("a").status is TaskStatus.SCHEDULED
    assert machine.deadlines["", "workflow"] == machine.now_ms + 5_000


@pytest.mark.parametrize(
    ("tasks", "state"),
    [((simple("a"),), "COMPLETED"), ((simple("a"), simple("z")), "RUNNING"),
     ((fork("f", [simple("a"), terminate("t", "FAILED")], [simple("b")]), join("j", "b")),
      "FAILED")],
)  # fmt: skip
def test_s_090_s_095_nothing_to_retry_is_refused(tasks: tuple[Any, ...], state: str) -> None:
    machine = machine_of(*tasks)
    machine.work("a")
    assert machine.status == state
    with pytest.raises(Rejected) as found:
        machine.send(Retry())
    assert found.value.code == "FAILED_PRECONDITION"
    assert state in found.value.message


def test_many_failed_branches_are_retried_in_portions() -> None:
    count = 1_100
    elements = [{"name": "a", "taskReferenceName": f"a{n}", "permissive": True}
                for n in range(count)]  # fmt: skip
    dynamic = op("FORK_JOIN_DYNAMIC", "f", dynamic_fork_tasks_param="t",
                 dynamic_fork_tasks_input_param_name="i",
                 input_parameters={"t": "${workflow.input.t}", "i": {}})  # fmt: skip
    machine = Machine(flow(dynamic, op("JOIN", "j"), simple("b")), task_defs=ONCE, whole=True)
    machine.start({"t": elements})
    machine.run_effects()
    for number in range(count):
        machine.report(f"a{number}", "FAILED" if number % 2 else "COMPLETED")
    assert machine.status == "FAILED"
    machine.now_ms += 1
    machine.send(Retry())
    machine.run_effects()
    for number in range(1, count, 2):
        machine.report(f"a{number}")
    assert machine.list()[-1] == "b SCHEDULED"


def failed_child() -> tuple[World, Machine, Machine]:
    world = World(
        flow(fork("f", [sub("s", "child")], [simple("b")]), join("j", "s", "b"), name="root"),
        flow(simple("a"), simple("c"), name="child"),
        task_defs=ONCE,
    )
    parent = world.start("root")
    child = world.machines[parent.task("s").sub_workflow_id or ""]
    child.work("a", "FAILED")
    world.settle()
    assert (parent.status, child.status) == ("FAILED", "FAILED")
    parent.now_ms = child.now_ms = world.now_ms = world.now_ms + 10
    return world, parent, child


def finish(world: World, parent: Machine, child: Machine) -> None:
    child.work("a")
    child.work("c")
    world.settle()
    parent.work("b")
    world.settle()
    assert (parent.status, child.status) == ("COMPLETED", "COMPLETED")


def test_s_100_s_104_a_failed_child_is_started_anew() -> None:
    world, parent, child = failed_child()
    parent.send(Retry())
    world.settle()
    again = world.machines[parent.task("s").sub_workflow_id or ""]
    assert again is not child
    assert child.status == "FAILED"
    assert sum(isinstance(effect, StartChild) for effect in parent.done_effects) == 2
    finish(world, parent, again)


def test_s_103_a_failed_child_goes_on_when_asked_for() -> None:
    world, parent, child = failed_child()
    parent.send(Retry(resume_children=True))
    world.settle()
    assert child.status == "RUNNING"
    assert parent.task("s").status is TaskStatus.IN_PROGRESS
    assert parent.task("s").sub_workflow_id == child.id
    finish(world, parent, child)


def test_s_125_s_127_a_child_that_is_retried_revives_its_parent() -> None:
    world, parent, child = failed_child()
    child.send(Retry())
    world.settle()
    header = parent.header
    assert header is not None
    assert (header.status, header.reason) == ("RUNNING", None)
    assert (header.failed_task_id, header.failed_refs) == (None, ())
    assert header.last_retried_ms == parent.now_ms
    assert parent.task("s").status is TaskStatus.IN_PROGRESS
    assert parent.task("b").status is TaskStatus.SCHEDULED
    finish(world, parent, child)


def test_ancestors_are_revived_one_after_the_other() -> None:
    world = World(
        flow(sub("s", "middle"), name="top"),
        flow(sub("m", "leaf"), name="middle"),
        flow(simple("a"), name="leaf"),
        task_defs=ONCE,
    )
    top = world.start("top")
    middle = world.machines[top.task("s").sub_workflow_id or ""]
    leaf = world.machines[middle.task("m").sub_workflow_id or ""]
    leaf.work("a", "FAILED")
    world.settle()
    assert {each.status for each in (top, middle, leaf)} == {"FAILED"}
    for each in (top, middle, leaf):
        each.now_ms += 10
    leaf.send(Retry())
    world.settle()
    assert {each.status for each in (top, middle, leaf)} == {"RUNNING"}
    leaf.work("a")
    world.settle()
    assert {each.status for each in (top, middle, leaf)} == {"COMPLETED"}


def test_a_child_that_has_nothing_to_retry_reports_again() -> None:
    world, parent, child = failed_child()
    child.send(Retry())
    # The parent had not heard of it: the child ends before it is asked.
    world_effects = list(child.effects)
    child.effects.clear()
    child.work("a")
    child.work("c")
    child.effects.clear()
    assert child.status == "COMPLETED"
    assert world_effects
    parent.send(Retry(resume_children=True))
    world.settle()
    assert parent.task("s").status is TaskStatus.COMPLETED
    parent.work("b")
    assert parent.status == "COMPLETED"


def test_a_program_that_fails_again_at_once_has_no_successor_yet() -> None:
    script = op("LAMBDA", "s", input_parameters={"scriptExpression": "x"},
                task_definition=task_def("s", retry_count=5, retry_delay_seconds=5))  # fmt: skip
    machine = Machine(flow(script, simple("b")))
    machine.evaluated["javascript", body("x")] = Evaluated(error="no")
    machine.start()
    machine.send(Terminate())
    machine.send(Retry())
    assert machine.list() == ["s FAILED", "s CANCELED", "s FAILED", "s SCHEDULED"]


def test_each_failure_starts_the_failure_workflow() -> None:
    machine = machine_of(simple("a"), failure_workflow="cleaner")
    for _ in range(2):
        machine.work("a", "FAILED")
        machine.now_ms += 1
        machine.send(Retry())
    started = [each.workflow_id for each in machine.effects if isinstance(each, StartChild)]
    assert len(started) == len(set(started)) == 2

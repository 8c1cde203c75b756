"""Pause, restart, retry, rerun, terminate, failure workflows: what section 1 says beside."""

from __future__ import annotations

import pytest

from podium.engine.command import (
    CloseChild,
    Pause,
    Rejected,
    Rerun,
    Restart,
    Retry,
    Terminate,
    Verdict,
)
from podium.engine.transition import ReportToParent, StartChild, TerminateChild
from podium.model.payload import Payload
from tests.engine.machine import T0, Machine
from tests.engine.shapes import flow, fork, join, op, simple, sub, task_def
from tests.engine.world import World

ONCE = {name: task_def(name) for name in ("a", "b", "c")}


def family(*, optional: bool = False) -> tuple[World, Machine, Machine]:
    """A parent with a child, and a task beside it; both run."""
    world = World(
        flow(
            fork("f", [sub("s", "child", optional=optional)], [simple("b")]),
            join("j", "s", "b"),
            name="root",
        ),
        flow(simple("a"), name="child"),
        task_defs=ONCE,
    )
    parent = world.start("root")
    return world, parent, world.machines[parent.task("s").sub_workflow_id or ""]


def later(world: World, by_ms: int = 10) -> None:
    world.now_ms += by_ms
    for machine in world.machines.values():
        machine.now_ms = world.now_ms


def test_s_077_a_pause_does_not_reach_children() -> None:
    world, parent, child = family()
    parent.send(Pause())
    world.settle()
    assert (parent.status, child.status) == ("PAUSED", "RUNNING")
    child.work("a")
    assert child.status == "COMPLETED"


def test_s_088_a_child_of_the_former_run_goes_on_and_its_report_is_dropped() -> None:
    world = World(
        flow(fork("f", [sub("s", "child")], [simple("b")]), join("j", "s", "b"), name="root"),
        flow(simple("a"), name="child"),
        task_defs=ONCE,
    )
    parent = world.start("root")
    child_id = parent.task("s").sub_workflow_id or ""
    former = parent.task("s").id
    parent.work("b", "FAILED")
    parent.effects.clear()  # the child does not hear of the end
    later(world)
    parent.send(Restart())
    world.settle()
    assert world.machines[child_id].status == "RUNNING"
    report = CloseChild(task_id=former, run_epoch=0, child_id=child_id, status="COMPLETED")
    assert parent.send(report).verdict is Verdict.NOOP
    assert parent.task("s").sub_workflow_id != child_id
    assert parent.status == "RUNNING"


def test_s_101_a_retried_task_keeps_its_domain() -> None:
    machine = Machine(flow(simple("a")), task_defs=ONCE).start(task_to_domain={"a": "d"})
    machine.work("a", "FAILED")
    machine.now_ms += 1
    machine.send(Retry())
    assert machine.task("a").domain == "d"
    retried = Machine(flow(simple("a")), task_defs={"a": task_def("a", retry_count=1)})
    retried.start(task_to_domain={"a": "d"})
    retried.work("a", "FAILED")
    assert retried.task("a").domain == "d"


def test_s_102_s_243_what_failed_once_stays_named() -> None:
    machine = Machine(flow(simple("a"), simple("b")), task_defs=ONCE).start()
    machine.work("a", "FAILED")
    assert machine.header is not None
    first = machine.header.failed_task_id
    machine.now_ms += 1
    machine.send(Retry())
    assert (machine.header.failed_refs, machine.header.failed_task_id) == (("a",), first)
    machine.work("a")
    machine.work("b", "FAILED")
    assert machine.header.failed_refs == ("a", "b")
    assert machine.header.failed_task_id == first
    machine.send(Restart())
    assert (machine.header.failed_refs, machine.header.failed_task_id) == ((), None)


def test_s_108_to_s_110_a_whole_rerun_begins_from_nothing() -> None:
    definition = flow(
        op("SET_VARIABLE", "v", input_parameters={"n": 1}), simple("a"), variables={"n": 0},
        timeout_seconds=60, timeout_policy="TIME_OUT_WF",
    )  # fmt: skip
    machine = Machine(definition, task_defs=ONCE).start({"x": 1}, correlation_id="c")
    machine.work("a", "FAILED", output={"old": 1})
    machine.now_ms += 100_000
    machine.send(Rerun(input=Payload.of({"x": 2}), correlation_id="d"))
    header = machine.header
    assert header is not None
    assert machine.list() == ["v COMPLETED", "a SCHEDULED"]
    assert (header.reason, header.failed_task_id, header.failed_refs) == (None, None, ())
    assert (machine.input.value, header.correlation_id) == ({"x": 2}, "d")
    assert (machine.output.value, machine.variables.value) == ({"old": 1}, {"n": 1})
    assert header.created_ms == T0
    assert machine.deadlines["", "workflow"] == machine.now_ms + 60_000


def test_s_112_s_114_a_rerun_from_a_task_runs_at_once() -> None:
    wait = op("WAIT", "w", input_parameters={"duration": "5s"})
    machine = Machine(flow(simple("a"), op("NOOP", "n"), wait, simple("b")), task_defs=ONCE)
    machine.start()
    machine.work("a")
    machine.due("w", "wait")
    machine.work("b", "FAILED", reason="no")
    machine.now_ms += 1
    machine.send(Rerun(task_ids=(machine.task("n").id,)))
    assert machine.list() == ["a COMPLETED", "n COMPLETED", "w IN_PROGRESS"]
    header = machine.header
    assert header is not None
    assert (header.status.value, header.reason, header.failed_refs) == ("RUNNING", None, ())
    machine.due("w", "wait")
    machine.work("b")
    machine.send(Rerun(task_ids=(machine.task("b").id,)))
    assert machine.task("b").id in machine.ready


def test_s_119_input_and_correlation_id_are_the_top_workflows() -> None:
    world, parent, child = family()
    child.work("a")
    world.settle()
    parent.work("b")
    later(world)
    ids = (parent.task("s").id, child.task("a").id)
    parent.send(Rerun(task_ids=ids, input=Payload.of({"x": 2}), correlation_id="new"))
    world.settle()
    assert (parent.input.value, child.input.value) == ({"x": 2}, {})
    assert parent.header is not None
    assert child.header is not None
    assert (parent.header.correlation_id, child.header.correlation_id) == ("new", "")


def test_s_125_an_optional_parent_task_is_not_revived() -> None:
    world, parent, child = family(optional=True)
    child.work("a", "FAILED")
    world.settle()
    parent.work("b")
    assert parent.status == "COMPLETED"
    before = parent.list()
    later(world)
    child.send(Retry())
    world.settle()
    assert (parent.status, parent.list(), child.status) == ("COMPLETED", before, "RUNNING")


def test_s_130_what_failed_beside_the_child_is_tried_again_too() -> None:
    world = World(
        flow(
            fork("f", [sub("s", "child", permissive=True)], [simple("b", permissive=True)]),
            join("j", "s", "b"), name="root",
        ),
        flow(simple("a"), name="child"),
        task_defs=ONCE,
    )  # fmt: skip
    parent = world.start("root")
    child = world.machines[parent.task("s").sub_workflow_id or ""]
    child.work("a", "FAILED")
    world.settle()
    parent.work("b", "FAILED")
    assert parent.status == "FAILED"
    later(world)
    child.send(Retry())
    world.settle()
    assert parent.status == "RUNNING"
    assert parent.list() == [
        "f COMPLETED", "s IN_PROGRESS", "b FAILED", "j IN_PROGRESS", "b SCHEDULED",
    ]  # fmt: skip


def test_s_135_s_136_the_end_and_what_it_cancels_are_one_commit() -> None:
    world, parent, child = family()
    parent.report("b", "IN_PROGRESS", reason="half")
    later(world)
    commits = len(parent.transitions)
    parent.send(Terminate(reason="stop"))
    change = parent.transitions[-1]
    assert len(parent.transitions) == commits + 1
    assert {(t.ref, t.status.value) for t in change.tasks.values()} == {
        ("s", "CANCELED"), ("b", "CANCELED"), ("j", "CANCELED"),
    }  # fmt: skip
    assert {task.end_ms for task in change.tasks.values()} == {parent.now_ms}
    assert parent.task("b").reason == "half"
    assert [type(effect) for effect in change.effects] == [TerminateChild]
    world.settle()
    assert child.status == "TERMINATED"


def test_s_140_a_child_that_is_not_there_yet_is_never_started() -> None:
    world = World(flow(sub("s", "child"), name="root"), flow(simple("a"), name="child"))
    parent = world.machine(world.definitions["root"], "root").start()
    starts = list(parent.effects)
    parent.send(Terminate())
    told = [each for each in parent.effects if isinstance(each, TerminateChild)]
    assert [each.workflow_id for each in told] == [parent.task("s").sub_workflow_id]
    parent.effects.clear()
    parent.effects.extend([*told, *starts])  # the end overtakes the start
    world.settle()
    assert list(world.machines) == ["root"]


def test_s_141_who_starts_no_failure_workflow() -> None:
    world = World(
        flow(sub("s", "child"), name="root", failure_workflow="fw"),
        flow(simple("a"), name="child", failure_workflow="fw"),
        flow(simple("x"), name="fw"),
    )
    world.start("root").send(Terminate())
    world.settle()
    assert len(world.machines) == 2
    child = world.machines[world.machines["root"].task("s").sub_workflow_id or ""]
    assert not any(isinstance(each, ReportToParent) for each in child.done_effects)


def test_s_145_s_147_a_failure_workflow_that_fails_starts_no_other() -> None:
    world = World(
        flow(simple("a"), name="w", failure_workflow="fw"),
        flow(simple("a"), name="fw"),
        task_defs=ONCE,
    )
    machine = world.start("w", correlation_id="c", priority=7, task_to_domain={"a": "d"})
    machine.work("a", "FAILED")
    world.settle()
    cleaner = next(each for each in world.machines.values() if each is not machine)
    header = cleaner.header
    assert header is not None
    assert (header.correlation_id, header.task_to_domain) == ("c", {"a": "d"})
    assert (header.priority, header.parent) == (0, None)
    cleaner.work("a", "FAILED")
    world.settle()
    assert len(world.machines) == 2
    assert not any(isinstance(each, StartChild) for each in cleaner.done_effects)


def test_s_082_s_808_what_failed_can_be_restarted_although_it_is_not_restartable() -> None:
    machine = Machine(flow(simple("a"), restartable=False), task_defs=ONCE).start()
    machine.work("a", "FAILED")
    machine.now_ms += 1
    machine.send(Restart())
    assert machine.list() == ["a SCHEDULED"]
    machine.work("a")
    machine.now_ms += 1
    with pytest.raises(Rejected, match="non-restartable") as found:
        machine.send(Restart())
    assert found.value.code == "NOT_FOUND"


def test_s_097_what_only_waits_is_used_again_in_place() -> None:
    world, parent, child = family()
    before = parent.task("j").id
    child.work("a", "FAILED")
    world.settle()
    later(world)
    parent.send(Retry())
    join_task = parent.task("j")
    assert (join_task.id, join_task.retry_count) == (before, 1)
    assert join_task.status.value == "IN_PROGRESS"
    assert parent.task("s").sub_workflow_id != child.id

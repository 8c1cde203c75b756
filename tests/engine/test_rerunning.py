"""Rerun from a task on: what goes, what runs again on which input, also in parents, children."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from podium.engine.command import (
    CloseChild,
    Rejected,
    Rerun,
    Restart,
    SkipTask,
    Terminate,
    Verdict,
)
from podium.engine.identity import split_task_id
from podium.engine.transition import StartChild
from podium.model.execution import TaskStatus
from podium.model.payload import Payload
from tests.engine.looping import LESS, Looping, loop
from tests.engine.once import ONCE, machine_of, rerun
from tests.engine.shapes import flow, fork, join, simple, sub, switch, terminate
from tests.engine.world import World

if TYPE_CHECKING:
    from tests.engine.machine import Machine


def test_s_113_a_task_runs_again_with_the_input_it_had_and_what_follows_is_gone() -> None:
    given = {"x": "${a.output.y}"}
    machine = machine_of(simple("a"), simple("b", input_parameters=given), simple("c"))
    machine.work("a", output={"y": 1})
    machine.work("b")
    machine.work("c")
    assert machine.status == "COMPLETED"
    former = machine.task("b")
    rerun(machine, "b")
    assert machine.list() == ["a COMPLETED", "b SCHEDULED"]
    assert machine.task("b").input.value == {"x": 1}
    assert split_task_id(machine.task("b").id) != split_task_id(former.id)
    machine.work("b")
    machine.work("c")
    assert machine.status == "COMPLETED"
    rerun(machine, "b", task_input=Payload.of({"z": 9}), input=Payload.of({"x": 3}))
    assert machine.task("b").input.value == {"z": 9}
    assert machine.input.value == {"x": 3}


def test_the_first_task_can_be_the_one() -> None:
    machine = machine_of(simple("a"), simple("b"))
    machine.work("a")
    machine.work("b", "FAILED")
    rerun(machine, "a")
    assert machine.list() == ["a SCHEDULED"]
    assert machine.header is not None
    assert machine.header.open_count == 1


def two_branches() -> Machine:
    branches = [simple("a"), simple("d")], [simple("b"), simple("e")]
    machine = machine_of(fork("f", *branches), join("j", "d", "e"), simple("c"))
    for ref in ("a", "b", "d", "e"):
        machine.work(ref, output={"of": ref})
    return machine


def test_of_a_fork_only_the_branch_and_what_follows_the_join_runs_again() -> None:
    machine = two_branches()
    machine.work("c", "FAILED")
    rerun(machine, "a")
    assert machine.list() == [
        "f COMPLETED", "b COMPLETED", "e COMPLETED", "a SCHEDULED", "j IN_PROGRESS",
    ]  # fmt: skip
    machine.work("a")
    machine.work("d", output={"again": 1})
    assert machine.join_output("j") == {"d": {"again": 1}, "e": {"of": "e"}}
    machine.work("c")
    assert machine.status == "COMPLETED"


def test_s_118_what_failed_elsewhere_is_tried_again_too() -> None:
    branches = [simple("a"), simple("d")], [simple("b")]
    machine = machine_of(fork("f", *branches), join("j", "d", "b"))
    machine.work("a")
    machine.work("b", "FAILED")
    assert machine.task("d").status is TaskStatus.CANCELED
    rerun(machine, "a")
    assert machine.list()[:2] == ["f COMPLETED", "b FAILED"]
    assert sorted(machine.list()[2:]) == ["a SCHEDULED", "b SCHEDULED", "j IN_PROGRESS"]
    for ref in ("a", "d", "b"):
        machine.work(ref)
    assert machine.status == "COMPLETED"


def test_a_join_waits_again_and_gathers_again() -> None:
    machine = two_branches()
    machine.work("c", "FAILED")
    rerun(machine, "j")
    assert machine.list()[-1] == "c SCHEDULED"
    assert machine.task("j").status is TaskStatus.COMPLETED
    machine.send(Terminate())
    with pytest.raises(Rejected, match="expected no task_input for wf"):
        rerun(machine, "f", task_input=Payload.of({}))


def test_a_choice_chooses_again() -> None:
    choice = switch("s", "${workflow.input.x}", {"1": [simple("a")], "2": [simple("b")]})
    machine = machine_of(choice, simple("c"))
    machine.work("a")
    machine.work("c", "FAILED")
    rerun(machine, "s", input=Payload.of({"x": 2}))
    assert machine.list() == ["s COMPLETED", "b SCHEDULED"]


def test_a_loop_goes_back_to_the_iteration_of_the_task() -> None:
    reads = {"last": "${b.output.n}"}
    body = simple("a", input_parameters=reads), simple("b")
    machine = Looping(flow(loop(*body, n=3), simple("c"))).start()
    for number in (1, 2, 3):
        machine.work(f"a__{number}")
        machine.work(f"b__{number}", output={"n": number})
    machine.work("c")
    assert machine.status == "COMPLETED"
    rerun(machine, "b__2")
    assert machine.list() == [
        "l IN_PROGRESS", "a__1 COMPLETED", "b__1 COMPLETED", "a__2 COMPLETED", "b__2 SCHEDULED",
    ]  # fmt: skip
    assert machine.task("l").output.value == {"iteration": 2}
    machine.work("b__2", output={"n": 20})
    assert machine.task("a__3").input.value == {"last": 20}
    machine.work("a__3")
    machine.work("b__3")
    machine.work("c")
    assert machine.status == "COMPLETED"


def test_a_loop_that_is_the_one_begins_from_its_first_iteration() -> None:
    inner = loop(simple("a"), ref="m", condition="$.m < 2", n=2)
    conditions: Any = {
        "$.m < 2": lambda v: v["m"]["iteration"] < 2,
        LESS: lambda v: v["l"]["iteration"] < v["n"],
    }
    outer = flow(loop(inner, simple("b"), n=2))
    machine = Looping(outer, conditions=conditions).start()
    for path in ("1__1", "1__2"):
        machine.work(f"a__{path}")
    machine.work("b__1")
    machine.work("a__2__1", "FAILED")
    rerun(machine, "m__1")
    assert machine.list() == ["l IN_PROGRESS", "m__1 IN_PROGRESS", "a__1__1 SCHEDULED"]
    assert machine.task("l").output.value == {"iteration": 1}
    for path in ("1__1", "1__2"):
        machine.work(f"a__{path}")
    machine.work("b__1")
    assert machine.list()[-1] == "a__2__1 SCHEDULED"


def test_a_terminate_task_is_overcome() -> None:
    machine = machine_of(simple("a"), terminate("t", "FAILED"))
    machine.work("a")
    assert machine.status == "FAILED"
    rerun(machine, "a")
    assert (machine.list(), machine.status) == (["a SCHEDULED"], "RUNNING")


def test_a_terminate_task_beside_the_one_is_refused() -> None:
    branches = [simple("a"), terminate("t", "COMPLETED"), simple("d")], [simple("b")]
    machine = machine_of(fork("f", *branches), join("j", "d", "b"))
    machine.work("a")
    with pytest.raises(Rejected, match="which ended the workflow, found wf") as found:
        rerun(machine, "b")
    assert found.value.code == "FAILED_PRECONDITION"
    assert machine.status == "COMPLETED"
    rerun(machine, "f")
    assert machine.status == "RUNNING"


def test_a_skipped_task_stays_skipped() -> None:
    machine = machine_of(simple("a"), simple("b"), simple("c"))
    machine.send(SkipTask(ref="b"))
    machine.work("a")
    machine.work("c", "FAILED")
    rerun(machine, "a")
    assert machine.list() == ["b SKIPPED", "a SCHEDULED"]
    machine.work("a")
    machine.work("c")
    assert machine.status == "COMPLETED"
    with pytest.raises(Rejected, match="expected a task that was scheduled"):
        rerun(machine, "b")


@pytest.mark.parametrize("task_id", ["", "x", "other.key.0", "wf.key.0"])
def test_s_111_a_task_that_is_not_there(task_id: str) -> None:
    machine = machine_of(simple("a"))
    machine.work("a", "FAILED")
    before = machine.header
    with pytest.raises(Rejected, match=r"Task .* ?not found") as found:
        machine.send(Rerun(task_ids=(task_id,)))
    assert found.value.code == "INVALID_ARGUMENT"
    assert machine.header is before


# Children and parents


def family() -> tuple[World, Machine, Machine]:
    world = World(
        flow(sub("s", "child"), simple("b"), name="root"),
        flow(simple("a"), simple("c"), name="child"),
        task_defs=ONCE,
    )
    parent = world.start("root")
    child = world.machines[parent.task("s").sub_workflow_id or ""]
    child.work("a")
    child.work("c")
    world.settle()
    parent.work("b")
    assert (parent.status, child.status) == ("COMPLETED", "COMPLETED")
    parent.now_ms = child.now_ms = world.now_ms = world.now_ms + 10
    return world, parent, child


def test_s_117_a_task_of_a_child_runs_again_and_so_does_what_follows_in_the_parent() -> None:
    world, parent, child = family()
    ids = (parent.task("s").id, child.task("c").id)
    parent.send(Rerun(task_ids=ids, task_input=Payload.of({"k": 1})))
    world.settle()
    assert parent.list() == ["s IN_PROGRESS"]
    assert child.list() == ["a COMPLETED", "c SCHEDULED"]
    assert child.task("c").input.value == {"k": 1}
    child.work("c")
    world.settle()
    parent.work("b")
    assert (parent.status, child.status) == ("COMPLETED", "COMPLETED")


def test_a_child_that_cannot_run_again_reports_again() -> None:
    world, parent, child = family()
    parent.send(Rerun(task_ids=(parent.task("s").id, f"{child.id}.none.0")))
    world.settle()
    assert parent.list() == ["s COMPLETED", "b SCHEDULED"]
    child.send(Rerun())
    assert child.send(Rerun(by_parent=True)).verdict is Verdict.NOOP


def test_a_sub_workflow_that_runs_again_gets_another_child() -> None:
    world, parent, child = family()
    report = CloseChild(
        task_id=parent.task("s").id, run_epoch=0, child_id=child.id, status="COMPLETED"
    )
    parent.send(Rerun(task_ids=(parent.task("s").id,)))
    world.settle()
    again = [each for each in world.machines.values() if each not in (parent, child)]
    assert [each.list() for each in again] == [["a SCHEDULED"]]
    assert sum(isinstance(effect, StartChild) for effect in parent.done_effects) == 2
    assert parent.send(report).verdict is Verdict.NOOP


@pytest.mark.parametrize("command", [Restart(), Rerun()], ids=["restart", "rerun"])
def test_s_087_a_child_that_runs_again_revives_the_parent_that_failed_with_it(
    command: Restart | Rerun,
) -> None:
    world = World(
        flow(sub("s", "child"), simple("b"), name="root"),
        flow(simple("a"), name="child"),
        task_defs=ONCE,
    )
    parent = world.start("root")
    child = world.machines[parent.task("s").sub_workflow_id or ""]
    child.work("a", "FAILED")
    world.settle()
    assert parent.status == "FAILED"
    parent.now_ms = child.now_ms = world.now_ms = world.now_ms + 10
    child.send(command)
    world.settle()
    assert (parent.status, parent.list()) == ("RUNNING", ["s IN_PROGRESS"])
    child.work("a")
    world.settle()
    parent.work("b")
    assert parent.status == "COMPLETED"

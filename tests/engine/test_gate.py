"""The gate of workflows that limit how many of them run (S-047): waiting, passing, ending there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from podium.engine.command import (
    Continue,
    GrantLease,
    Pause,
    Rejected,
    Rerun,
    Restart,
    Resume,
    Retry,
    ReturnLease,
    SkipTask,
    Terminate,
    UpdateVariables,
    Verdict,
)
from podium.engine.gate import gate_id
from podium.engine.graph import compile_workflow
from podium.engine.transition import ContinueSelf, ReleaseSlot
from podium.model.execution import GateState
from podium.model.payload import Payload
from podium.model.queue import Limits, Ready, gate_queue, ready_score
from tests.engine.machine import STREAM, T0, Machine
from tests.engine.shapes import flow, fork, join, op, simple, sub, task_def
from tests.engine.world import World

if TYPE_CHECKING:
    from podium.model.execution import GateRecord

ONCE = {name: task_def(name) for name in ("a", "b", "c")}
TWO = {"concurrentExecLimit": 2}


def limited(*tasks: Any, config: Any = TWO, **fields: Any) -> Machine:
    return Machine(flow(*tasks, rate_limit_config=config, **fields), task_defs=ONCE)


def gate_of(machine: Machine) -> GateRecord:
    assert machine.header is not None
    assert machine.header.gate is not None
    return machine.header.gate


def released(machine: Machine) -> list[str]:
    effects = [*machine.done_effects, *machine.effects]
    return [each.task_id for each in effects if isinstance(each, ReleaseSlot)]


def test_s_047_it_begins_when_it_is_granted_a_slot_and_frees_it_at_its_end() -> None:
    machine = limited(simple("a"), timeout_seconds=9).start(priority=7)
    assert (machine.status, machine.list(), machine.slots) == ("RUNNING", [], set())
    ready = Ready("wf.gate.0", gate_queue("w", "w"), ready_score(7, T0), Limits(2))
    assert machine.ready == {"wf.gate.0": ready}
    assert machine.transitions[0].ready == (ready,)
    assert machine.deadlines == {("", "workflow"): T0 + 9_000}
    outcome = machine.grant_gate()
    assert outcome.task is not None
    assert (outcome.task.id, outcome.task.limits) == ("wf.gate.0", Limits(2))
    assert (machine.list(), machine.ready, machine.slots) == ([], {}, {"wf.gate.0"})
    machine.run_effects()
    assert machine.list() == ["a SCHEDULED"]
    assert machine.header is not None
    assert (machine.header.task_count, machine.header.open_count) == (1, 1)
    machine.work("a", output={"y": 1})
    assert (machine.status, machine.output.value) == ("COMPLETED", {"y": 1})
    assert (machine.slots, released(machine)) == (set(), ["wf.gate.0"])


@pytest.mark.parametrize(
    "config", [None, {}, {"concurrentExecLimit": 0}, {"rateLimitKey": "k"}, "no", {"x": 2}]
)
def test_without_a_limit_there_is_no_gate(config: Any) -> None:
    machine = limited(simple("a"), config=config).start()
    assert machine.header is not None
    assert (machine.header.gate, machine.list()) == (None, ["a SCHEDULED"])


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, "w"),
        ("", "w"),
        ("  ", "w"),
        (7, "w"),
        ("fixed", "fixed"),
        ("${workflow.input.x}", "acme"),
        ("${workflow.input.nope}", "w"),
        ("${workflow.input.number}", "5"),
        ("to ${workflow.correlationId}/${workflow.input.x}", "to order-1/acme"),
        ("${workflow.input.template}", "given"),
    ],
)
def test_the_key_is_evaluated_at_the_start(key: Any, expected: str) -> None:
    config = TWO if key is None else {**TWO, "rateLimitKey": key}
    machine = limited(simple("a"), config=config, input_template={"template": "given"})
    machine.start({"x": "acme", "number": 5}, correlation_id="order-1")
    assert gate_of(machine).queue == gate_queue("w", expected)


def test_of_a_long_key_its_hash_is_kept() -> None:
    found: set[str] = set()
    for last in "xy":
        machine = limited(simple("a"), config={**TWO, "rateLimitKey": "${workflow.input.x}"})
        machine.start({"x": "é" * 255 + last})
        found.add(gate_of(machine).queue.task_type.removeprefix(gate_queue("w", "").task_type))
    assert len(found) == 2
    assert {len(each) for each in found} == {64}


def test_a_workflow_that_ends_as_it_begins_frees_its_slot_too() -> None:
    machine = limited(op("SET_VARIABLE", "v", input_parameters={"n": 1})).start()
    machine.pass_gate()
    assert (machine.status, machine.list()) == ("COMPLETED", ["v COMPLETED"])
    assert released(machine) == ["wf.gate.0"]


def test_granted_and_ended_in_one_commit_it_frees_what_the_dispatcher_holds() -> None:
    machine = limited(simple("a")).start()
    grant = GrantLease(task_id=gate_id("wf", gate_of(machine)), lease=STREAM, worker_id="gate")
    machine.send(grant, Terminate(reason="enough"))
    assert (machine.status, machine.slots, machine.ready) == ("TERMINATED", set(), {})
    assert released(machine) == ["wf.gate.0"]
    machine.run_effects()
    assert machine.list() == []


def test_a_grant_counts_once_and_its_lease_cannot_be_given_back() -> None:
    machine = limited(simple("a")).start()
    machine.pass_gate()
    assert machine.grant_gate().verdict is Verdict.STALE
    with pytest.raises(Rejected, match="No such task found"):
        machine.send(ReturnLease(task_id="wf.gate.0", lease_epoch=1))
    assert machine.slots == {"wf.gate.0"}
    machine.work("a")
    assert machine.grant_gate().verdict is Verdict.CLOSED
    with pytest.raises(Rejected, match="No such task found"):
        machine.send(GrantLease(task_id="wf.gate.1", lease=STREAM, worker_id="gate"))


def test_nothing_completes_it_while_it_waits() -> None:
    machine = limited(simple("a"), simple("b"), variables={"n": 0}).start()
    machine.send(UpdateVariables(variables=Payload.of({"n": 1})))
    machine.send(SkipTask(ref="a"))
    assert (machine.status, machine.list()) == ("RUNNING", ["a SKIPPED"])
    with pytest.raises(Rejected, match="still running"):
        machine.send(Retry())
    with pytest.raises(Rejected, match="unable to restart"):
        machine.send(Restart())
    machine.pass_gate()
    assert machine.list() == ["a SKIPPED", "b SCHEDULED"]
    assert machine.variables.value == {"n": 1}
    machine.work("b")
    assert machine.status == "COMPLETED"


def test_a_terminated_one_leaves_the_queue_and_begins_when_it_is_retried() -> None:
    machine = limited(simple("a")).start({"x": 1})
    machine.send(Terminate(reason="enough"))
    assert (machine.status, machine.ready) == ("TERMINATED", {})
    assert gate_of(machine).state is GateState.ENDED
    assert released(machine) == ["wf.gate.0"]
    machine.now_ms += 10
    machine.send(Retry())
    machine.run_effects()
    assert (machine.status, machine.list(), list(machine.ready)) == ("RUNNING", [], ["wf.gate.1"])
    machine.pass_gate()
    assert machine.list() == ["a SCHEDULED"]
    machine.work("a")
    assert (machine.status, machine.slots) == ("COMPLETED", set())


def test_one_that_times_out_leaves_the_queue_and_begins_when_it_is_retried() -> None:
    machine = limited(simple("a"), timeout_seconds=9, timeout_policy="TIME_OUT_WF").start()
    machine.due("", "workflow")
    assert (machine.status, machine.ready) == ("TIMED_OUT", {})
    machine.send(Retry())
    machine.pass_gate()
    machine.work("a")
    assert machine.status == "COMPLETED"


def test_terminated_and_retried_in_one_commit_it_waits_at_another_gate() -> None:
    machine = limited(simple("a")).start()
    machine.grant_gate()
    machine.send(Terminate(reason="enough"), Retry())
    assert (list(machine.ready), machine.slots) == (["wf.gate.1"], set())
    assert released(machine) == ["wf.gate.0"]
    machine.run_effects()
    assert machine.list() == []
    machine.pass_gate()
    assert machine.list() == ["a SCHEDULED"]


@pytest.mark.parametrize("when", ["before the grant", "before it goes on", "before both"])
def test_paused_it_takes_its_slot_and_begins_when_it_is_resumed(when: str) -> None:
    machine = limited(simple("a")).start()
    if when == "before it goes on":
        machine.grant_gate()
        machine.send(Pause())
    else:
        machine.send(Pause())
        machine.grant_gate()
    if when == "before the grant":
        machine.run_effects()
    assert (machine.status, machine.list(), machine.slots) == ("PAUSED", [], {"wf.gate.0"})
    machine.send(Resume())
    machine.run_effects()
    assert (machine.status, machine.list()) == ("RUNNING", ["a SCHEDULED"])
    machine.work("a")
    assert machine.status == "COMPLETED"


def test_paused_and_resumed_it_goes_on_to_wait() -> None:
    machine = limited(simple("a")).start()
    machine.send(Pause())
    machine.send(Resume())
    machine.run_effects()
    assert (machine.status, machine.list(), list(machine.ready)) == ("RUNNING", [], ["wf.gate.0"])


def failed(**fields: Any) -> Machine:
    machine = limited(simple("a"), simple("b"), simple("c"), **fields).start({"x": 1})
    machine.pass_gate()
    machine.work("a")
    machine.work("b", "FAILED")
    assert (machine.status, machine.slots) == ("FAILED", set())
    machine.now_ms += 10
    return machine


def test_a_retried_one_waits_again() -> None:
    machine = failed()
    machine.send(Retry())
    assert (machine.status, machine.list()) == ("RUNNING", ["a COMPLETED", "b FAILED"])
    assert list(machine.ready) == ["wf.gate.1"]
    machine.pass_gate()
    assert machine.list() == ["a COMPLETED", "b FAILED", "b SCHEDULED"]
    machine.work("b")
    machine.work("c")
    assert (machine.status, machine.slots) == ("COMPLETED", set())
    assert released(machine) == ["wf.gate.0", "wf.gate.1"]


def test_a_restarted_one_waits_again_with_nothing_of_the_former_run() -> None:
    machine = failed()
    config = {**TWO, "rateLimitKey": "k"}
    other = compile_workflow(flow(simple("b"), name="v", rate_limit_config=config))
    machine.send(Restart(graph=other, name="v", version=2, digest="e"))
    assert (machine.status, machine.list()) == ("RUNNING", [])
    assert gate_of(machine).queue == gate_queue("v", "k")
    machine.pass_gate()
    assert machine.list() == ["b SCHEDULED"]
    machine.work("b")
    assert (machine.status, machine.slots) == ("COMPLETED", set())


def test_a_restart_takes_the_limit_of_the_definition_it_takes() -> None:
    machine = Machine(flow(simple("a")), task_defs=ONCE).start()
    machine.work("a")
    other = compile_workflow(flow(simple("b"), rate_limit_config=TWO))
    machine.send(Restart(graph=other, name="w", version=2, digest="e"))
    assert list(machine.ready) == ["wf.gate.0"]
    machine.pass_gate()
    machine.send(Terminate(reason="enough"))
    plain = compile_workflow(flow(simple("c")))
    machine.send(Restart(graph=plain, name="w", version=3, digest="f"))
    assert (machine.list(), gate_of(machine).state) == (["c SCHEDULED"], GateState.ENDED)
    machine.work("c")
    assert machine.status == "COMPLETED"


def test_a_rerun_from_a_task_waits_again_and_is_taken_up_when_it_ended_meanwhile() -> None:
    machine = failed()
    machine.send(Rerun(task_ids=(machine.task("a").id,), task_input=Payload.of({"i": 1})))
    assert (machine.status, machine.list()) == ("RUNNING", ["a COMPLETED"])
    machine.send(Terminate(reason="enough"))
    machine.now_ms += 10
    machine.send(Retry())
    assert list(machine.ready) == ["wf.gate.2"]
    machine.pass_gate()
    assert machine.list() == ["a SCHEDULED"]
    assert machine.task("a").input.value == {"i": 1}
    for ref in "abc":
        machine.work(ref)
    assert machine.status == "COMPLETED"


def test_a_large_one_is_restarted_in_portions_and_then_waits() -> None:
    refs = [f"t{number}" for number in range(600)]
    tasks = (fork("f", *([simple(ref, "a")] for ref in refs)), join("j", *refs), simple("b"))
    machine = limited(*tasks).start()
    machine.pass_gate()
    for ref in refs:
        machine.report(ref)
    machine.report("b", "FAILED")
    machine.now_ms += 10
    machine.send(Restart())
    assert not machine.ready
    assert len(machine.tasks) > 50
    machine.run_effects()
    assert (machine.list(), list(machine.ready)) == ([], ["wf.gate.1"])
    machine.pass_gate()
    assert len(machine.tasks) == 602


def revived() -> tuple[World, Machine, Machine]:
    """A parent that waits at its gate for the child that revived it."""
    root = flow(
        fork("f", [sub("s", "child")], [simple("b")]), join("j", "s", "b"), simple("c"),
        name="root", rate_limit_config=TWO,
    )  # fmt: skip
    world = World(root, flow(simple("a"), name="child"), task_defs=ONCE)
    parent = world.start("root")
    parent.grant_gate()
    world.settle()
    child = world.machines[parent.task("s").sub_workflow_id or ""]
    child.work("a", "FAILED")
    world.settle()
    assert (parent.status, child.status) == ("FAILED", "FAILED")
    parent.now_ms = child.now_ms = world.now_ms + 10
    child.send(Retry())
    world.settle()
    assert (parent.status, list(parent.ready)) == ("RUNNING", ["root.gate.1"])
    assert parent.task("s").status == "IN_PROGRESS"
    parent.now_ms = child.now_ms = world.now_ms + 20
    return world, parent, child


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED"])
def test_a_revived_one_waits_again_and_follows_then_what_its_child_reported(status: str) -> None:
    world, parent, child = revived()
    child.work("a", status)
    world.settle()
    assert (child.status, parent.status) == (status, "RUNNING")
    assert parent.task("s").unsettled
    parent.grant_gate()
    world.settle()
    assert not parent.task("s").unsettled
    if status == "FAILED":
        assert (parent.status, parent.slots) == ("FAILED", set())
        return
    assert (parent.task("b").status, parent.task("j").status) == ("SCHEDULED", "IN_PROGRESS")
    parent.work("b")
    parent.work("c")
    assert (parent.status, parent.slots) == ("COMPLETED", set())


def test_a_revived_one_passes_the_gate_before_its_child_reports() -> None:
    world, parent, child = revived()
    parent.grant_gate()
    world.settle()
    child.work("a")
    world.settle()
    parent.work("b")
    parent.work("c")
    assert parent.status == "COMPLETED"


def test_a_revived_one_that_is_terminated_at_the_gate_ends_its_child() -> None:
    world, parent, child = revived()
    parent.send(Terminate(reason="enough"))
    world.settle()
    assert (parent.status, child.status) == ("TERMINATED", "TERMINATED")
    assert (parent.ready, child.ready) == ({}, {})


def test_a_child_waits_at_its_own_gate() -> None:
    child_def = flow(simple("a"), name="child", rate_limit_config=TWO)
    world = World(flow(sub("s", "child"), name="root"), child_def, task_defs=ONCE)
    parent = world.start("root")
    child = world.machines[parent.task("s").sub_workflow_id or ""]
    assert (child.list(), parent.list()) == ([], ["s IN_PROGRESS"])
    parent.send(Terminate(reason="enough"))
    world.settle()
    assert (child.status, child.ready) == ("TERMINATED", {})


def test_a_continue_that_comes_again_does_nothing() -> None:
    machine = limited(simple("a")).start()
    machine.grant_gate()
    cursors = [each.cursor for each in machine.effects if isinstance(each, ContinueSelf)]
    machine.run_effects()
    for cursor in cursors:
        assert machine.send(Continue(cursor=cursor)).verdict is Verdict.NOOP
    assert machine.list() == ["a SCHEDULED"]

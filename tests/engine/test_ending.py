"""How executions begin and end from outside, failure workflows, outputs, and the pause guard."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from podium.engine.command import (
    Continue,
    FailFailureWorkflow,
    Rejected,
    ReportResult,
    Start,
    Terminate,
    Verdict,
)
from podium.engine.draft import Draft
from podium.engine.graph import compile_workflow
from podium.engine.transition import Records, ReportToParent, StartChild, TerminateChild
from podium.engine.work import Cursor, Step, write_cursor
from podium.model.execution import ParentLink, TaskStatus, WorkflowStatus
from podium.model.payload import EMPTY
from tests.engine.machine import T0, Machine
from tests.engine.shapes import flow, fork, join, op, simple, sub, switch, task_def, terminate
from tests.engine.world import World

PARENT = ParentLink(workflow_id="p", task_id="p.k.0", run_epoch=3, depth=2)


# Start


def test_a_start_makes_the_header() -> None:
    definition = flow(simple("a"), timeout_seconds=9, variables={"v": 1}, version=3)
    machine = Machine(definition).start(
        {"x": 1}, correlation_id="c", priority=4, task_to_domain={"*": "d"}, parent=PARENT,
        created_by="me", event="ev", inline_definition=True, idempotency_key="k",
    )  # fmt: skip
    header = machine.header
    assert header is not None
    assert (header.status.value, header.created_ms, header.updated_ms) == ("RUNNING", T0, T0)
    assert (header.deadline_ms, header.depth, header.version) == (T0 + 9000, 2, 3)
    assert (header.correlation_id, header.priority, header.created_by) == ("c", 4, "me")
    assert (header.event, header.inline_definition, header.idempotency_key) == ("ev", True, "k")
    assert machine.input.value == {"x": 1}
    assert machine.variables.value == {"v": 1}
    assert header.open_count == header.task_count == 1
    change = machine.transitions[0]
    assert change.created
    assert change.output == EMPTY
    assert change.history is not None
    assert (change.history.position, change.history.commands) == (1, ("Start",))


@pytest.mark.parametrize("given", [{}, {"a": 5}])
def test_the_input_template_fills_what_is_absent(given: dict[str, Any]) -> None:
    """Also for an empty input, unlike S-059."""
    machine = Machine(flow(simple("t"), input_template={"a": 1, "b": 2})).start(given)
    assert machine.input.value == {"a": 1, "b": 2, **given}


@pytest.mark.parametrize("priority", [-1, 100])
def test_s_061_priorities(priority: int) -> None:
    with pytest.raises(Rejected, match="expected a priority of 0 to 99"):
        Machine(flow(simple("a"))).start(priority=priority)


def test_a_second_start_is_refused() -> None:
    machine = Machine(flow(simple("a"))).start()
    with pytest.raises(Rejected) as caught:
        machine.send(machine.start_command())
    assert caught.value.code == "ALREADY_EXISTS"


def test_nothing_can_be_done_to_what_does_not_exist() -> None:
    machine = Machine(flow(simple("a")))
    with pytest.raises(Rejected, match="No such workflow found by id: wf"):
        machine.send(Terminate())


def test_a_draft_without_a_decision_is_no_transition() -> None:
    graph = compile_workflow(flow())
    draft = Draft(header=None, graph=graph, workflow_id="wf", records=Records(complete=True))
    assert draft.finish("nobody") is None
    assert draft.fresh_ready() == ()


# Terminate


@pytest.mark.parametrize("reason", [None, "enough"])
def test_s_131_s_132_a_terminate(reason: str | None) -> None:
    machine = Machine(
        flow(simple("a"), failure_workflow="fw", output_parameters={"s": "${workflow.status}"})
    ).start(parent=PARENT)
    machine.grant("a")
    assert machine.send(Terminate(reason=reason)).verdict is Verdict.OK
    header = machine.header
    assert header is not None
    assert (header.status.value, header.reason, header.ended_ms) == ("TERMINATED", reason, T0)
    assert machine.list() == ["a CANCELED"]
    assert machine.task("a").end_ms == T0
    assert [type(effect) for effect in machine.effects] == [ReportToParent]
    assert machine.effects[0].status == "TERMINATED"
    assert machine.send(Terminate(reason="again")).verdict is Verdict.NOOP


def test_s_131_what_has_ended() -> None:
    machine = Machine(flow(simple("a"))).start()
    machine.work("a")
    with pytest.raises(Rejected, match="Cannot terminate a COMPLETED workflow") as caught:
        machine.send(Terminate())
    assert caught.value.code == "FAILED_PRECONDITION"
    assert machine.send(Terminate(by_parent=True)).verdict is Verdict.NOOP
    machine = Machine(flow(simple("a"))).start()
    machine.work("a", "FAILED_WITH_TERMINAL_ERROR")
    assert machine.send(Terminate(by_parent=True)).verdict is Verdict.NOOP
    assert machine.send(Terminate(reason="late")).verdict is Verdict.OK
    assert machine.status == "TERMINATED"
    assert machine.header is not None
    assert machine.header.reason == "late"


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("user", "Parent workflow has been terminated with reason: user"),
        (None, "Parent workflow has been terminated with status TERMINATED"),
    ],
)
def test_s_138_children_are_told(reason: str | None, text: str) -> None:
    world = World(flow(sub("s", "c")), flow(sub("g", "d"), name="c"), flow(simple("x"), name="d"))
    machine = world.start("w")
    machine.send(Terminate(reason=reason))
    assert [type(effect) for effect in machine.effects] == [TerminateChild]
    world.settle()
    assert [each.status for each in world.machines.values()] == ["TERMINATED"] * 3
    child = world.machines[machine.task("s").sub_workflow_id or ""]
    assert child.header is not None
    assert child.header.reason == text
    assert not any(isinstance(effect, ReportToParent) for effect in child.done_effects)


# Failure workflows


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fw", "fw"),
        ("$workflow.input.fw", "given"),
        ("${workflow.input.fw}", "given"),
        ("${workflow.input.none}", None),
    ],
)
def test_s_142_s_143_the_failure_workflow(name: str, expected: str | None) -> None:
    definition = flow(simple("a"), failure_workflow=name, failure_workflow_version=2)
    machine = Machine(definition).start({"fw": "given"}, correlation_id="c")
    machine.work("a", "FAILED_WITH_TERMINAL_ERROR", output={"o": 1})
    starts = [effect for effect in machine.effects if isinstance(effect, StartChild)]
    assert [start.name for start in starts] == ([] if expected is None else [expected])
    if expected is not None:
        assert starts[0].version == 2
        assert machine.output.value == {
            "o": 1, "conductor.failure_workflow": starts[0].workflow_id,
        }  # fmt: skip


def test_s_146_a_failure_workflow_that_could_not_start() -> None:
    machine = Machine(flow(simple("a"), failure_workflow="fw")).start()
    command = FailFailureWorkflow(name="fw", reason="missing")
    assert machine.send(command).verdict is Verdict.NOOP
    machine.work("a", "FAILED_WITH_TERMINAL_ERROR", output={"o": 1})
    assert machine.send(command).verdict is Verdict.OK
    assert machine.output.value == {
        "o": 1,
        "conductor.failure_workflow": "Error workflow fw failed to start.  reason: missing",
    }


def test_a_timeout_and_a_permissive_failure_start_it_too() -> None:
    definition = flow(
        simple("a"), failure_workflow="fw", timeout_seconds=1, timeout_policy="TIME_OUT_WF"
    )
    machine = Machine(definition).start()
    machine.due("", "workflow")
    assert machine.effects[0].input.value["failureStatus"] == "TIMED_OUT"
    assert "failureTaskId" not in machine.effects[0].input.value


# Names and outputs


def test_s_133_s_235_names_of_failed_tasks_also_of_a_completed_workflow() -> None:
    definition = flow(simple("a", "kind"), simple("b", "kind"), simple("c", optional=True))
    kinds = {"kind": task_def("kind", retry_count=1), "c": task_def("c")}
    machine = Machine(definition, task_defs=kinds).start()
    for ref in ("a", "b"):
        machine.work(ref, "FAILED")
        machine.work(ref)
    machine.work("c", "FAILED")
    assert machine.status == "COMPLETED"
    assert machine.header is not None
    assert (machine.header.failed_refs, machine.header.failed_names) == (("a", "b"), ("kind",))


def test_what_a_header_keeps_of_many_failures_is_bounded() -> None:
    refs = [f"b{i}" for i in range(40)]
    definition = flow(
        fork("f", *[[simple(ref, "k", permissive=True)] for ref in refs]), join("j", *refs)
    )
    machine = Machine(definition, task_defs={"k": task_def("k")}).start()
    for ref in refs[:-1]:
        machine.report(ref, "FAILED", reason="r")
    header = machine.header
    assert header is not None
    assert header.permissive_failure_count == 39
    assert len(header.permissive_failures) == len(header.failed_refs) == 20
    machine.report(refs[-1], "FAILED", reason="r")
    assert machine.task("j").reason == " ".join(["r"] * 20)


def test_what_a_join_keeps_of_many_forgiven_members_is_bounded() -> None:
    refs = [f"b{i}" for i in range(30)]
    definition = flow(
        fork("f", *[[simple(ref, "k", optional=True)] for ref in refs]), join("j", *refs)
    )
    machine = Machine(definition, task_defs={"k": task_def("k")}).start()
    for ref in refs:
        machine.report(ref, "FAILED")
    assert machine.task("j").status.value == "COMPLETED_WITH_ERRORS"
    assert machine.status == "COMPLETED"


def test_s_239_output_parameters_of_a_failed_workflow() -> None:
    definition = flow(
        simple("a"), simple("b"),
        output_parameters={"a": "${a.output.v}", "b": "${b.output.v}", "i": "${workflow.input.x}"},
    )  # fmt: skip
    machine = Machine(definition).start({"x": 3})
    machine.work("a", "FAILED_WITH_TERMINAL_ERROR", output={"v": 1})
    assert machine.output.value == {"a": 1, "b": None, "i": 3}


def test_expressions_within_expressions_fetch_what_they_turn_out_to_name() -> None:
    definition = flow(
        simple("a"),
        fork("f", [simple("b")], [simple("c")]),
        join("j", "b", "c"),
        simple("d", input_parameters={
            "v": "${${workflow.input.ref}.output.v}", "m": "${j.output.${workflow.input.m}.v}"}),
    )  # fmt: skip
    machine = Machine(definition).start({"ref": "a", "m": "c"})
    for number, ref in enumerate(["a", "b", "c"]):
        machine.work(ref, output={"v": number})
    assert machine.task("d").input.value == {"v": 0, "m": 2}


# Paused


def test_results_are_stored_and_nothing_is_scheduled_while_paused() -> None:
    machine = Machine(flow(simple("a"), simple("b"))).start()
    assert machine.header is not None
    machine.header = replace(machine.header, status=WorkflowStatus.PAUSED)
    machine.report("a")
    assert machine.list() == ["a COMPLETED"]
    assert machine.task("a").unsettled
    assert machine.header.open_count == 1


# Cursors


def test_a_cursor_of_an_ended_execution_does_nothing() -> None:
    machine = Machine(flow(simple("a"))).start()
    machine.send(Terminate())
    cursor = write_cursor(Cursor(1, (Step("run", 0),)))
    assert machine.send(Continue(cursor=cursor)).verdict is Verdict.NOOP


def test_a_draft_that_is_full_still_takes_results() -> None:
    """Many results at once: what follows from the last ones is continued, nothing is lost."""
    refs = [f"b{i}" for i in range(900)]
    after = [switch("s", 1, {"1": [simple("t")]})]
    definition = flow(fork("f", *[[simple(ref, "k")] for ref in refs]), join("j", *refs), *after)
    machine = Machine(definition, whole=True).start()
    machine.run_effects()
    reports = [
        ReportResult(task_id=machine.task(ref).id, status=TaskStatus.COMPLETED) for ref in refs
    ]
    machine.send(*reports[:450])
    machine.send(*reports[450:])
    machine.run_effects()
    assert machine.list()[-2:] == ["s COMPLETED", "t SCHEDULED"]


def test_a_start_command_has_defaults() -> None:
    assert Start(name="w", version=1, digest="d").input is EMPTY


def test_reasons_and_values_in_them_are_bounded() -> None:
    machine = Machine(flow(terminate("t", "FAILED", terminationReason="x" * 20_000))).start()
    assert machine.header is not None
    assert machine.header.reason == "x" * 16_000
    machine.send(Terminate(reason="y" * 20_000))
    assert machine.header.reason == "y" * 16_000
    dynamic = op("DYNAMIC", "d", dynamic_task_name_param="n",
                 input_parameters={"m": "z" * 9000})  # fmt: skip
    machine = Machine(flow(dynamic)).start()
    assert machine.header is not None
    assert len(machine.header.reason or "") < 1200

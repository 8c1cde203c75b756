"""DYNAMIC tasks whose name is that of a system task type (S-326)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from podium.engine.command import Rerun
from podium.engine.operators.dynamic import BY_NAME, NEVER_BY_NAME
from podium.engine.operators.table import OPERATORS
from podium.engine.transition import Evaluated, StartChild
from podium.engine.validate_operators import TYPES_NOT_BUILT
from podium.model.payload import Payload
from tests.engine.machine import T0, Machine
from tests.engine.shapes import flow, op, simple, task_def

if TYPE_CHECKING:
    from podium.model.definition import WorkflowDef


def named(name: str, *after: Any, **given: Any) -> WorkflowDef:
    parameters = {"run": name, **given}
    dynamic = op("DYNAMIC", "d", dynamic_task_name_param="run", input_parameters=parameters)
    return flow(dynamic, *after, output_parameters={"o": "${d.output}"})


def test_every_type_either_runs_by_its_name_or_is_refused() -> None:
    queued = {"SIMPLE", "HTTP"}
    assert BY_NAME.keys() | NEVER_BY_NAME | queued == OPERATORS.keys() | TYPES_NOT_BUILT | {"FORK"}
    assert not BY_NAME.keys() & NEVER_BY_NAME


def test_instant_types_run_on_the_parameters_and_the_flow_goes_on() -> None:
    machine = Machine(named("INLINE", simple("a"), expression="$.n", n=2))
    machine.evaluated["javascript", "$.n"] = Evaluated(2)
    task = machine.start().task("d")
    assert (task.task_type, task.def_name, task.queue) == ("INLINE", "INLINE", None)
    assert task.input.value["evaluatorType"] == "javascript"
    assert task.output.value == {"result": 2}
    assert machine.list() == ["d COMPLETED", "a SCHEDULED"]
    assert Machine(named("NOOP")).start().status == "COMPLETED"
    machine = Machine(named("SET_VARIABLE", v=1)).start()
    assert machine.variables.value == {"run": "SET_VARIABLE", "v": 1}
    machine = Machine(named("TERMINATE", simple("a"), terminationStatus="FAILED")).start()
    assert (machine.status, machine.list()) == ("FAILED", ["d COMPLETED"])
    machine = Machine(named("EVENT", sink="conductor:x")).start()
    assert machine.task("d").output.value["event_produced"] == "conductor:w:x"


def test_a_wait_waits_for_its_duration_and_a_human_for_somebody() -> None:
    machine = Machine(named("WAIT", duration="5 seconds")).start()
    assert machine.list() == ["d IN_PROGRESS"]
    machine.due("d", "wait")
    assert (machine.status, machine.now_ms) == ("COMPLETED", T0 + 5_000)
    machine = Machine(named("HUMAN")).start()
    machine.report("d", output={"by": "me"})
    assert machine.output.value == {"o": {"by": "me"}}


def test_children_start_from_the_parameters() -> None:
    given = {"subWorkflowName": "c", "subWorkflowVersion": 2, "workflowInput": {"x": 1}}
    machine = Machine(named("SUB_WORKFLOW", **given)).start()
    (start,) = machine.effects
    assert isinstance(start, StartChild)
    assert (start.name, start.version, start.input.value) == ("c", 2, {"x": 1})
    assert start.workflow_id == machine.task("d").sub_workflow_id
    machine = Machine(named("START_WORKFLOW", startWorkflow={"name": "c"})).start()
    assert [effect.name for effect in machine.effects] == ["c"]
    machine = Machine(named("SUB_WORKFLOW")).start()
    assert machine.header is not None
    assert "expected the name of a workflow for d" in (machine.header.reason or "")


def test_it_is_retried_and_timed_by_the_definition_it_finds() -> None:
    registered = {"WAIT": task_def("WAIT", retry_count=1, retry_delay_seconds=3, timeout_seconds=9,
                                   timeout_policy="RETRY")}  # fmt: skip
    machine = Machine(named("WAIT"), task_defs=registered).start()
    machine.due("d", "timeout")
    assert machine.list() == ["d TIMED_OUT", "d SCHEDULED"]
    machine.due("d", "retry")
    assert machine.list() == ["d TIMED_OUT", "d IN_PROGRESS"]
    machine.due("d", "timeout")
    assert machine.status != "RUNNING"
    machine = Machine(named("LAMBDA", scriptExpression="x"))
    machine.evaluated["javascript", "(function () {x\n})()"] = Evaluated(error="no x")
    assert (machine.start().status, machine.list()) == ("FAILED", ["d FAILED"])


def test_a_rerun_takes_another_input() -> None:
    machine = Machine(named("WAIT", duration="5 seconds")).start()
    machine.due("d", "wait")
    given = Payload.of({"duration": "7 seconds"})
    machine.send(Rerun(task_ids=(machine.task("d").id,), task_input=given))
    machine.run_effects()
    again = machine.task("d")
    assert (again.task_type, again.status.value) == ("WAIT", "IN_PROGRESS")
    assert again.input == given
    assert machine.deadlines[again.id, "wait"] == machine.now_ms + 7_000


@pytest.mark.parametrize("name", sorted(NEVER_BY_NAME))
def test_what_needs_branches_members_or_a_body_is_refused(name: str) -> None:
    machine = Machine(named(name)).start()
    assert (machine.status, machine.list()) == ("FAILED", [])
    assert machine.header is not None
    assert (machine.header.reason or "").endswith(f"needs only an input, for d, found {name}")

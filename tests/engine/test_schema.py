"""S-046: schemas are enforced on inputs of tasks, on inputs and outputs of executions."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from podium.engine.command import (
    Rejected,
    Rerun,
    Restart,
    Retry,
    UpdateVariables,
)
from podium.engine.graph import compile_workflow
from podium.engine.limits import REASON_CHARS_LIMIT, WORKFLOW_REASON_CHARS_LIMIT
from podium.engine.schema import checks_of
from podium.engine.transition import StartChild
from podium.model.definition import TaskDef, WorkflowDef
from podium.model.payload import Payload
from tests.engine.checking import (
    BROKEN,
    BROKEN_TEXT,
    FAILED,
    LATE,
    LATE_TEXT,
    NEEDS_N,
    Checking,
    enforced,
    machine_of,
    missing,
    schema,
)
from tests.engine.looping import LESS
from tests.engine.shapes import (
    flow,
    fork,
    join,
    op,
    simple,
    sub,
    switch,
    task_def,
    terminate,
)


def refused(machine: Checking, command: Any) -> str:
    before = (machine.header, dict(machine.tasks), len(machine.transitions))
    with pytest.raises(Rejected) as found:
        machine.send(command)
    assert (machine.header, dict(machine.tasks), len(machine.transitions)) == before
    assert found.value.code == "INVALID_ARGUMENT"
    return found.value.message


# What is enforced


@pytest.mark.parametrize(
    ("definition", "takes"),
    [
        (WorkflowDef(name="w", input_schema=schema(NEEDS_N)), True),
        (WorkflowDef(name="w", input_schema=schema(NEEDS_N), enforce_schema=False), False),
        (WorkflowDef(name="w", input_schema=schema(NEEDS_N, "AVRO")), False),
        (WorkflowDef(name="w", input_schema={"name": "s", "version": 1, "type": "JSON"}), False),
        (WorkflowDef(name="w", input_schema={"data": NEEDS_N}), False),
        (WorkflowDef(name="w", input_schema="s"), False),
        (WorkflowDef(name="w", input_schema=schema(data=False)), True),
        (WorkflowDef(name="w"), False),
        (TaskDef(name="t", input_schema=schema(NEEDS_N)), False),
        (TaskDef(name="t", input_schema=schema(NEEDS_N), enforce_schema=True), True),
        (TaskDef(name="t", enforce_schema=True), False),
    ],
)
def test_schemas_of_type_json_with_data_are_enforced_by_default_in_workflows_only(
    definition: Any, *, takes: bool
) -> None:
    assert (checks_of(definition) is not None) is takes


def test_nothing_is_asked_where_nothing_is_enforced() -> None:
    lax = task_def("a", input_schema=schema(NEEDS_N), output_schema=schema(NEEDS_N))
    machine = machine_of(simple("a"), defs=[lax], input_schema=schema(NEEDS_N, "PROTOBUF")).start()
    machine.work("a")
    assert machine.status == "COMPLETED"
    assert machine.checks == []


# Executions


def test_an_input_that_does_not_fit_refuses_the_start() -> None:
    wanted = {"required": ["n", "m"], "properties": {"m": NEEDS_N}}
    machine = machine_of(simple("a"), input_schema=schema(wanted))
    with pytest.raises(Rejected) as found:
        machine.start({"m": {}})
    assert found.value.code == "INVALID_ARGUMENT"
    assert found.value.message == (
        'input: expected one that fits its schema, found $: "n" is a required property;'
        ' $.m: "n" is a required property'
    )
    assert machine.header is None
    assert machine.start({"m": {"n": 1}, "n": 2}).list() == ["a SCHEDULED"]


def test_the_input_template_counts_and_what_a_parent_adds_does_not() -> None:
    machine = machine_of(simple("a"), input_schema=schema(NEEDS_N), input_template={"n": 1})
    machine.start({"_systemMetadata": {"dynamic": True}, "x": 2})
    assert [orjson.loads(each.input) for each in machine.checks] == [{"n": 1, "x": 2}]
    assert "_systemMetadata" in machine.input.value


@pytest.mark.parametrize(("data", "text"), [(BROKEN, BROKEN_TEXT), (LATE, LATE_TEXT)])
def test_a_check_that_cannot_be_made_refuses_the_start(data: Any, text: str) -> None:
    machine = machine_of(simple("a"), input_schema=schema(data))
    with pytest.raises(Rejected, match=f"^input: {text}$"):
        machine.start()


def test_texts_are_cut() -> None:
    long = {"required": ["x" * 600, *[f"{n}" * 5_000 for n in range(1, 9)]]}
    with pytest.raises(Rejected) as found:
        machine_of(simple("a"), input_schema=schema(long)).start()
    assert len(found.value.message) == WORKFLOW_REASON_CHARS_LIMIT
    machine = machine_of(simple("a"), defs=[enforced("a", takes=long)]).start()
    assert len(machine.task("a").reason or "") == REASON_CHARS_LIMIT


def test_an_output_that_does_not_fit_fails_the_execution_and_is_kept() -> None:
    machine = machine_of(
        simple("a"),
        output_schema=schema(NEEDS_N),
        output_parameters={"m": "${a.output.m}"},
        failure_workflow="clean",
    ).start()
    machine.work("a", output={"m": 1})
    assert machine.header is not None
    assert (machine.status, machine.header.reason) == ("FAILED", missing("output", "n"))
    assert machine.output.value["m"] == 1
    [cleaner] = machine.effects
    assert isinstance(cleaner, StartChild)
    assert cleaner.input.value["reason"] == missing("output", "n")


def test_an_output_that_fits_completes_it() -> None:
    machine = machine_of(simple("a"), output_schema=schema(NEEDS_N)).start()
    machine.work("a", output={"n": 1})
    assert machine.status == "COMPLETED"


def test_the_output_of_a_terminate_counts_where_it_completes() -> None:
    for status, ends in (("COMPLETED", "FAILED"), ("TERMINATED", "TERMINATED")):
        end = terminate("t", status, workflowOutput={"m": 1})
        machine = machine_of(end, output_schema=schema(NEEDS_N)).start()
        assert (machine.status, machine.output.value) == (ends, {"m": 1})


def test_a_failed_execution_is_not_judged() -> None:
    a = simple("a", retry_count=0)
    machine = machine_of(a, output_schema=schema(NEEDS_N)).start()
    machine.work("a", "FAILED", reason="no")
    assert machine.checks == []
    assert machine.header is not None
    assert "reason: 'no'" in (machine.header.reason or "")


def test_a_restart_by_another_definition_and_a_rerun_by_another_input_are_judged() -> None:
    machine = machine_of(simple("a"), input_schema=schema(NEEDS_N)).start({"n": 1})
    machine.work("a")
    asked = len(machine.checks)
    machine.send(Restart())
    machine.work("a")
    assert len(machine.checks) == asked  # it was judged when it came
    strict = compile_workflow(flow(simple("a"), input_schema=schema({"required": ["q"]})))
    assert refused(machine, Restart(graph=strict, name="w", version=2)) == missing("input", "q")
    assert refused(machine, Rerun(input=Payload.of({"m": 1}))) == missing("input", "n")
    machine.send(Rerun(input=Payload.of({"n": 2})))
    machine.work("a")
    assert (machine.status, machine.input.value) == ("COMPLETED", {"n": 2})


# Inputs of tasks


def test_an_input_that_does_not_fit_fails_the_task_at_once() -> None:
    machine = machine_of(simple("a"), defs=[enforced("a", takes=NEEDS_N, retry_count=3)]).start()
    task = machine.task("a")
    assert (task.status, task.reason) == (FAILED, missing("input", "n"))
    assert machine.ready == {}
    assert machine.status == "FAILED"
    assert machine.header is not None
    assert machine.header.failed_task_id == task.id


def test_an_input_that_fits_is_queued() -> None:
    a = simple("a", input_parameters={"n": 1})
    machine = machine_of(a, defs=[enforced("a", takes=NEEDS_N)]).start()
    assert machine.list() == ["a SCHEDULED"]
    machine.work("a")
    assert machine.status == "COMPLETED"


def test_optional_and_permissive_tasks_do_not_end_the_execution() -> None:
    defs = [enforced("a", takes=NEEDS_N)]
    machine = machine_of(simple("a", optional=True), simple("b"), defs=defs).start()
    assert machine.list() == ["a COMPLETED_WITH_ERRORS", "b SCHEDULED"]
    machine = machine_of(simple("a", permissive=True), simple("b"), defs=defs).start()
    assert machine.list() == [f"a {FAILED}", "b SCHEDULED"]
    machine.work("b")
    assert machine.status == "FAILED"


def test_each_attempt_is_judged() -> None:
    a = simple("a", input_parameters={"v": "${workflow.variables.v}"})
    defs = [enforced("a", takes={"properties": {"v": NEEDS_N}}, retry_count=2)]
    machine = machine_of(a, defs=defs, variables={"v": {"n": 1}}).start()
    machine.work("a", "FAILED")
    assert machine.list() == ["a FAILED", "a SCHEDULED"]
    machine.send(UpdateVariables(variables=Payload.of({"v": {}})))
    machine.work("a", "FAILED")
    assert machine.list() == ["a FAILED", "a FAILED", f"a {FAILED}"]
    assert machine.task("a").reason == missing("input", "n", place="$.v")
    assert machine.ready == {}


def test_a_check_out_of_time_may_be_made_again() -> None:
    defs = [enforced("a", takes=LATE, retry_count=1)]
    machine = machine_of(simple("a"), defs=defs).start()
    assert machine.list() == ["a FAILED", "a FAILED"]
    assert machine.task("a").reason == f"input: {LATE_TEXT}"
    machine.lates = 0
    machine.send(Retry())
    machine.run_effects()
    machine.work("a")
    assert machine.status == "COMPLETED"


def test_the_attempt_after_a_check_out_of_time_is_handed_out() -> None:
    defs = [enforced("a", takes=LATE, retry_count=1, retry_delay_seconds=5)]
    machine = machine_of(simple("a"), defs=defs).start()
    assert machine.list() == ["a FAILED", "a FAILED"]
    machine = machine_of(simple("a"), simple("b"), defs=defs)
    machine.lates = 1
    machine.start()
    assert machine.list() == ["a FAILED", "a SCHEDULED"]
    machine.due("a", "retry")
    machine.work("a")
    assert machine.list()[-1] == "b SCHEDULED"


def test_what_does_not_fit_is_not_worked_on() -> None:
    defs = [enforced("v", takes=NEEDS_N)]
    for given, ends in (({"m": 1}, {}), ({"n": 1}, {"n": 1})):
        variable = op("SET_VARIABLE", "v", input_parameters=given, optional=True)
        machine = machine_of(variable, simple("a"), defs=defs).start()
        assert machine.variables.value == ends
        assert machine.list()[-1] == "a SCHEDULED"


def test_a_sub_workflow_whose_input_does_not_fit_starts_no_child() -> None:
    defs = [enforced("s", takes={"properties": {"workflowInput": NEEDS_N}})]
    machine = machine_of(sub("s", "child"), defs=defs).start()
    assert machine.list() == [f"s {FAILED}"]
    assert not machine.effects


def test_choices_forks_loops_and_joins_are_judged_like_any_task() -> None:
    body = [simple("x")]
    shapes: list[tuple[str, list[Any]]] = [
        ("c", [switch("c", "k", {"k": body})]),
        ("f", [fork("f", [simple("x")]), join("j", "x")]),
        ("j", [fork("f", [simple("x")]), join("j", "x")]),
        ("l", [op("DO_WHILE", "l", loop_over=body, loop_condition=LESS)]),
        ("w", [op("WAIT", "w")]),
        ("e", [op("EXCLUSIVE_JOIN", "e", join_on=["x"])]),
        ("q", [op("EVENT", "q", sink="conductor")]),
    ]
    for ref, tasks in shapes:
        machine = machine_of(*tasks, defs=[enforced(ref, takes=NEEDS_N)]).start()
        assert machine.task(ref).status == FAILED, ref
        assert machine.task(ref).reason == missing("input", "n")
        assert machine.status == "FAILED"


def test_optional_ones_are_forgiven_and_the_flow_goes_on() -> None:
    body = [simple("x")]
    shapes: list[tuple[str, list[Any]]] = [
        ("c", [switch("c", "k", {"k": body}, optional=True)]),
        ("j", [fork("f", [simple("y")], [simple("z")]), join("j", "y", "z", optional=True)]),
        ("l", [op("DO_WHILE", "l", loop_over=body, loop_condition=LESS, optional=True)]),
        ("w", [op("WAIT", "w", optional=True)]),
        ("e", [op("EXCLUSIVE_JOIN", "e", join_on=["x"], optional=True)]),
        ("q", [op("EVENT", "q", sink="conductor", optional=True)]),
        ("s", [sub("s", "child", optional=True)]),
    ]
    for ref, tasks in shapes:
        machine = machine_of(*tasks, simple("end"), defs=[enforced(ref, takes=NEEDS_N)]).start()
        assert machine.task(ref).status == "COMPLETED_WITH_ERRORS", ref
        assert machine.list()[-1] == "end SCHEDULED"
        assert not machine.effects
        for each in [task.ref for task in machine.tasks.values() if not task.status.terminal]:
            machine.work(each)
        assert machine.status == "COMPLETED", ref


def test_a_dynamic_task_follows_the_definition_of_what_it_turns_out_to_be() -> None:
    task = op("DYNAMIC", "d", dynamic_task_name_param="name", input_parameters={"name": "a"})
    machine = machine_of(task, defs=[enforced("a", takes=NEEDS_N)]).start()
    assert machine.list() == [f"d {FAILED}"]
    machine = machine_of(task, defs=[enforced("a", gives=NEEDS_N)]).start()
    machine.work("d")
    assert machine.list() == [f"d {FAILED}"]


def test_branches_of_a_dynamic_fork_follow_their_definitions() -> None:
    fork_task = op(
        "FORK_JOIN_DYNAMIC", "f", dynamic_fork_tasks_param="tasks",
        dynamic_fork_tasks_input_param_name="inputs",
        input_parameters={
            "tasks": [
                {"name": "a", "taskReferenceName": ref, "optional": True} for ref in ("x", "y")
            ],
            "inputs": {"x": {"n": 1}, "y": {"m": 1}},
        },
    )  # fmt: skip
    machine = machine_of(fork_task, join("j"), defs=[enforced("a", takes=NEEDS_N)]).start()
    assert machine.list()[1:] == ["x SCHEDULED", "y COMPLETED_WITH_ERRORS", "j IN_PROGRESS"]
    machine.work("x")
    assert machine.status == "COMPLETED"


def test_a_rerun_with_an_input_that_fits_goes_on() -> None:
    machine = machine_of(simple("a"), simple("b"), defs=[enforced("a", takes=NEEDS_N)]).start()
    task_id = machine.task("a").id
    machine.send(Rerun(task_ids=(task_id,), task_input=Payload.of({"m": 1})))
    machine.run_effects()
    assert (machine.status, machine.list()) == ("FAILED", [f"a {FAILED}"])
    machine.send(Rerun(task_ids=(machine.task("a").id,), task_input=Payload.of({"n": 1})))
    machine.run_effects()
    assert (machine.status, machine.list()) == ("RUNNING", ["a SCHEDULED"])
    machine.work("a")
    machine.work("b")
    assert machine.status == "COMPLETED"

"""Dynamic forks: their three input forms, their error texts, and creating thousands of branches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from podium.engine.command import Continue, Rejected, ReportResult, Terminate, Verdict
from podium.engine.limits import BRANCHES_LIMIT
from podium.engine.transition import ContinueSelf
from podium.model.execution import TaskStatus
from podium.model.queue import Queue
from tests.engine.machine import Machine
from tests.engine.shapes import flow, join, op, simple, sub, switch, task_def

if TYPE_CHECKING:
    from podium.model.definition import WorkflowDef, WorkflowTask


def by_tasks(**fields: Any) -> WorkflowTask:
    return op(
        "FORK_JOIN_DYNAMIC", "f", dynamic_fork_tasks_param="dt",
        dynamic_fork_tasks_input_param_name="di",
        input_parameters={"dt": "${workflow.input.dt}", "di": "${workflow.input.di}"}, **fields,
    )  # fmt: skip


def forked(*after: WorkflowTask) -> WorkflowDef:
    return flow(by_tasks(), op("JOIN", "j", join_on=["ignored"]), *after)


def branch(ref: str, name: str = "kind", **fields: Any) -> dict[str, Any]:
    return {"name": name, "taskReferenceName": ref, **fields}


def reason_of(machine: Machine) -> str:
    assert machine.header is not None
    return machine.header.reason or ""


def test_s_819_two_simple_branches() -> None:
    machine = Machine(forked(simple("t2", input_parameters={"v": "${j.output.x2.r}"})))
    machine.start(
        {"dt": [branch("x1", inputParameters={"own": "${workflow.input.k}"}), branch("x2")],
         "di": {"x1": {"k1": "v1", "e": "${workflow.input.k}"}}, "k": 7},
    )  # fmt: skip
    assert machine.list() == ["f COMPLETED", "x1 SCHEDULED", "x2 SCHEDULED", "j IN_PROGRESS"]
    assert machine.task("x1").input.value == {"own": 7, "k1": "v1", "e": 7}
    assert machine.task("x2").input.value == {}
    assert machine.task("x1").queue == Queue("kind")
    task = machine.task("f")
    assert (task.task_type, task.def_name) == ("FORK", "FORK")
    assert task.input.value["forkedTasks"] == ["x1", "x2"]
    definitions: Any = task.input.value["forkedTaskDefs"]
    assert [each["taskReferenceName"] for each in definitions] == ["x1", "x2"]
    assert machine.task("j").input.value == {"joinOn": ["x1", "x2"]}
    assert machine.task("j").def_name == "JOIN"
    machine.work("x1", output={"r": 1})
    machine.work("x2", output={"r": 2})
    assert machine.join_output("j") == {"x1": {"r": 1}, "x2": {"r": 2}}
    assert machine.task("t2").input.value == {"v": 2}


def test_s_370_no_branches() -> None:
    machine = Machine(forked()).start({"dt": [], "di": {}})
    assert machine.list() == ["f COMPLETED", "j COMPLETED"]
    assert machine.status == "COMPLETED"
    assert machine.output.value == {}


NO_TASKS = "Input 'dt' is invalid. Cannot deserialize a list of Workflow Tasks from '{}'"
NO_MAP = (
    "Input to the dynamically forked tasks is not a map -> expecting a map of K,V  but found {}"
)
TAKEN = (
    "No dynamic tasks could be created for the Workflow: attempted to create a duplicate task"
    " reference name: {}"
)


@pytest.mark.parametrize(
    ("dt", "di", "text"),
    [
        (None, {}, NO_TASKS.format("null")),
        ("x", {}, NO_TASKS.format("x")),
        ([1], {}, NO_TASKS.format("[1]")),
        ([{"name": "a"}], {}, NO_TASKS.format("[{name=a}]")),
        ([{"taskReferenceName": 4}], {}, NO_TASKS.format("[{taskReferenceName=4}]")),
        ([branch("a")], None, NO_MAP.format("null")),
        ([branch("a")], {"a": "v1"}, NO_MAP.format("v1")),
        ([branch("a"), branch("a")], {}, TAKEN.format("a")),
        ([branch("t1")], {}, TAKEN.format("t1")),
        ([branch("j")], {}, TAKEN.format("j")),
    ],
)
def test_s_364_s_371_s_820_inputs_that_make_no_branches(dt: Any, di: Any, text: str) -> None:
    definition = flow(simple("t1"), by_tasks(), op("JOIN", "j"))
    machine = Machine(definition).start({"dt": dt, "di": di})
    machine.work("t1")
    assert machine.status == "FAILED"
    assert machine.list() == ["t1 COMPLETED"]
    assert reason_of(machine) == text


def test_s_372_a_dynamic_fork_without_a_join() -> None:
    machine = Machine(flow(by_tasks())).start({"dt": [], "di": {}})
    assert reason_of(machine).startswith("Dynamic join definition is not followed by a join task.")


@pytest.mark.parametrize(("kind", "built"), [("KAFKA_PUBLISH", False), ("OWN_TYPE", True)])
def test_types_that_are_not_built_fail_the_workflow(kind: str, *, built: bool) -> None:
    machine = Machine(forked()).start({"dt": [branch("a", type=kind)], "di": {}})
    if built:
        assert machine.task("a").queue == Queue("OWN_TYPE")
    else:
        assert reason_of(machine) == f"expected a task type that is built, found {kind} at a"


def test_registered_definitions_rule_the_branches() -> None:
    kinds = {"kind": task_def("kind", retry_count=1)}
    machine = Machine(forked(), task_defs=kinds).start({"dt": [branch("a")], "di": {}})
    machine.work("a", "FAILED")
    assert machine.list() == ["f COMPLETED", "a FAILED", "j IN_PROGRESS", "a SCHEDULED"]
    machine.work("a", "FAILED")
    assert machine.status == "FAILED"
    assert machine.task("j").status.value == "CANCELED"


def test_a_branch_may_be_any_built_operator() -> None:
    nest = switch("s", 1, {"1": [simple("in1"), simple("in2")]})
    dynamic = {"name": "d", "taskReferenceName": "d", "type": "DYNAMIC",
               "dynamicTaskNameParam": "n", "inputParameters": {"n": "real"}}  # fmt: skip
    machine = Machine(forked(simple("after")))
    machine.start(
        {"dt": [as_json(nest), as_json(sub("w", "c")), dynamic], "di": {}},
    )
    assert machine.list() == [
        "f COMPLETED", "s COMPLETED", "in1 SCHEDULED", "w IN_PROGRESS", "d SCHEDULED",
        "j IN_PROGRESS",
    ]  # fmt: skip
    machine.work("in1")
    assert machine.list()[-1] == "in2 SCHEDULED"  # unlike S-373
    machine.work("d")
    machine.report("w")
    assert machine.list()[-1] == "after SCHEDULED"
    machine.work("after")
    machine.work("in2")
    assert machine.status == "COMPLETED"


def as_json(task: WorkflowTask) -> Any:
    return msgspec.to_builtins(task)


# Form 1


def by_inputs(definition: dict[str, Any], **fields: Any) -> WorkflowTask:
    return op("FORK_JOIN_DYNAMIC", "f", input_parameters=definition, **fields)


def test_s_360_to_s_363_the_same_task_for_each_input() -> None:
    given = {"forkTaskName": "kind", "forkTaskInputs": [{"a": 1, "retryCount": 4}, 7, {"type": 3}]}
    machine = Machine(flow(by_inputs(given, optional=True), op("JOIN", "j"))).start()
    assert machine.list()[1:4] == ["_kind_0 SCHEDULED", "_kind_1 SCHEDULED", "_kind_2 SCHEDULED"]
    assert machine.task("_kind_0").input.value == {"a": 1, "retryCount": 4, "__index": 0}
    assert machine.task("_kind_1").input.value == {"input": 7, "__index": 1}
    machine.work("_kind_0", "FAILED")
    assert machine.task("_kind_0").retry_count == 1  # retryCount of the item
    machine.work("_kind_1", "FAILED_WITH_TERMINAL_ERROR")
    assert machine.task("_kind_1").status.value == "COMPLETED_WITH_ERRORS"


@pytest.mark.parametrize(
    ("given", "name", "queue"),
    [
        ({"forkTaskType": "HTTP"}, "HTTP", "HTTP"),
        ({}, "f", "f"),
        ({"forkTaskType": "OWN"}, "f", "OWN"),
    ],
)
def test_s_360_names(given: dict[str, Any], name: str, queue: str) -> None:
    machine = Machine(flow(by_inputs({**given, "forkTaskInputs": [1]}), op("JOIN", "j"))).start()
    task = machine.task(f"_{name}_0")
    assert (task.def_name, task.queue) == (name, Queue(queue))


@pytest.mark.parametrize(("version", "expected"), [("3", 3), (3, 3), ("x", None), (None, None)])
def test_s_359_a_sub_workflow_for_each_input(version: Any, expected: int | None) -> None:
    given = {"forkTaskWorkflow": "c", "forkTaskWorkflowVersion": version,
             "forkTaskInputs": [{"taskToDomain": {"*": "d"}}, 1]}  # fmt: skip
    machine = Machine(flow(by_inputs(given), op("JOIN", "j"))).start()
    first, second = machine.effects
    assert (first.name, first.version, first.task_to_domain) == ("c", expected, {"*": "d"})
    assert second.input.value == {"input": 1, "__index": 1}


def test_s_361_references_of_a_second_dynamic_fork() -> None:
    given = {"forkTaskName": "k", "forkTaskInputs": [1]}
    second = op("FORK_JOIN_DYNAMIC", "g", input_parameters=given)
    machine = Machine(flow(by_inputs(given), op("JOIN", "j"), second, op("JOIN", "j2"))).start()
    machine.work("_k_0")
    assert "_g_k_0 SCHEDULED" in machine.list()


# Form 3


def by_join_tasks() -> WorkflowDef:
    task = op("FORK_JOIN_DYNAMIC", "f", dynamic_fork_join_tasks_param="p",
              input_parameters={"p": "${workflow.input.p}"})  # fmt: skip
    return flow(task, op("JOIN", "j"))


def test_s_367_dynamic_tasks() -> None:
    entry = {"taskName": "k", "referenceName": "r", "input": {"a": 1}}
    other = {"taskName": "k", "referenceName": "r2", "type": "OWN"}
    machine = Machine(by_join_tasks()).start({"p": {"dynamicTasks": [entry, other]}})
    assert machine.task("r").input.value == {"a": 1}
    assert machine.task("r2").queue == Queue("OWN")


NONE_GIVEN = (
    "Dynamic tasks could not be created. The value of p from task's input {p=null} has no dynamic"
    " tasks to be scheduled"
)
BAD_ENTRY = "expected taskName and referenceName in each of p.dynamicTasks, found "


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, NONE_GIVEN),
        ({"dynamicTasks": [{"taskName": "k"}]}, f"{BAD_ENTRY}{{taskName=k}}"),
        ({"dynamicTasks": [3]}, f"{BAD_ENTRY}3"),
    ],
)
def test_s_367_no_dynamic_tasks(value: Any, text: str) -> None:
    machine = Machine(by_join_tasks()).start({"p": value})
    assert reason_of(machine) == text


# Many branches


def many(count: int) -> Machine:
    machine = Machine(forked(simple("after")), whole=True)
    return machine.start({"dt": [branch(f"x{i}") for i in range(count)], "di": {}})


def test_branches_are_created_in_portions() -> None:
    machine = many(1200)
    assert machine.header is not None
    assert machine.header.pending
    early = machine.task("x3").id
    assert not any(task.ref == "j" for task in machine.tasks.values())
    machine.send(ReportResult(task_id=early, status=TaskStatus.COMPLETED))
    cursor = machine.effects[0]
    machine.run_effects()
    assert machine.header.pending == ()
    assert [len(change.tasks) <= 500 for change in machine.transitions] == [True] * 4
    assert len(machine.tasks) == 1202
    assert machine.task("j").seq == 1202
    assert machine.joins[machine.task("j").key].open_count == 1199
    assert isinstance(cursor, ContinueSelf)
    again = machine.send(Continue(cursor=cursor.cursor))
    assert again.verdict is Verdict.NOOP


def test_a_join_cannot_close_while_branches_are_missing() -> None:
    machine = many(600)
    for ref in [task.ref for task in list(machine.tasks.values()) if task.ref != "f"]:
        machine.report(ref)
    assert machine.status == "RUNNING"
    machine.run_effects()
    for ref in [t.ref for t in list(machine.tasks.values()) if not t.status.terminal]:
        if ref != "j":
            machine.report(ref)
    assert machine.list()[-1] == "after SCHEDULED"


def test_branches_that_are_complete_before_the_join_exists_are_counted_once() -> None:
    definition = forked(simple("after"))
    branches = [branch(f"x{i}", type="EVENT", sink="conductor") for i in range(700)]
    machine = Machine(definition, whole=True).start({"dt": branches, "di": {}})
    machine.run_effects()
    assert machine.list()[-1] == "after SCHEDULED"
    assert machine.task("j").status.value == "COMPLETED"


def test_terminating_cancels_in_portions() -> None:
    machine = many(1200)
    machine.run_effects()
    machine.send(Terminate(reason="enough"))
    assert machine.status == "TERMINATED"
    assert machine.header is not None
    assert machine.header.pending
    machine.run_effects()
    assert machine.header.open_count == 0
    assert {task.status.value for task in machine.tasks.values()} == {"COMPLETED", "CANCELED"}


def test_terminating_between_two_portions_leaves_nothing_open() -> None:
    machine = many(1200)
    machine.send(Terminate(reason="enough"))
    machine.run_effects()
    assert machine.header is not None
    assert (machine.header.open_count, machine.header.pending) == (0, ())


def test_too_many_branches() -> None:
    machine = many(BRANCHES_LIMIT + 1)
    assert reason_of(machine) == "expected at most 20000 branches of f, found 20001"


def test_a_static_fork_is_cut_as_well() -> None:
    count = 1100
    definition = flow(
        op("FORK_JOIN", "f", fork_tasks=[[simple(f"b{i}", "k")] for i in range(count)]),
        join("j", *[f"b{i}" for i in range(count)]),
    )
    machine = Machine(definition, whole=True).start()
    machine.run_effects()
    assert machine.header is not None
    assert machine.header.open_count == count + 1
    assert machine.joins[machine.task("j").key].open_count == count


def test_a_cursor_of_nobody() -> None:
    machine = many(600)
    with pytest.raises(Rejected, match="expected a cursor of this server"):
        machine.send(Continue(cursor="junk"))

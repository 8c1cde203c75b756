"""START_WORKFLOW: what is started, when the task ends, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from podium.engine.command import CloseChild, Terminate, Verdict
from podium.engine.identity import child_id
from podium.engine.transition import StartChild
from tests.engine.machine import T0, Machine
from tests.engine.shapes import flow, op, simple, task_def
from tests.engine.world import World

if TYPE_CHECKING:
    from podium.model.definition import WorkflowTask


def starter(request: Any = None, **fields: Any) -> WorkflowTask:
    given = {"startWorkflow": request or "${workflow.input.request}"}
    return op("START_WORKFLOW", "s", input_parameters=given, **fields)


def effect_of(machine: Machine) -> StartChild:
    (effect,) = machine.effects
    assert isinstance(effect, StartChild)
    return effect


def test_s_436_it_starts_an_independent_workflow_and_completes() -> None:
    world = World(flow(starter({"name": "other", "input": {"n": "${workflow.input.n}"}}),
                       simple("after"), name="first"), flow(simple("o"), name="other"))  # fmt: skip
    machine = world.start("first", {"n": 3})
    started = machine.task("s").output.value["workflowId"]
    assert machine.list() == ["s COMPLETED", "after SCHEDULED"]
    assert isinstance(started, str)
    other = world.machines[started]
    assert other.input.value == {"n": 3}
    assert other.header is not None
    assert other.header.parent is None
    assert machine.task("s").sub_workflow_id is None


def test_the_starters_end_does_not_touch_what_it_started() -> None:
    world = World(flow(starter({"name": "other"}), simple("after"), name="first"),
                  flow(simple("o"), name="other"))  # fmt: skip
    machine = world.start("first")
    machine.send(Terminate(reason="enough"))
    world.settle()
    assert [each.status for each in world.machines.values()] == ["TERMINATED", "RUNNING"]


def test_s_434_what_is_asked_for_is_what_is_started() -> None:
    request = {
        "name": "other", "version": 3, "input": {"a": 1}, "correlationId": "mine", "priority": 7,
        "taskToDomain": {"*": "d"}, "createdBy": "somebody",
    }  # fmt: skip
    machine = Machine(flow(starter(), simple("z")))
    machine.start({"request": request}, correlation_id="yours", priority=2)
    effect, task = effect_of(machine), machine.task("s")
    assert task.status.value == "IN_PROGRESS"
    assert (effect.name, effect.version, effect.input.value) == ("other", 3, {"a": 1})
    assert (effect.correlation_id, effect.priority) == ("mine", 7)
    assert effect.task_to_domain == {"*": "d"}
    assert effect.workflow_id == child_id(task.id, 0)
    assert effect.parent is None


def test_s_435_correlation_id_and_domains_are_inherited_and_nothing_else() -> None:
    request = {"name": "other", "correlationId": " ", "taskToDomain": {}, "version": 0}
    machine = Machine(flow(starter()))
    machine.start({"request": request}, correlation_id="c", priority=9, task_to_domain={"a": "d"})
    effect = effect_of(machine)
    assert (effect.correlation_id, effect.task_to_domain) == ("c", {"a": "d"})
    assert (effect.priority, effect.version, effect.input.value) == (0, None, {})


def test_a_definition_of_its_own_is_started() -> None:
    inner = {"name": "inner", "tasks": [{"name": "o", "taskReferenceName": "o"}]}
    world = World(flow(starter({"workflowDef": inner}), name="first"))
    machine = world.start("first")
    assert machine.status == "COMPLETED"
    other = world.machines[str(machine.task("s").output.value["workflowId"])]
    assert other.list() == ["o SCHEDULED"]


UNREAD = "Error reading StartWorkflowRequest. startWorkflow"
ANOTHER = "expected a value of the field's type, found another"
BROKEN = "startWorkflow validation failed."
VERSION = "'version' -> expected 0 (the latest) or more, found -1."
PRIORITY = "'priority' -> expected 0 to 99, found 100."


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (None, "Missing 'startWorkflow' in input data."),
        ("other", f"{UNREAD}: {ANOTHER}"),
        ({"name": "o", "taskToDomain": {"a": 1}}, f"{UNREAD}.taskToDomain[...]: {ANOTHER}"),
        ({"version": 1}, f"{BROKEN} 'name' -> expected a name, found none. "),
        ({"name": "o", "priority": 100, "version": -1}, f"{BROKEN} {VERSION} {PRIORITY} "),
    ],
)
def test_s_434_a_request_that_is_no_good_fails_the_task(request_: Any, reason: str) -> None:
    machine = Machine(flow(starter())).start({"request": request_})
    assert machine.list() == ["s FAILED"]
    assert machine.task("s").reason == reason
    assert not machine.effects
    assert machine.status == "FAILED"


def test_s_437_a_start_that_is_refused_fails_the_task_and_may_be_tried_again() -> None:
    kind = task_def("s", retry_count=1, retry_delay_seconds=5)
    world = World(flow(starter({"name": "gone"}), name="first"), task_defs={"s": kind})
    machine = world.start("first")
    assert machine.list() == ["s FAILED", "s SCHEDULED"]
    first = machine.attempts[machine.task("s").key, 0]
    assert first.reason == "No such workflow defined. name=gone"
    assert first.output.value == {}
    world.definitions["gone"] = flow(simple("o"), name="gone")
    machine.due("s", "retry")
    world.settle()
    assert machine.list() == ["s FAILED", "s COMPLETED"]
    assert machine.status == "COMPLETED"


def test_s_253_a_start_delay_is_kept() -> None:
    machine = Machine(flow(starter({"name": "other"}, start_delay=4))).start()
    assert not machine.effects
    assert machine.deadlines[machine.task("s").id, "retry"] == T0 + 4000
    machine.due("s", "retry")
    assert effect_of(machine).name == "other"


def test_reports_that_are_not_for_this_start_change_nothing() -> None:
    machine = Machine(flow(starter({"name": "other"}))).start()
    task = machine.task("s")
    good = {
        "task_id": task.id, "run_epoch": 0, "child_id": child_id(task.id, 0),
        "status": "COMPLETED",
    }  # fmt: skip
    for wrong in ({"run_epoch": 1}, {"child_id": "another"}):
        assert machine.send(CloseChild(**{**good, **wrong})).verdict is Verdict.NOOP
    assert machine.send(CloseChild(**good)).verdict is Verdict.OK
    assert machine.send(CloseChild(**good)).verdict is Verdict.NOOP
    assert machine.status == "COMPLETED"


def test_its_deadlines_are_armed() -> None:
    kind = task_def("s", timeout_seconds=5, response_timeout_seconds=1)
    machine = Machine(flow(starter({"name": "other"})), task_defs={"s": kind}).start()
    machine.due("s", "timeout")
    assert machine.status == "TIMED_OUT"

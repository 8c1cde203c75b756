"""System tasks and workers' tasks (section 4): records, input, starts that fail."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from podium.engine.command import CloseChild, Start, Verdict
from podium.engine.transition import StartChild
from podium.model.definition import SubWorkflowParams, TaskDef
from podium.tasks.http_request import read_request
from tests.engine.machine import T0, Machine
from tests.engine.shapes import flow, fork, join, op, simple, sub, task_def
from tests.engine.world import World


def test_s_073_the_id_of_a_child_is_derived() -> None:
    found = {Machine(flow(sub("s", "c"))).start().task("s").sub_workflow_id for _ in range(2)}
    assert len(found) == 1
    other = Machine(flow(sub("s", "c")), workflow_id="other").start()
    assert other.task("s").sub_workflow_id not in found
    again = Machine(flow(sub("s", "c")), task_defs={"s": task_def("s", retry_count=1)}).start()
    again.report("s", "FAILED")
    assert again.task("s").sub_workflow_id not in found


@pytest.mark.parametrize(
    ("task", "status"),
    [
        (simple("t"), "SCHEDULED"),
        (op("OWN_TYPE", "t"), "SCHEDULED"),
        (op("HTTP", "t", input_parameters={"uri": "u"}), "SCHEDULED"),
        (sub("t", "c", start_delay=9), "SCHEDULED"),
        (op("WAIT", "t"), "IN_PROGRESS"),
        (op("HUMAN", "t"), "IN_PROGRESS"),
        (op("EXCLUSIVE_JOIN", "t", join_on=["never"]), "IN_PROGRESS"),
        (op("DO_WHILE", "t", loop_over=[simple("a")], loop_condition="x"), "IN_PROGRESS"),
        (op("EVENT", "t", sink="conductor", async_complete=True), "IN_PROGRESS"),
        (op("NOOP", "t"), "COMPLETED"),
        (fork("t", [simple("a")]), "COMPLETED"),
    ],
)
def test_s_308_the_first_status_of_each_type(task: Any, status: str) -> None:
    machine = Machine(flow(task, join("j", "a"))).start()
    assert machine.task("t").status.value == status


@pytest.mark.parametrize(
    ("task", "delayed"),
    [
        (simple("t", start_delay=5), True),
        (op("OWN", "t", start_delay=5), True),
        (op("HTTP", "t", start_delay=5), True),
        (op("DYNAMIC", "t", start_delay=5, dynamic_task_name_param="n",
            input_parameters={"n": "x"}), True),
        (sub("t", "c", start_delay=5), True),
        (op("START_WORKFLOW", "t", start_delay=5,
            input_parameters={"startWorkflow": {"name": "o"}}), True),
        (op("NOOP", "t", start_delay=5), False),
        (op("WAIT", "t", start_delay=5), False),
        (op("HUMAN", "t", start_delay=5), False),
        (op("EVENT", "t", start_delay=5, sink="conductor"), False),
    ],
)  # fmt: skip
def test_s_253_which_types_have_a_start_delay(task: Any, *, delayed: bool) -> None:
    machine = Machine(flow(task)).start()
    found = machine.task("t")
    assert ((found.id, "retry") in machine.deadlines) is delayed
    assert (found.status.value == "SCHEDULED") is delayed
    assert not machine.ready


def test_s_311_s_321_system_tasks_are_handed_out_from_one_queue_for_their_type() -> None:
    http = op("HTTP", "h", input_parameters={"uri": "u"})
    machine = Machine(flow(http)).start(task_to_domain={"*": "d", "HTTP": "e"})
    task = machine.grant("h")
    assert task.queue is not None
    assert (task.queue.task_type, task.queue.domain, task.poll_count) == ("HTTP", "", 1)


def test_s_322_a_simple_task_has_the_limits_of_its_definition() -> None:
    kind = task_def("k", response_timeout_seconds=7, rate_limit_per_frequency=5,
                    rate_limit_frequency_in_seconds=3)  # fmt: skip
    machine = Machine(flow(simple("t", "k", start_delay=2)), task_defs={"k": kind}).start()
    task = machine.task("t")
    assert (task.task_type, task.def_name, task.response_timeout_ms) == ("k", "k", 7_000)
    assert (task.limits.rate, task.limits.rate_window_ms) == (5, 3_000)
    assert machine.deadlines == {(task.id, "retry"): T0 + 2_000}
    other = Machine(flow(simple("t"))).start().task("t")
    assert (other.response_timeout_ms, other.limits.limited) == (3_600_000, False)


def test_s_357_which_form_of_a_dynamic_fork_goes_first() -> None:
    given = {
        "forkTaskName": "k", "forkTaskInputs": [1], "i": {},
        "t": [{"name": "x", "taskReferenceName": "x"}], "p": {"dynamicTasks": []},
    }  # fmt: skip
    params = {"dynamic_fork_tasks_param": "t", "dynamic_fork_tasks_input_param_name": "i",
              "dynamic_fork_join_tasks_param": "p"}  # fmt: skip
    for present, ref in ((given, "_k_0"), ({**given, "forkTaskInputs": None}, "x")):
        task = op("FORK_JOIN_DYNAMIC", "f", input_parameters=present, **params)
        machine = Machine(flow(task, op("JOIN", "j"))).start()
        assert machine.list()[1] == f"{ref} SCHEDULED"


def test_s_421_version_0_of_a_child_is_the_latest() -> None:
    params = SubWorkflowParams(name="c", version=0)
    machine = Machine(flow(op("SUB_WORKFLOW", "s", sub_workflow_param=params))).start()
    assert isinstance(machine.effects[0], StartChild)
    assert machine.effects[0].version is None


@pytest.mark.parametrize(("given", "priority"), [(7, 7), ("7", 0), (None, 0)])
def test_s_423_the_priority_of_a_child_is_a_number_that_is_given(given: Any, priority: int) -> None:
    params = SubWorkflowParams(name="c", version=1, priority="${workflow.input.p}")
    machine = Machine(flow(op("SUB_WORKFLOW", "s", sub_workflow_param=params)))
    machine.start({"p": given}, priority=9, correlation_id="cc", task_to_domain={"a": "d"})
    effect = machine.effects[0]
    assert isinstance(effect, StartChild)
    assert (effect.priority, effect.correlation_id) == (priority, "cc")
    assert effect.task_to_domain == {"a": "d"}
    assert effect.parent is not None
    assert effect.parent.task_id == machine.task("s").id


def test_s_427_a_child_that_is_refused_fails_its_task() -> None:
    kind = task_def("s", retry_count=1, retry_delay_seconds=5)
    world = World(flow(sub("s", "gone")), task_defs={"s": kind})
    machine = world.start("w")
    assert machine.list() == ["s FAILED", "s SCHEDULED"]
    assert "No such workflow defined" in (machine.task("s").reason or "")


def test_s_429_a_report_for_a_task_that_is_gone_is_dropped() -> None:
    machine = Machine(flow(simple("a"))).start()
    report = CloseChild(task_id="wf.gone.0", run_epoch=0, child_id="c", status="FAILED")
    assert machine.send(report).verdict is Verdict.NOOP
    assert machine.status == "RUNNING"


def test_s_433_a_child_goes_on_when_its_task_times_out_and_is_retried() -> None:
    kind = TaskDef(name="s", retry_count=1, retry_delay_seconds=0, timeout_seconds=5,
                   timeout_policy="RETRY", response_timeout_seconds=1)  # fmt: skip
    world = World(flow(sub("s", "c")), flow(simple("x"), name="c"), task_defs={"s": kind})
    machine = world.start("w")
    first = machine.task("s").sub_workflow_id or ""
    assert {kind for _, kind in machine.deadlines} == {"timeout"}
    machine.due("s", "timeout")
    world.settle()
    assert machine.list() == ["s TIMED_OUT", "s IN_PROGRESS"]
    assert world.machines[first].status == "RUNNING"


def test_s_440_s_744_a_timeout_of_null_has_the_default() -> None:
    given: Any = {"uri": "http://a/", "method": "GET", "connectionTimeOut": None,
                  "readTimeOut": None}  # fmt: skip
    request = read_request({"http_request": given})
    assert (request.connect_ms, request.read_ms) == (3_000, 3_000)


def test_s_450_an_http_task_is_retried_by_its_definition_only() -> None:
    http = op("HTTP", "h", input_parameters={"uri": "u"})
    machine = Machine(flow(http)).start()
    machine.work("h", "FAILED")
    assert machine.list() == ["h FAILED"]
    for task, kinds in (
        (replace(http, retry_count=1), {}),
        (http, {"h": task_def("h", retry_count=1)}),
    ):
        machine = Machine(flow(task), task_defs=kinds).start()
        machine.work("h", "FAILED")
        assert machine.list() == ["h FAILED", "h SCHEDULED"]
        assert machine.task("h").worker_id is None


def test_s_463_a_sink_is_evaluated_once() -> None:
    event = op("EVENT", "e", sink="conductor:${workflow.input.q}")
    machine = Machine(flow(event)).start({"q": "${workflow.input.q}"})
    assert machine.task("e").output.value["event_produced"] == "conductor:w:${workflow.input.q}"


def test_s_567_system_tasks_have_no_domain() -> None:
    definition = flow(
        fork("f", [op("WAIT", "w")], [op("HTTP", "h", input_parameters={"uri": "u"})]), join("j")
    )
    machine = Machine(definition)
    machine.send(Start(name="w", version=1, digest="d", task_to_domain={"*": "d"}))
    assert {task.domain for task in machine.tasks.values()} == {""}

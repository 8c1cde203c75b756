"""Each operator: its record, its input and output, what follows, and how it fails."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from podium.engine.command import CloseChild, Start, Verdict
from podium.engine.limits import DEPTH_LIMIT, PAYLOAD_BYTES_LIMIT
from podium.engine.transition import StartChild
from podium.model.definition import SubWorkflowParams, TaskDef
from podium.model.execution import ParentLink
from podium.model.queue import Limits, Queue
from tests.engine.machine import T0, Machine
from tests.engine.shapes import flow, fork, join, op, simple, sub, switch, task_def, terminate
from tests.engine.world import World


def reason_of(machine: Machine) -> str:
    assert machine.header is not None
    return machine.header.reason or ""


# Queued tasks


def test_a_simple_task_is_polled_under_its_name_and_others_under_their_type() -> None:
    machine = Machine(flow(fork("f", [simple("a", "kind")], [op("MY_TYPE", "b")]), join("j")))
    machine.start()
    assert machine.task("a").queue == Queue("kind")
    assert machine.task("b").queue == Queue("MY_TYPE")
    assert (machine.task("b").task_type, machine.task("b").def_name) == ("MY_TYPE", "b")


def test_limits_domain_priority_and_delay_are_on_the_record() -> None:
    kind = task_def(
        "a", concurrent_exec_limit=2, rate_limit_per_frequency=5, poll_timeout_seconds=9
    )
    definition = flow(simple("a", start_delay=3))
    machine = Machine(definition, task_defs={"a": kind})
    machine.start(priority=7, task_to_domain={"*": "any", "a": "x,y"})
    task = machine.task("a")
    assert task.limits == Limits(2, 5, 1000)
    assert task.queue == Queue("a", "y")
    assert not machine.ready
    assert machine.deadlines[task.id, "retry"] == T0 + 3000
    assert machine.deadlines[task.id, "poll"] == T0 + 12_000
    machine.due("a", "retry")
    assert machine.ready


@pytest.mark.parametrize(
    ("domains", "expected"),
    [({}, ""), ({"*": "d"}, "d"), ({"a": "d,NO_DOMAIN"}, ""), ({"b": "d"}, "")],
)
def test_domains(domains: dict[str, str], expected: str) -> None:
    machine = Machine(flow(simple("a"))).start(task_to_domain=domains)
    assert machine.task("a").domain == expected


def test_http_always_says_whether_it_is_completed_from_outside() -> None:
    definition = flow(
        op("HTTP", "h", input_parameters={"uri": "u"}, async_complete=True),
    )
    machine = Machine(definition).start(task_to_domain={"*": "d"})
    task = machine.task("h")
    assert task.input.value == {"uri": "u", "asyncComplete": True}
    assert task.queue == Queue("HTTP")
    machine.work("h", "IN_PROGRESS", output={"called": 1})
    assert machine.task("h").status.value == "IN_PROGRESS"
    assert not machine.ready
    assert (task.id, "response") not in machine.deadlines
    machine.report("h", output={"done": 1})
    assert machine.status == "COMPLETED"


def test_an_input_over_the_limit_fails_the_task_with_the_sizes() -> None:
    definition = flow(
        simple("a", input_parameters={"v": "${workflow.input.v}", "w": "${workflow.input.v}"})
    )
    machine = Machine(definition).start({"v": "x" * (PAYLOAD_BYTES_LIMIT // 2)})
    assert machine.status == "FAILED"
    task = machine.task("a")
    assert task.status.value == "FAILED_WITH_TERMINAL_ERROR"
    assert f"at most {PAYLOAD_BYTES_LIMIT} bytes, found {PAYLOAD_BYTES_LIMIT + 15}" in (
        task.reason or ""
    )


def test_the_attached_definition_gives_missing_inputs() -> None:
    kind = task_def("a", input_template={"t": "${workflow.input.x}", "p": "raw"})
    definition = flow(simple("a", input_parameters={"p": "${workflow.input.nothing}"}))
    machine = Machine(definition, task_defs={"a": kind}).start({"x": [1]})
    assert machine.task("a").input.value == {"t": [1], "p": "raw"}


def test_the_task_id_is_an_expression() -> None:
    machine = Machine(flow(simple("a", input_parameters={"id": "${CPEWF_TASK_ID}"}))).start()
    assert machine.task("a").input.value == {"id": machine.task("a").id}


# DYNAMIC


def dynamic(**fields: Any) -> Any:
    return flow(
        op(
            "DYNAMIC", "d", dynamic_task_name_param="name",
            input_parameters={"name": "${workflow.input.n}"}, **fields,
        )
    )  # fmt: skip


def test_dynamic_takes_the_definition_of_the_task_it_turns_out_to_be() -> None:
    registered = {"real": task_def("real", retry_count=1)}
    machine = Machine(dynamic(), task_defs=registered).start({"n": "real"})
    task = machine.task("d")
    assert (task.task_type, task.def_name, task.queue) == ("real", "real", Queue("real"))
    machine.work("d", "FAILED")
    assert machine.list() == ["d FAILED", "d SCHEDULED"]
    assert machine.task("d").queue == Queue("real")


def test_an_attached_definition_goes_before_the_found_one() -> None:
    own = TaskDef(name="own", retry_count=0)
    registered = {"real": task_def("real", retry_count=5)}
    machine = Machine(dynamic(task_definition=own), task_defs=registered).start({"n": "real"})
    machine.work("d", "FAILED")
    assert machine.status == "FAILED"


@pytest.mark.parametrize("name", [None, 3, ""])
def test_s_323_dynamic_without_a_name(name: Any) -> None:
    machine = Machine(dynamic()).start({"n": name})
    assert machine.status == "FAILED"
    assert machine.list() == []
    assert reason_of(machine).startswith(
        "Cannot map a dynamic task based on the parameter and input. Parameter= name, input= {name="
    )


def test_s_326_dynamic_may_name_http_but_no_operator() -> None:
    assert Machine(dynamic()).start({"n": "HTTP"}).task("d").queue == Queue("HTTP")
    machine = Machine(dynamic()).start({"n": "FORK_JOIN"})
    assert machine.status == "FAILED"


# SWITCH and DECISION


def test_s_332_a_switch_takes_its_case() -> None:
    machine = Machine(
        flow(switch("s", "${workflow.input.c}", {"1": [simple("a")]}), simple("after"))
    ).start({"c": 1})
    task = machine.task("s")
    assert task.input.value == {"v": 1, "case": "1", "hasChildren": "true"}
    assert task.output.value == {"evaluationResult": ["1"], "selectedCase": "1"}
    assert (task.status.value, task.def_name) == ("COMPLETED", "SWITCH")
    assert machine.list() == ["s COMPLETED", "a SCHEDULED"]
    machine.work("a")
    assert machine.list()[-1] == "after SCHEDULED"


@pytest.mark.parametrize(("case", "follows"), [("empty", "after"), ("other", "d"), (None, "d")])
def test_s_331_an_empty_case_is_a_case(case: str | None, follows: str) -> None:
    machine = Machine(
        flow(
            switch("s", "${workflow.input.c}", {"empty": []}, default_case=[simple("d")]),
            simple("after"),
        )
    ).start({"c": case})
    assert machine.list() == ["s COMPLETED", f"{follows} SCHEDULED"]
    has_children = "hasChildren" in machine.task("s").input.value
    assert has_children == (follows == "d")


def decision(**fields: Any) -> Any:
    return op(
        "DECISION", "s", case_value_param="v",
        input_parameters={"v": "${workflow.input.c}", "more": 1},
        decision_cases={"a": [simple("a")], "empty": []}, default_case=[simple("d")], **fields,
    )  # fmt: skip


@pytest.mark.parametrize(("case", "follows"), [("a", "a"), ("empty", "d"), ("x", "d")])
def test_s_340_s_342_a_decision(case: str, follows: str) -> None:
    machine = Machine(flow(decision())).start({"c": case})
    assert machine.list() == ["s COMPLETED", f"{follows} SCHEDULED"]
    assert machine.task("s").input.value == {"case": case, "hasChildren": "true"}
    assert machine.task("s").output.value == {"caseOutput": [case]}


def test_s_329_a_language_that_is_not_served_ends_the_workflow() -> None:
    script = op("SWITCH", "s", evaluator_type="python", expression="1")
    machine = Machine(flow(script)).start()
    assert reason_of(machine) == "No evaluator registered for type: python"


def test_switches_without_work_run_to_the_end_in_one_start() -> None:
    """A chain longer than any call stack."""
    chain = [switch(f"s{i}", "x", {"x": []}) for i in range(400)]
    machine = Machine(flow(*chain)).start()
    assert machine.status == "COMPLETED"
    assert len(machine.transitions) == 1


def test_a_deep_nest_of_switches_leads_out_to_what_follows() -> None:
    inner = [simple("a")]
    for depth in range(60):
        inner = [switch(f"s{depth}", "x", {"x": inner})]
    machine = Machine(flow(*inner, simple("after"))).start()
    machine.work("a")
    assert machine.list()[-1] == "after SCHEDULED"


def test_a_switch_whose_input_is_too_large_fails() -> None:
    value = "x" * (PAYLOAD_BYTES_LIMIT // 2)
    machine = Machine(flow(switch("s", "${workflow.input.c}", {}))).start({"c": value})
    assert machine.status == "FAILED"
    assert machine.list() == ["s FAILED_WITH_TERMINAL_ERROR"]


# FORK_JOIN


def test_s_353_a_fork_without_a_join() -> None:
    machine = Machine(flow(fork("f", [simple("a")]), simple("b"))).start()
    assert reason_of(machine) == (
        "Fork task definition is not followed by a join task.  Check the blueprint"
    )


def test_s_354_an_empty_branch_is_no_branch() -> None:
    machine = Machine(flow(fork("f", [], [simple("a")]), join("j", "a"))).start()
    machine.work("a")
    assert machine.status == "COMPLETED"


# TERMINATE


@pytest.mark.parametrize(
    ("given", "output"), [({"a": 1}, {"a": 1}), ([1], {"output": [1]}), (None, {})]
)
def test_s_468_terminate_gives_the_output(given: Any, output: dict[str, Any]) -> None:
    definition = flow(
        terminate("t", "COMPLETED", workflowOutput="${workflow.input.o}"),
        output_parameters={"ignored": 1},
    )
    machine = Machine(definition).start({"o": given})
    assert machine.status == "COMPLETED"
    assert machine.output.value == output
    assert machine.task("t").output.value == output


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "TERMINATED"])
def test_s_232_to_s_234_terminate_says_how_it_ends(status: str) -> None:
    machine = Machine(flow(terminate("t", status), simple("never"))).start()
    task = machine.task("t")
    assert machine.status == status
    assert reason_of(machine) == f"Workflow is {status} by TERMINATE task: {task.id}"
    assert machine.header is not None
    assert machine.header.failed_task_id == (None if status == "COMPLETED" else task.id)
    assert task.status.value == "COMPLETED"


def test_s_469_an_invalid_status() -> None:
    machine = Machine(flow(terminate("t", "DONE"))).start()
    assert machine.list() == ["t FAILED"]
    assert "given termination status is not valid" in reason_of(machine)


def test_s_469_a_terminate_that_failed_may_be_tried_again() -> None:
    kind = task_def("t", retry_count=1)
    machine = Machine(flow(terminate("t", "${workflow.input.s}")), task_defs={"t": kind})
    machine.start({"s": "DONE"})
    assert machine.list() == ["t FAILED", "t FAILED"]
    assert machine.status == "FAILED"


def test_s_468_the_status_and_the_reason_may_be_values() -> None:
    task = terminate("t", "${workflow.input.s}", terminationReason="for ${workflow.input.r}")
    machine = Machine(flow(task)).start({"s": "TERMINATED", "r": "me"})
    assert (machine.status, reason_of(machine)) == ("TERMINATED", "for me")


def test_s_236_s_470_a_terminate_in_a_branch_ends_the_whole_workflow() -> None:
    branches = [[simple("a")], [simple("b"), terminate("t", "COMPLETED")]]
    machine = Machine(flow(fork("f", *branches), join("j", "a", "t"), simple("z"))).start()
    machine.work("b")
    assert machine.status == "COMPLETED"
    assert machine.list() == [
        "f COMPLETED", "a CANCELED", "b COMPLETED", "j CANCELED", "t COMPLETED",
    ]  # fmt: skip


def test_s_470_a_terminate_in_a_child_ends_only_the_child() -> None:
    world = World(
        flow(sub("c", "child"), simple("after"), name="top"),
        flow(terminate("t", "COMPLETED", workflowOutput={"x": 1}), simple("z"), name="child"),
    )
    machine = world.start("top")
    assert machine.list() == ["c COMPLETED", "after SCHEDULED"]
    assert machine.task("c").output.value["x"] == 1


def test_terminate_goes_before_a_permissive_failure() -> None:
    """Unlike S-231."""
    definition = flow(simple("a", permissive=True), terminate("t", "COMPLETED"))
    machine = Machine(definition, task_defs={"a": task_def("a")}).start()
    machine.work("a", "FAILED")
    assert machine.status == "COMPLETED"


# EVENT


@pytest.mark.parametrize(
    ("sink", "queue"), [("conductor", "conductor:w:e"), ("conductor:x", "conductor:w:x")]
)
def test_s_461_s_462_an_event(sink: str, queue: str) -> None:
    event = op("EVENT", "e", sink=sink, input_parameters={"a": 1})
    machine = Machine(flow(event)).start(correlation_id="c")
    task = machine.task("e")
    given = {"a": 1, "sink": sink, "asyncComplete": False}
    assert task.input.value == given
    assert task.output.value == {
        **given, "workflowInstanceId": "wf", "workflowType": "w", "workflowVersion": 1,
        "correlationId": "c", "taskToDomain": {}, "event_produced": queue,
    }  # fmt: skip
    assert machine.status == "COMPLETED"


def test_an_event_that_is_completed_from_outside() -> None:
    machine = Machine(flow(op("EVENT", "e", sink="conductor", async_complete=True))).start()
    assert machine.list() == ["e IN_PROGRESS"]
    machine.report("e", "IN_PROGRESS", output={"half": 1})
    assert machine.list() == ["e IN_PROGRESS"]
    machine.report("e")
    assert machine.status == "COMPLETED"


@pytest.mark.parametrize("given", [True, False])
def test_s_252_the_input_says_whether_an_event_waits(*, given: bool) -> None:
    event = op(
        "EVENT", "e", sink="conductor", async_complete=not given,
        input_parameters={"asyncComplete": "${workflow.input.a}"},
    )  # fmt: skip
    machine = Machine(flow(event)).start({"a": given})
    assert machine.list() == ["e IN_PROGRESS" if given else "e COMPLETED"]


def test_s_462_a_sink_may_be_a_value() -> None:
    event = op("EVENT", "e", sink="conductor:${workflow.input.q}")
    machine = Machine(flow(event)).start({"q": "orders"})
    assert machine.task("e").output.value["event_produced"] == "conductor:w:orders"


def test_an_event_that_waits_is_produced_again_when_it_is_tried_again() -> None:
    event = op("EVENT", "e", sink="conductor", async_complete=True)
    machine = Machine(flow(event), task_defs={"e": task_def("e", retry_count=1)}).start()
    machine.report("e", "FAILED", output={"gone": 1}, reason="no")
    assert machine.list() == ["e FAILED", "e IN_PROGRESS"]
    assert machine.task("e").output.value["event_produced"] == "conductor:w:e"


def test_s_464_a_sink_of_a_broker_fails_with_what_was_expected() -> None:
    machine = Machine(flow(op("EVENT", "e", sink="sqs:x"))).start()
    assert machine.task("e").output.value["event_produced"] == "sqs:x"
    assert machine.task("e").reason == (
        "expected sink conductor or conductor:<name>, as there is no message broker, found sqs:x"
    )


@pytest.mark.parametrize("sink", ["sqs:x", "${workflow.input.none}", "conductors"])
def test_s_464_an_unknown_sink_is_retried_after_its_delay(sink: str) -> None:
    kind = task_def("e", retry_count=1, retry_delay_seconds=5)
    machine = Machine(flow(op("EVENT", "e", sink=sink)), task_defs={"e": kind}).start()
    assert machine.list() == ["e FAILED", "e SCHEDULED"]
    machine.due("e", "retry")
    assert machine.list() == ["e FAILED", "e FAILED"]
    assert machine.status == "FAILED"


def test_an_event_is_retried_at_once_without_a_delay() -> None:
    kind = task_def("e", retry_count=3)
    machine = Machine(flow(op("EVENT", "e", sink="no")), task_defs={"e": kind}).start()
    assert machine.list() == ["e FAILED"] * 4


# SUB_WORKFLOW


def test_s_419_to_s_423_what_a_child_gets() -> None:
    params = SubWorkflowParams(
        name="${workflow.input.child}", version=2, priority="${workflow.input.p}",
        task_to_domain={"*": "${workflow.input.d}"},
    )  # fmt: skip
    task = op(
        "SUB_WORKFLOW",
        "s",
        sub_workflow_param=params,
        input_parameters={"k": "${workflow.input.p}"},
    )
    machine = Machine(flow(task)).start({"child": "c", "p": 120, "d": "dom"}, correlation_id="cc")
    record = machine.task("s")
    assert record.input.value == {
        "subWorkflowName": "c", "subWorkflowVersion": 2, "subWorkflowTaskToDomain": {"*": "dom"},
        "subWorkflowDefinition": None, "priority": 120, "idempotencyKey": None,
        "idempotencyStrategy": None, "workflowInput": {"k": 120},
    }  # fmt: skip
    assert machine.effects[0] == StartChild(
        workflow_id=record.sub_workflow_id or "", name="c", version=2,
        input=machine.effects[0].input, correlation_id="cc", priority=99,
        task_to_domain={"*": "dom"},
        parent=ParentLink(workflow_id="wf", task_id=record.id, run_epoch=0, depth=1),
    )  # fmt: skip
    assert machine.effects[0].input.value == {"k": 120}
    assert record.output.value == {"subWorkflowId": record.sub_workflow_id}


def test_s_420_a_child_without_input_gets_an_empty_one() -> None:
    machine = Machine(flow(sub("s", "c"))).start(task_to_domain={"*": "d"})
    assert machine.effects[0].input.value == {}
    assert machine.effects[0].task_to_domain == {"*": "d"}
    assert machine.effects[0].priority == 0


@pytest.mark.parametrize("text", [False, True])
def test_s_422_an_inline_definition_is_taken_as_it_is(*, text: bool) -> None:
    inline = {"name": "in", "version": 3, "tasks": [
        {"name": "x", "taskReferenceName": "x", "inputParameters": {"v": "${workflow.input.a}"}},
    ]}  # fmt: skip
    definition = "${workflow.input.def}" if text else inline
    params = SubWorkflowParams(name="other", workflow_definition=definition)
    machine = Machine(flow(op("SUB_WORKFLOW", "s", sub_workflow_param=params)))
    machine.start({"def": inline, "a": 9})
    effect = machine.effects[0]
    assert (effect.name, effect.version) == ("in", 3)
    assert msgspec.json.decode(effect.definition) == inline
    assert effect.input.value == {"_systemMetadata": {"dynamic": True}}


@pytest.mark.parametrize("params", [None, SubWorkflowParams(name="${workflow.input.none}")])
def test_s_417_a_child_without_a_name(params: SubWorkflowParams | None) -> None:
    machine = Machine(flow(op("SUB_WORKFLOW", "s", sub_workflow_param=params))).start()
    assert machine.status == "FAILED"
    assert machine.list() == []


def test_a_start_delay_holds_the_child_back() -> None:
    machine = Machine(flow(sub("s", "c", start_delay=2))).start()
    assert machine.list() == ["s SCHEDULED"]
    assert not machine.effects
    machine.due("s", "retry")
    assert machine.list() == ["s IN_PROGRESS"]
    assert len(machine.effects) == 1


def test_children_have_a_greatest_depth() -> None:
    parent = ParentLink(workflow_id="p", task_id="p.k.0", run_epoch=0, depth=DEPTH_LIMIT)
    machine = Machine(flow(sub("s", "c"))).start(parent=parent)
    assert machine.list() == ["s FAILED_WITH_TERMINAL_ERROR"]
    assert machine.task("s").reason == "expected sub-workflows at most 16 deep, found 17"


@pytest.mark.parametrize(
    ("status", "task", "workflow"),
    [
        ("COMPLETED", "COMPLETED", "COMPLETED"),
        ("FAILED", "FAILED", "FAILED"),
        ("TIMED_OUT", "TIMED_OUT", "TIMED_OUT"),
        ("TERMINATED", "CANCELED", "TERMINATED"),
    ],
)
def test_s_428_how_a_child_ended(status: str, task: str, workflow: str) -> None:
    machine = Machine(flow(sub("s", "c"))).start()
    record = machine.task("s")
    closed = CloseChild(
        task_id=record.id, run_epoch=0, child_id=record.sub_workflow_id or "", status=status,
        reason="r",
    )  # fmt: skip
    assert machine.send(closed).verdict is Verdict.OK
    assert machine.task("s").status.value == task
    assert machine.status == workflow
    assert machine.send(closed).verdict is Verdict.NOOP


def test_reports_that_nobody_awaits_are_dropped() -> None:
    machine = Machine(flow(sub("s", "c"))).start()
    record = machine.task("s")
    good = {
        "task_id": record.id,
        "run_epoch": 0,
        "child_id": record.sub_workflow_id,
        "status": "FAILED",
    }
    for wrong in (
        {"run_epoch": 1}, {"child_id": "other"}, {"status": "RUNNING"}, {"task_id": "wf.no.0"},
        {"task_id": "junk"}, {"task_id": record.id[:-1] + "7"},
    ):  # fmt: skip
        assert machine.send(CloseChild(**{**good, **wrong})).verdict is Verdict.NOOP
    assert machine.status == "RUNNING"


def test_a_child_that_cannot_start_fails_its_task() -> None:
    world = World(flow(sub("s", "missing")))
    machine = world.start("w")
    assert machine.status == "FAILED"
    assert "No such workflow defined" in (machine.task("s").reason or "")


def test_a_child_of_three_levels_returns_its_output() -> None:
    world = World(
        flow(sub("s", "mid"), output_parameters={"o": "${s.output.x}"}),
        flow(sub("m", "leaf"), name="mid"),
        flow(simple("x"), name="leaf"),
    )
    machine = world.start("w")
    leaf = next(each for each in world.machines.values() if each.definition.name == "leaf")
    assert leaf.header is not None
    assert leaf.header.depth == 2
    leaf.work("x", output={"x": 5})
    world.settle()
    assert machine.status == "COMPLETED"
    assert machine.output.value == {"o": 5}


def test_a_start_names_its_definition() -> None:
    machine = Machine(flow(simple("a"), name="named", version=4))
    machine.send(Start(name="named", version=4, digest="dd"))
    assert machine.header is not None
    assert (machine.header.name, machine.header.version, machine.header.digest) == (
        "named", 4, "dd",
    )  # fmt: skip

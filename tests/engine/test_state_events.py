"""onStateChange (S-044): what a change of a task's state raises, in the commit that changes it."""

from __future__ import annotations

from typing import Any

import pytest

from podium.engine.command import GrantLease, Pause, Restart, Resume, Retry, SkipTask, Terminate
from podium.engine.limits import EVENTS_BYTES_LIMIT, STATE_EVENT_BYTES_LIMIT
from podium.engine.raising import ENDS, moments_of
from podium.engine.transition import FetchTasks
from podium.engine.validate import validate_workflow
from podium.model.definition import decode_workflow
from podium.model.definition import encode as encoded
from podium.model.execution import TaskStatus
from tests.engine.looping import Looping, loop
from tests.engine.machine import STREAM, Machine, canceled
from tests.engine.shapes import flow, fork, join, op, simple, task_def

ALL = "onScheduled,onStart, onFailed,onSuccess,onCancelled"


def told(payload: dict[str, Any] | None = None, when: str = ALL, kind: str = "seen") -> Any:
    return {when: [{"type": kind, "payload": payload or {}}]}


def raised(machine: Machine) -> list[str]:
    """`ref moment` in order, of all commits."""
    return [f"{event.ref} {event.moment}" for event in every(machine)]


def every(machine: Machine) -> list[Any]:
    rows = [change.history for change in machine.transitions]
    return [event for row in rows if row for event in row.events]


def payloads(machine: Machine, moment: str) -> list[Any]:
    return [event.payload.value for event in every(machine) if event.moment == moment]


def test_s_044_each_change_of_state_raises_its_events_in_its_own_commit() -> None:
    change = {
        "onScheduled": [{"type": "asked", "payload": {"of": "${workflow.input.who}"}}],
        "onSuccess": [
            {"type": "done", "payload": {"y": "${a.output.y}", "status": "${a.status}"}},
            {"type": "done_too", "payload": None},
        ],
        "onFailed": [{"type": "broke"}],
    }
    definition = flow(simple("a", on_state_change=change), simple("b"))
    assert validate_workflow(definition) == []
    assert decode_workflow(encoded(definition)) == definition
    machine = Machine(definition).start({"who": "me"})
    machine.grant("a")
    machine.report("a", output={"y": 7})
    machine.work("b")
    rows = [change.history for change in machine.transitions]
    found = [[(e.moment, e.type, e.payload.value) for e in row.events] for row in rows if row]
    assert found[0] == [("onScheduled", "asked", {"of": "me"})]
    assert found[1] == []
    done = ("onSuccess", "done", {"y": 7, "status": "COMPLETED"})
    assert found[2] == [done, ("onSuccess", "done_too", {})]
    assert not any(found[3:])
    assert {event.task_id for event in every(machine)} == {machine.task("a").id}


def test_a_grant_in_the_commit_of_the_start_is_told_after_it() -> None:
    machine = Machine(flow(simple("a", on_state_change=told())))
    draft = machine.draft()
    machine.decide(draft, machine.start_command())
    ready = draft.fresh_ready()
    machine.decide(draft, GrantLease(task_id=ready[0].task_id, lease=STREAM, worker_id="w"))
    machine.commit(draft)
    assert raised(machine) == ["a onScheduled", "a onStart"]
    machine.report("a")
    assert raised(machine)[2:] == ["a onSuccess"]


def test_each_attempt_raises_its_own_and_is_read_as_it_was() -> None:
    payload = {"n": "${a.retryCount}", "out": "${a.output.n}", "id": "${CPEWF_TASK_ID}"}
    step = simple("a", on_state_change=told(payload))
    machine = Machine(flow(step), task_defs={"a": task_def("a", retry_count=1)}).start()
    first = machine.task("a").id
    machine.work("a", "FAILED", output={"n": "first"})
    second = machine.task("a").id
    machine.work("a", "FAILED", output={"n": "last"})
    attempt = ["a onScheduled", "a onStart", "a onFailed"]
    assert raised(machine) == attempt * 2
    assert payloads(machine, "onFailed") == [
        {"n": 0, "out": "first", "id": first},
        {"n": 1, "out": "last", "id": second},
    ]


def test_a_failure_that_is_forgiven_is_told_once_as_a_failure() -> None:
    step = simple("a", optional=True, on_state_change=told({"s": "${a.status}"}))
    machine = Machine(flow(step), task_defs={"a": task_def("a")}).start()
    machine.work("a", "FAILED")
    assert machine.status == "COMPLETED"
    assert raised(machine) == ["a onScheduled", "a onStart", "a onFailed"]
    assert payloads(machine, "onFailed") == [{"s": "COMPLETED_WITH_ERRORS"}]


def test_a_join_that_completes_with_errors_has_not_failed() -> None:
    member = simple("a", optional=True)
    definition = flow(fork("f", [member]), join("j", "a", on_state_change=told()))
    machine = Machine(definition, task_defs={"a": task_def("a")}).start()
    machine.work("a", "FAILED")
    assert machine.task("j").status is TaskStatus.COMPLETED_WITH_ERRORS
    assert raised(machine) == ["j onScheduled", "j onStart", "j onSuccess"]


def test_a_pause_between_failure_and_forgiveness_tells_it_once() -> None:
    step = simple("a", optional=True, on_state_change=told())
    machine = Machine(flow(step), task_defs={"a": task_def("a")}).start()
    machine.grant("a")
    machine.send(Pause())
    machine.report("a", "FAILED")
    machine.send(Resume())
    machine.run_effects()
    assert machine.status == "COMPLETED"
    assert raised(machine) == ["a onScheduled", "a onStart", "a onFailed"]


def test_what_ends_with_its_workflow_is_cancelled_and_a_skipped_task_tells_nothing() -> None:
    machine = Machine(flow(simple("a", on_state_change=told()), simple("b"))).start()
    machine.send(Terminate())
    assert canceled(machine.task("a"))
    assert raised(machine) == ["a onScheduled", "a onCancelled"]
    skipping = Machine(flow(simple("x"), simple("a", on_state_change=told()))).start()
    skipping.send(SkipTask(ref="a"))
    skipping.work("x")
    assert (skipping.status, raised(skipping)) == ("COMPLETED", [])


def test_an_operator_passes_all_of_it_at_once_and_is_read_with_its_output() -> None:
    step = op(
        "SET_VARIABLE", "s", input_parameters={"v": 1},
        on_state_change=told({"v": "${workflow.variables.v}", "all": "${s.input}"}),
    )  # fmt: skip
    machine = Machine(flow(step, simple("b"))).start()
    assert raised(machine) == ["s onScheduled", "s onStart", "s onSuccess"]
    assert payloads(machine, "onSuccess") == [{"v": 1, "all": {"v": 1}}]


def test_a_retried_execution_tells_its_new_attempts_only() -> None:
    machine = Machine(
        flow(simple("a", on_state_change=told()), simple("b", on_state_change=told())),
        task_defs={"b": task_def("b")},
    ).start()
    machine.work("a")
    machine.work("b", "FAILED")
    before = len(every(machine))
    machine.send(Retry())
    machine.run_effects()
    machine.work("b")
    again = ["b onScheduled", "b onStart", "b onSuccess"]
    assert (machine.status, raised(machine)[before:]) == ("COMPLETED", again)
    machine.send(Restart())
    machine.run_effects()
    assert raised(machine)[before + 3 :] == ["a onScheduled"]


def test_iterations_that_come_and_go_within_a_commit_are_told() -> None:
    body = op("INLINE", "i", input_parameters={"evaluatorType": "value-param", "expression": "n",
              "n": "${l.output.iteration}"}, on_state_change=told(
                  {"n": "${i.output.result}", "it": "${i.iteration}"}, "onSuccess"))  # fmt: skip
    given = {"keepLastN": 1}
    definition = flow(loop(body, n=4, given=given))
    machine = Looping(definition).start()
    machine.run_effects()
    assert machine.status == "COMPLETED"
    assert [event["it"] for event in payloads(machine, "onSuccess")] == [1, 2, 3, 4]
    assert len({event.task_id for event in every(machine)}) == 4


def test_branches_of_a_dynamic_fork_raise_what_their_documents_say() -> None:
    change = {"onSuccess": [{"type": "part", "payload": {"x": "${b1.output.x}"}}]}
    tasks = [{"name": "t", "taskReferenceName": "b1", "type": "SIMPLE", "onStateChange": change},
             {"name": "t", "taskReferenceName": "b2", "type": "SIMPLE"}]  # fmt: skip
    dynamic = op("FORK_JOIN_DYNAMIC", "f", dynamic_fork_tasks_param="tasks",
                 dynamic_fork_tasks_input_param_name="inputs",
                 input_parameters={"tasks": "${workflow.input.t}", "inputs": {}})  # fmt: skip
    machine = Machine(flow(dynamic, join("j")), task_defs={"t": task_def("t")})
    machine.start({"t": tasks})
    machine.work("b2")
    assert not every(machine)
    machine.work("b1", output={"x": 3})
    assert [(e.type, e.payload.value) for e in every(machine)] == [("part", {"x": 3})]
    assert machine.status == "COMPLETED"


def test_a_payload_over_its_limit_is_left_out_and_the_workflow_goes_on() -> None:
    big = "x" * (STATE_EVENT_BYTES_LIMIT + 1)
    step = simple("a", on_state_change=told({"all": "${a.output.big}"}, "onSuccess"))
    machine = Machine(flow(step)).start()
    machine.work("a", output={"big": big})
    (event,) = every(machine)
    assert machine.status == "COMPLETED"
    assert (event.payload.value, event.type) == ({}, "seen")
    assert event.error.startswith(
        f"expected a payload of at most {STATE_EVENT_BYTES_LIMIT} bytes as JSON, found 65"
    )


def test_the_events_of_a_commit_are_bounded_together() -> None:
    size = STATE_EVENT_BYTES_LIMIT - 100
    count = EVENTS_BYTES_LIMIT // size + 2
    some = {"onScheduled": [{"type": "seen", "payload": {"x": "${workflow.input.x}"}}]}
    branches = [[simple(f"a{index}", on_state_change=some)] for index in range(count)]
    machine = Machine(flow(fork("f", *branches), join("j")))
    machine.start({"x": "x" * size})
    found = every(machine)
    assert len(found) == count
    assert sum(len(event.payload) for event in found) <= EVENTS_BYTES_LIMIT
    over = [event.error for event in found if event.error]
    limit = f"at most {EVENTS_BYTES_LIMIT} bytes with all events of the commit"
    assert over == [f"expected a payload of {limit}, found more"] * 2


def test_a_value_put_together_beyond_all_limits_is_left_out() -> None:
    many = {"x": ["${workflow.input.x}"] * 64}
    machine = Machine(flow(simple("a", on_state_change=told(many, "onScheduled"))))
    machine.start({"x": "x" * 900_000})
    (event,) = every(machine)
    assert event.error.startswith("expected a payload of at most 65536 bytes as JSON: ")
    assert machine.status == "RUNNING"


def test_nothing_is_fetched_for_events_that_nobody_asked_for() -> None:
    machine = Machine(flow(simple("a"), simple("b"))).start()
    machine.work("a")
    fetched = len([need for need in machine.needs if isinstance(need, FetchTasks)])
    other = Machine(flow(simple("a"), simple("b", on_state_change=told()))).start()
    other.work("a")
    assert len([need for need in other.needs if isinstance(need, FetchTasks)]) == fetched


def test_every_end_has_its_moment() -> None:
    ends = {status for status in TaskStatus if status.terminal}
    assert ends - ENDS.keys() == {TaskStatus.SKIPPED}
    machine = Machine(flow(simple("a", on_state_change=told()))).start()
    task = machine.task("a")
    assert moments_of(task, task) == []


@pytest.mark.parametrize(
    ("value", "place", "message"),
    [
        ([1], "", "expected an object of lists of events, found [1]"),
        ({"onEnd": []}, ".onEnd", "found onEnd"),
        ({"onStart,": []}, ".onStart,", "found onStart,"),
        ({"onStart": {}}, ".onStart", "expected a list of events, found {}"),
        ({"onStart": [1]}, ".onStart[0]", "expected an object with type and payload, found 1"),
        ({"onStart": [{}]}, ".onStart[0].type", "expected a name, found None"),
        ({"onStart": [{"type": " "}]}, ".onStart[0].type", "expected a name, found none"),
        ({"onStart": [{"type": "a", "payload": 1}]}, ".onStart[0].payload",
         "expected an object, found 1"),
        ({"onStart": [{"type": "a"}] * 11}, ".onStart", "expected at most 10 events, found 11"),
        ({"onStart": [{"type": "a", "payload": {"x": "${no.output}"}}]},
         ".onStart[0].payload.x", "expected a reference of this definition, found no"),
    ],
)  # fmt: skip
def test_a_fault_is_refused_at_its_place(value: Any, place: str, message: str) -> None:
    found = validate_workflow(flow(simple("a", on_state_change=value)))
    assert [(each.place, message in each.message) for each in found] == [
        (f"tasks[0].onStateChange{place}", True)
    ]


def test_what_was_stored_before_it_was_checked_raises_nothing() -> None:
    for odd in (3, {"onStart": 3}, {"onStart": [3, {"type": 4}], "odd": [{"type": "a"}]}):
        machine = Machine(flow(simple("a", on_state_change=odd))).start()
        machine.work("a")
        assert (machine.status, every(machine)) == ("COMPLETED", [])

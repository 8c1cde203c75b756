"""What one decision does (section 2): order, records, completion, outputs, deadlines."""

from __future__ import annotations

import pytest

from podium.engine.command import (
    FailFailureWorkflow,
    ReportResult,
    Rerun,
    SkipTask,
    Terminate,
    Verdict,
)
from podium.model.execution import TaskStatus
from tests.engine.machine import T0, Machine
from tests.engine.shapes import flow, fork, join, op, simple, switch, task_def, terminate
from tests.engine.world import World


def test_s_198_nothing_is_scheduled_after_the_end() -> None:
    machine = Machine(flow(fork("f", [simple("a"), simple("c")], [simple("b")]), join("j", "c")))
    machine.start()
    machine.grant("a")
    machine.send(Terminate())
    ended = machine.list()
    assert ended == ["f COMPLETED", "a CANCELED", "b CANCELED", "j CANCELED"]
    for ref in ("a", "b"):
        assert machine.report(ref).verdict is Verdict.CLOSED
    assert machine.list() == ended


def test_s_201_s_204_what_a_commit_holds() -> None:
    machine = Machine(flow(simple("a"), fork("f", [simple("b")], [op("WAIT", "w")]), join("j")))
    machine.start()
    machine.now_ms += 10
    machine.work("a")
    change = machine.transitions[-1]
    assert {task.ref for task in change.tasks.values()} == {"a", "f", "b", "w", "j"}
    assert [each.task_id for each in change.ready] == [machine.task("b").id]
    assert [machine.task(ref).seq for ref in ("a", "f", "b", "w", "j")] == [1, 2, 3, 4, 5]
    for ref in ("f", "b", "w", "j"):
        task = machine.task(ref)
        assert task.scheduled_ms == task.first_scheduled_ms == T0 + 10


def test_s_207_when_a_task_counts_as_started() -> None:
    http = op("HTTP", "call", input_parameters={"uri": "u"})
    branches = [simple("a")], [op("WAIT", "w")], [op("HUMAN", "h")], [http]
    machine = Machine(flow(fork("f", *branches), join("j", "a", "w", "h"))).start()
    assert machine.task("a").start_ms == machine.task("call").start_ms == 0
    assert {machine.task(ref).start_ms for ref in ("f", "w", "h", "j")} == {T0}
    machine.now_ms += 7
    machine.grant("a")
    machine.grant("call")
    assert machine.task("a").start_ms == machine.task("call").start_ms == T0 + 7


def test_s_208_s_209_chains_of_operators_run_to_their_end_at_once() -> None:
    variable = op("SET_VARIABLE", "v", input_parameters={"x": 1})
    choice = switch("s", "${workflow.variables.x}", {"1": [op("NOOP", "n")]})
    forked = fork("f", [op("NOOP", "m")], []), join("j", "m")
    event = op("EVENT", "e", sink="conductor")
    end = terminate("t", "COMPLETED", workflowOutput={"x": "${workflow.variables.x}"})
    machine = Machine(flow(variable, choice, *forked, event, end, simple("never"))).start()
    assert machine.status == "COMPLETED"
    assert len(machine.transitions) == 1
    assert machine.output.value == {"x": 1}
    assert [line.split()[0] for line in machine.list()] == [
        "v", "s", "n", "f", "m", "j", "e", "t",
    ]  # fmt: skip


def test_s_212_s_213_a_finished_workflow_is_not_begun_again() -> None:
    machine = Machine(flow(simple("a"))).start()
    assert machine.list() == ["a SCHEDULED"]
    machine.work("a")
    commits = len(machine.transitions)
    late = ReportResult(task_id=machine.task("a").id, status=TaskStatus.COMPLETED)
    assert machine.send(late).verdict is Verdict.CLOSED
    assert (machine.list(), len(machine.transitions)) == (["a COMPLETED"], commits)


def test_s_215_order_of_what_is_looked_at() -> None:
    """A task that timed out is retried or given up before anything follows it."""
    kinds = {"a": task_def("a", retry_count=1, timeout_seconds=5, timeout_policy="RETRY")}
    machine = Machine(flow(simple("a"), simple("b")), task_defs=kinds).start()
    machine.grant("a")
    machine.due("a", "timeout")
    assert machine.list() == ["a TIMED_OUT", "a SCHEDULED"]
    machine.grant("a")
    machine.due("a", "timeout")
    assert machine.list() == ["a TIMED_OUT", "a TIMED_OUT"]
    assert machine.status == "TIMED_OUT"


def test_s_224_s_226_branches_that_end_together() -> None:
    branches = [[simple(ref), simple(f"{ref}2")] for ref in ("a", "b")]
    machine = Machine(flow(fork("f", *branches), join("j", "a2", "b2"), simple("c"))).start()
    for refs in (("a", "b"), ("a2", "b2")):
        machine.send(
            *(
                ReportResult(task_id=machine.task(ref).id, status=TaskStatus.COMPLETED)
                for ref in refs
            )
        )
    assert [line.split()[0] for line in machine.list()].count("c") == 1
    assert machine.list()[-3:] == ["a2 COMPLETED", "b2 COMPLETED", "c SCHEDULED"]


def test_s_227_complete_when_the_last_task_is() -> None:
    choice = switch("s", "x", {"x": [simple("in")]}, default_case=[simple("never")])
    machine = Machine(flow(simple("a"), choice, simple("last"))).start()
    for ref in ("a", "in"):
        machine.work(ref)
        assert machine.status == "RUNNING"
    machine.work("last")
    assert machine.status == "COMPLETED"


def test_s_228_nothing_that_was_passed_keeps_it_from_completing() -> None:
    machine = Machine(flow(simple("a"), simple("b"), simple("c"))).start()
    machine.send(SkipTask(ref="b"))
    machine.work("a")
    machine.work("c")
    assert machine.status == "COMPLETED"
    machine.send(Rerun(task_ids=(machine.task("c").id,)))
    assert machine.status == "RUNNING"
    machine.work("c")
    assert machine.status == "COMPLETED"


def test_s_238_without_tasks_there_is_no_output() -> None:
    machine = Machine(flow()).start({"x": 1})
    assert (machine.status, machine.output.value) == ("COMPLETED", {})


@pytest.mark.parametrize("parameters", [{}, {"o": "${a.output.x}"}])
def test_s_237_which_output_a_workflow_has(parameters: dict[str, str]) -> None:
    definition = flow(
        fork("f", [simple("a")], [simple("b")]), join("j", "a"), output_parameters=parameters
    )
    machine = Machine(definition, task_defs={"b": task_def("b")}).start()
    machine.work("a", output={"x": 1})
    machine.work("b", "FAILED", output={"why": 1})
    assert machine.output.value == ({"o": 1} if parameters else {"a": {"x": 1}})


def test_s_245_to_s_247_deadlines_are_stored_when_they_are_set() -> None:
    kinds = {
        "a": task_def("a", poll_timeout_seconds=9, response_timeout_seconds=3600, timeout_seconds=5)
    }
    wait = op("WAIT", "w", input_parameters={"duration": "90s"})
    branches = [simple("a")], [wait], [op("HUMAN", "h")], [op("WAIT", "for_ever")]
    machine = Machine(
        flow(fork("f", *branches), join("j", "a"), timeout_seconds=7000), task_defs=kinds
    ).start()
    task_id = machine.task("a").id
    waits = {("", "workflow"): T0 + 7_000_000, (machine.task("w").id, "wait"): T0 + 90_000}
    assert machine.deadlines == {**waits, (task_id, "poll"): T0 + 9_000}
    machine.grant("a")
    assert machine.deadlines == {
        **waits, (task_id, "response"): T0 + 3_600_000, (task_id, "timeout"): T0 + 5_000,
    }  # fmt: skip


def test_s_261_s_262_times_of_tasks_and_of_the_workflow() -> None:
    machine = Machine(flow(simple("a"), simple("b"))).start()
    machine.now_ms += 10
    machine.grant("a")
    assert machine.task("a").update_ms == T0 + 10
    machine.now_ms += 10
    machine.report("a")
    task, header = machine.task("a"), machine.header
    assert (task.update_ms, task.end_ms) == (T0 + 10, T0 + 20)
    assert header is not None
    assert (header.updated_ms, header.ended_ms) == (T0 + 20, 0)
    machine.now_ms += 10
    machine.work("b")
    assert machine.header is not None
    assert machine.header.ended_ms == machine.header.updated_ms == T0 + 30
    machine.now_ms += 10
    machine.send(FailFailureWorkflow(name="fw", reason="gone"))
    assert (machine.header.ended_ms, machine.header.updated_ms) == (T0 + 30, T0 + 40)


def test_s_265_names_and_types_of_tasks() -> None:
    given = {"forkTaskInputs": [1], "forkTaskName": "k"}
    definition = flow(
        simple("a", "named"),
        op("DYNAMIC", "d", dynamic_task_name_param="n", input_parameters={"n": "real"}),
        op("MY_TYPE", "m"),
        fork("f", [op("NOOP", "n")]),
        join("j", "n"),
        op("FORK_JOIN_DYNAMIC", "g", input_parameters=given),
        op("JOIN", "k"),
    )
    machine = Machine(definition).start()
    for ref in ("a", "d", "m"):
        machine.work(ref)
    machine.work("_k_0")
    assert {ref: (machine.task(ref).task_type, machine.task(ref).def_name)
            for ref in ("a", "d", "m", "n", "f", "j", "g", "k")} == {
        "a": ("named", "named"), "d": ("real", "real"), "m": ("MY_TYPE", "m"), "n": ("NOOP", "n"),
        "f": ("FORK", "FORK"), "j": ("JOIN", "j"), "g": ("FORK", "FORK"), "k": ("JOIN", "JOIN"),
    }  # fmt: skip


def test_s_306_what_runs_in_the_decision_and_what_is_handed_out() -> None:
    world = World(
        flow(
            fork("f", [op("NOOP", "n")], [op("WAIT", "w", input_parameters={"duration": "1s"})],
                 [op("HTTP", "h", input_parameters={"uri": "u"})]),
            join("j", "n"),
        )
    )  # fmt: skip
    machine = world.start("w")
    assert machine.list() == [
        "f COMPLETED", "n COMPLETED", "w IN_PROGRESS", "h SCHEDULED", "j COMPLETED",
    ]  # fmt: skip
    assert set(machine.ready) == {machine.task("h").id}

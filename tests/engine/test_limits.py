"""Limits and rare turns of the engine: what is too large, too many, or came in between."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from podium.engine.changes import collect
from podium.engine.command import Continue, ReportResult, Terminate, Verdict
from podium.engine.limits import PAYLOAD_BYTES_LIMIT, TASKS_LIMIT
from podium.engine.schedule import limits_of
from podium.engine.work import Cursor, Step, write_cursor
from podium.model.execution import TaskStatus
from podium.model.queue import UNLIMITED
from tests.engine.machine import Machine
from tests.engine.shapes import flow, op, simple, switch, task_def

HALF = "x" * (PAYLOAD_BYTES_LIMIT // 2)


def reason_of(machine: Machine) -> str:
    assert machine.header is not None
    return machine.header.reason or ""


def with_count(machine: Machine, count: int) -> None:
    assert machine.header is not None
    machine.header = replace(machine.header, task_count=count)


def test_one_task_too_many() -> None:
    machine = Machine(flow(simple("a"), simple("b"))).start()
    with_count(machine, TASKS_LIMIT)
    machine.work("a")
    assert reason_of(machine) == (
        "expected at most 100000 tasks in one execution, found one more: b"
    )


def test_one_retry_too_many() -> None:
    kinds = {"a": task_def("a", retry_count=3)}
    machine = Machine(flow(simple("a")), task_defs=kinds).start()
    with_count(machine, TASKS_LIMIT)
    machine.work("a", "FAILED")
    assert "found a retry of wf." in reason_of(machine)


def test_a_retry_whose_input_became_too_large_fails_for_good() -> None:
    kinds = {"a": task_def("a", retry_count=3)}
    parameters = {"v": "${b.output}", "w": "${b.output}"}
    definition = flow(
        op(
            "FORK_JOIN", "f", fork_tasks=[[simple("a", input_parameters=parameters)], [simple("b")]]
        ),
        op("JOIN", "j", join_on=["a"]),
    )
    machine = Machine(definition, task_defs=kinds).start()
    machine.work("b", output={"big": HALF})
    machine.work("a", "FAILED")
    task = machine.task("a")
    assert (task.status, task.attempt) == (TaskStatus.FAILED_WITH_TERMINAL_ERROR, 1)
    assert machine.status == "FAILED"


@pytest.mark.parametrize(
    "task",
    [
        switch("x", "${workflow.input.c}", {}, optional=True),
        op("TERMINATE", "x", optional=True),
    ],
)
def test_an_optional_operator_that_fails_at_once_is_forgiven(task: object) -> None:
    machine = Machine(flow(task, simple("after"))).start({"c": HALF})  # type: ignore[arg-type]
    assert machine.list() == ["x COMPLETED_WITH_ERRORS", "after SCHEDULED"]


def test_limits_without_a_definition() -> None:
    assert limits_of(None) is UNLIMITED


def test_results_for_tasks_that_wait_to_be_cancelled_change_nothing() -> None:
    count = 1100
    definition = flow(
        op("FORK_JOIN", "f", fork_tasks=[[simple(f"b{i}", "k")] for i in range(count)]),
        op("JOIN", "j", join_on=["b0"]),
    )
    machine = Machine(definition, whole=True).start()
    machine.run_effects()
    machine.send(Terminate())
    waiting = next(task for task in machine.tasks.values() if not task.status.terminal)
    late = ReportResult(task_id=waiting.id, status=TaskStatus.COMPLETED)
    assert machine.send(late).verdict is Verdict.CLOSED
    assert machine.send(Terminate(reason="again")).verdict is Verdict.NOOP
    machine.run_effects()
    assert all(task.status.terminal for task in machine.tasks.values())


def test_a_delayed_operator_that_ended_meanwhile_is_not_begun() -> None:
    kinds = {"e": task_def("e", retry_count=1, retry_delay_seconds=5)}
    definition = flow(op("EVENT", "e", sink="no", optional=True), simple("after"))
    machine = Machine(definition, task_defs=kinds).start()
    machine.report("e")
    assert machine.header is not None
    machine.header = replace(machine.header, pending=(7,))
    cursor = write_cursor(Cursor(7, (), (Step("begin", key=machine.task("e").key),)))
    assert machine.send(Continue(cursor=cursor)).verdict is Verdict.OK
    assert machine.list() == ["e FAILED", "e COMPLETED", "after SCHEDULED"]


def test_an_event_whose_retry_waits_for_an_update() -> None:
    kinds = {"e": task_def("e", retry_count=1, timeout_seconds=5)}
    definition = flow(op("EVENT", "e", sink="conductor", async_complete=True))
    machine = Machine(definition, task_defs=kinds).start()
    machine.report("e", "FAILED")
    assert machine.list() == ["e FAILED", "e IN_PROGRESS"]
    assert machine.deadlines == {(machine.task("e").id, "timeout"): machine.now_ms + 5000}


def test_an_expression_that_turns_out_to_name_a_task() -> None:
    parameters = {"v": "${${workflow.input.ref}.output.v}"}
    machine = Machine(flow(simple("a"), simple("b", input_parameters=parameters)))
    machine.start({"ref": "a"})
    machine.work("a", output={"v": 3})
    assert machine.task("b").input.value == {"v": 3}


def test_a_draft_on_which_nothing_changed() -> None:
    machine = Machine(flow(simple("a"))).start()
    draft = machine.draft()
    assert collect(draft, "nobody") is None
    assert draft.fresh_ready() == ()


@pytest.mark.parametrize("kind", ["FORK_JOIN", "FORK_JOIN_DYNAMIC"])
def test_a_fork_that_is_too_large_is_not_forgiven(kind: str) -> None:
    elements = [{"name": "k", "taskReferenceName": "r"}]
    parameters = {"v": "${workflow.input.c}", "w": "${workflow.input.c}", "t": elements, "i": {}}
    task = op(
        kind, "f", optional=True, input_parameters=parameters, fork_tasks=[[simple("a")]],
        dynamic_fork_tasks_param="t", dynamic_fork_tasks_input_param_name="i",
    )  # fmt: skip
    machine = Machine(flow(task, op("JOIN", "j"))).start({"c": HALF})
    assert machine.status == "FAILED"
    assert "expected a task input of at most" in reason_of(machine)


@pytest.mark.parametrize(
    "parameters",
    [
        {f"p{n}": "${a.output}" for n in range(2_000)},
        {"text": "${a.output.big}" * 2_000},
        {"list": ["${a.output.big}"] * 2_000},
    ],
    ids=["whole outputs", "one text", "a list"],
)
def test_a_value_named_again_and_again_does_not_outgrow_the_memory(parameters: Any) -> None:
    machine = Machine(flow(simple("a"), simple("b", input_parameters=parameters))).start()
    machine.work("a", output={"big": HALF, "small": 1})
    assert machine.status == "FAILED"
    assert "expected a value put together by expressions of at most 10485760" in reason_of(machine)


def test_many_small_values_of_a_large_output_are_fine() -> None:
    parameters = {f"p{n}": "${a.output.small}" for n in range(2_000)}
    machine = Machine(flow(simple("a"), simple("b", input_parameters=parameters))).start()
    machine.work("a", output={"big": HALF, "small": 1})
    assert machine.task("b").input.value["p7"] == 1

"""Deadlines when they are due, by kind and policy; those that are not armed any more do nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from podium.engine.command import Due, LoseLease, Verdict
from tests.engine.machine import T0, Machine
from tests.engine.shapes import flow, op, simple, task_def

if TYPE_CHECKING:
    from podium.model.queue import DeadlineKind


def one(*, optional: bool = False, permissive: bool = False, **fields: Any) -> Machine:
    task = simple("a", optional=optional, permissive=permissive)
    return Machine(flow(task, simple("b")), task_defs={"a": task_def("a", **fields)}).start()


def reason_of(machine: Machine) -> str:
    assert machine.header is not None
    return machine.header.reason or ""


def test_s_291_a_response_timeout_asks_no_policy() -> None:
    machine = one(response_timeout_seconds=7, timeout_policy="ALERT_ONLY")
    machine.grant("a")
    machine.due("a", "response")
    task = machine.task("a")
    text = f"responseTimeout: 7 exceeded for the taskId: {task.id} with Task Definition: a"
    assert task.reason == text
    assert machine.status == "TIMED_OUT"
    assert (
        reason_of(machine) == f"Task {task.id} failed with status: TIMED_OUT and reason: '{text}'"
    )
    assert machine.transitions[-1].cancels[0].reason == "the task timed out"


RAN_TOO_LONG = (
    "Task timed out after 5 seconds. Timeout configured as 5 seconds. Timeout policy configured to"
    " TIME_OUT_WF"
)
NOT_POLLED = (
    "Task poll timed out after 5 seconds. Poll timeout configured as 5 seconds. Timeout policy"
    " configured to TIME_OUT_WF"
)
ALL_TOO_LONG = (
    "Task a/{id} exceeded total timeout of 5 seconds (elapsed 5 seconds across all attempts"
    " including retry delays). Timeout policy: TIME_OUT_WF"
)


@pytest.mark.parametrize(
    ("kind", "field", "text"),
    [
        ("timeout", "timeout_seconds", RAN_TOO_LONG),
        ("poll", "poll_timeout_seconds", NOT_POLLED),
        ("total", "total_timeout_seconds", ALL_TOO_LONG),
    ],
)
def test_s_284_time_out_wf_ends_the_workflow(kind: DeadlineKind, field: str, text: str) -> None:
    kinds: dict[str, Any] = {"retry_count": 3, field: 5}
    machine = one(**kinds)
    if kind == "timeout":
        machine.grant("a")
    machine.due("a", kind)
    task = machine.task("a")
    assert machine.status == "TIMED_OUT"
    assert task.status.value == "TIMED_OUT"
    assert task.reason == text.format(id=task.id)
    assert reason_of(machine) == task.reason
    assert machine.header is not None
    assert machine.header.failed_task_id == task.id


def test_an_optional_task_is_forgiven_its_timeout() -> None:
    """Unlike S-220."""
    machine = one(optional=True, timeout_seconds=5)
    machine.grant("a")
    machine.due("a", "timeout")
    assert machine.list() == ["a COMPLETED_WITH_ERRORS", "b SCHEDULED"]


def test_s_284_alert_only_is_counted_once() -> None:
    machine = one(timeout_policy="ALERT_ONLY", timeout_seconds=5)
    machine.grant("a")
    command = Due(task_id=machine.task("a").id, kind="timeout", at_ms=T0 + 5000)
    machine.due("a", "timeout")
    assert machine.send(command).verdict is Verdict.NOOP
    assert machine.header is not None
    assert machine.header.alert_count == 1
    machine.report("a")
    assert machine.status == "RUNNING"


def test_a_poll_timeout_runs_from_the_moment_the_task_is_ready() -> None:
    """Unlike S-287 and S-289."""
    machine = one(poll_timeout_seconds=5, timeout_policy="RETRY", retry_count=1,
                  retry_delay_seconds=60)  # fmt: skip
    machine.due("a", "poll")
    task = machine.task("a")
    assert machine.deadlines[task.id, "poll"] == T0 + 5000 + 60_000 + 5000
    machine.due("a", "retry")
    machine.work("a", "IN_PROGRESS", callback_after_ms=7000)
    assert machine.deadlines[task.id, "poll"] == machine.now_ms + 12_000


def test_the_total_timeout_counts_from_the_first_attempt() -> None:
    machine = one(total_timeout_seconds=5, retry_count=9, timeout_policy="RETRY")
    machine.now_ms += 3000
    machine.work("a", "FAILED")
    assert machine.deadlines[machine.task("a").id, "total"] == T0 + 5000
    machine.now_ms = T0 + 5000
    machine.work("a", "FAILED")
    task = machine.task("a")
    assert machine.status == "FAILED"
    assert reason_of(machine) == (
        f"Task {task.id}/a exceeded total timeout of 5 seconds (elapsed 5 seconds across all"
        " attempts). No further retries will be attempted."
    )


def test_s_281_the_total_timeout_ends_the_workflow_although_the_task_is_optional() -> None:
    machine = one(optional=True, total_timeout_seconds=5, retry_count=9, timeout_policy="RETRY")
    machine.due("a", "total")
    assert machine.status == "TIMED_OUT"


def test_a_permissive_task_that_times_out_lets_the_flow_go_on() -> None:
    machine = one(permissive=True, response_timeout_seconds=5)
    machine.grant("a")
    machine.due("a", "response")
    assert machine.list() == ["a TIMED_OUT", "b SCHEDULED"]
    machine.work("b")
    assert machine.status == "FAILED"
    assert "failed with status: TIMED_OUT" in reason_of(machine)


def test_an_operator_with_a_timeout() -> None:
    """S-286: a JOIN that times out is never retried."""
    definition = flow(
        op("FORK_JOIN", "f", fork_tasks=[[simple("a")]]), op("JOIN", "j", join_on=["a"])
    )
    kinds = {"j": task_def("j", timeout_seconds=5, timeout_policy="RETRY", retry_count=5)}
    machine = Machine(definition, task_defs=kinds).start()
    machine.due("j", "timeout")
    assert machine.status == "TIMED_OUT"
    assert machine.task("a").status.value == "CANCELED"
    assert not machine.joins


def test_deadlines_that_are_not_armed_do_nothing() -> None:
    machine = one(response_timeout_seconds=5, retry_count=1)
    first = machine.task("a").id
    machine.grant("a")
    machine.send(LoseLease(task_id=first, lease_epoch=1))
    commits = len(machine.transitions)
    wrong: list[tuple[str, DeadlineKind, int]] = [
        (first, "response", T0 + 5000), (first, "response", T0 + 4999), (first, "poll", T0),
        ("wf.none.0", "poll", T0), ("", "workflow", T0), ("", "poll", T0),
    ]  # fmt: skip
    for task_id, kind, at_ms in wrong:
        assert machine.send(Due(task_id=task_id, kind=kind, at_ms=at_ms)).verdict is Verdict.NOOP
    machine.grant("a")
    machine.due("a", "response")
    gone = Due(task_id=first, kind="response", at_ms=T0 + 5000)
    assert machine.send(gone).verdict is Verdict.NOOP
    assert len(machine.transitions) == commits + 2


def test_a_deadline_is_due_although_the_clock_here_is_behind() -> None:
    machine = one(timeout_seconds=5)
    machine.grant("a")
    at_ms = machine.deadlines[machine.task("a").id, "timeout"]
    machine.send(Due(task_id=machine.task("a").id, kind="timeout", at_ms=at_ms))
    assert machine.header is not None
    assert machine.header.ended_ms == at_ms


def test_time_never_runs_backwards() -> None:
    machine = one()
    machine.now_ms += 500
    machine.grant("a")
    machine.now_ms -= 400
    machine.report("a")
    assert machine.task("a").end_ms == T0 + 500
    assert machine.header is not None
    assert machine.header.updated_ms == T0 + 500

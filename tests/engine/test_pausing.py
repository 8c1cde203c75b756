"""Pause, resume, callbacks, skipped tasks: what waits, what goes on, and that nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from podium.engine.command import (
    Command,
    Pause,
    Rejected,
    ResetCallbacks,
    Resume,
    Retry,
    SkipTask,
    Terminate,
    Verdict,
)
from podium.engine.timing import HELD_MS
from podium.model.execution import TaskStatus
from podium.model.payload import Payload
from tests.engine.looping import LESS, Looping, loop
from tests.engine.machine import T0, Machine
from tests.engine.shapes import flow, fork, join, op, simple, sub, switch, task_def

if TYPE_CHECKING:
    from podium.model.queue import DeadlineKind


def rejected(machine: Machine, command: Command) -> Rejected:
    before = (machine.header, dict(machine.tasks), len(machine.transitions))
    with pytest.raises(Rejected) as found:
        machine.send(command)
    assert (machine.header, dict(machine.tasks), len(machine.transitions)) == before
    return found.value


def test_s_076_s_080_what_ends_during_a_pause_is_followed_when_it_is_over() -> None:
    defs = {"b": task_def("b", retry_count=1)}
    branches = [simple("a"), simple("a2")], [simple("b")], [simple("c")]
    machine = Machine(flow(fork("f", *branches), join("j", "a2", "b", "c"), simple("d")),
                      task_defs=defs).start()  # fmt: skip
    granted = machine.grant("c")
    machine.send(Pause())
    assert machine.status == "PAUSED"
    assert machine.send(Pause()).verdict is Verdict.NOOP
    machine.work("a")  # what is ready is handed out
    machine.work("b", "FAILED")
    machine.report("c", lease_epoch=granted.lease_epoch)
    before = machine.list()
    assert before[-1] == "j IN_PROGRESS"
    machine.send(Resume())
    assert machine.status == "RUNNING"
    assert machine.list() == [*before, "a2 SCHEDULED", "b SCHEDULED"]
    machine.work("a2")
    machine.work("b")
    assert machine.list()[-1] == "d SCHEDULED"


def test_s_076_no_timeout_and_no_delay_ends_during_a_pause_and_none_is_lost() -> None:
    defs = {
        "a": task_def("a", timeout_seconds=5, timeout_policy="RETRY", retry_count=1),
        "b": task_def("b", retry_count=1, retry_delay_seconds=7),
    }
    waits = op("WAIT", "w", input_parameters={"duration": "3s"})
    branches = [simple("a")], [simple("b")], [waits]
    machine = Machine(flow(fork("f", *branches), join("j", "a", "b", "w")), task_defs=defs).start()
    machine.grant("a")
    machine.work("b", "FAILED")
    machine.send(Pause())
    due: list[tuple[str, DeadlineKind]] = [("a", "timeout"), ("b", "retry"), ("w", "wait")]
    for ref, kind in due:
        machine.due(ref, kind)
    assert sorted(machine.deadlines.values())[-3:] == [HELD_MS] * 3
    assert machine.task("a").status is TaskStatus.IN_PROGRESS
    machine.send(Resume())
    now_ms = machine.now_ms
    assert sorted(machine.deadlines.values())[:3] == [now_ms] * 3
    machine.due("a", "timeout")
    machine.due("b", "retry")
    machine.due("w", "wait")
    assert machine.task("b").id in machine.ready
    machine.work("a")
    machine.work("b")
    assert machine.status == "COMPLETED"


def test_a_paused_execution_times_out_and_resuming_starts_its_clock_anew() -> None:
    settings: dict[str, Any] = {"timeout_seconds": 60, "timeout_policy": "TIME_OUT_WF"}
    machine = Machine(flow(simple("a"), **settings)).start()
    machine.send(Pause())
    machine.due("", "workflow")
    assert machine.status == "TIMED_OUT"
    machine = Machine(flow(simple("a"), **settings)).start()
    machine.send(Pause())
    machine.now_ms += 50_000
    machine.send(Resume())
    assert machine.deadlines["", "workflow"] == T0 + 50_000 + 60_000
    assert machine.header is not None
    assert machine.header.last_retried_ms == T0 + 50_000


def test_a_pause_in_which_the_last_task_ends_completes_on_resume() -> None:
    machine = Machine(flow(simple("a"))).start()
    machine.send(Pause())
    machine.work("a")
    assert machine.status == "PAUSED"
    machine.send(Resume())
    assert machine.status == "COMPLETED"


def test_a_failure_in_a_pause_fails_the_workflow_on_resume_only() -> None:
    machine = Machine(flow(fork("f", [simple("a")], [simple("b")]), join("j", "a", "b")),
                      task_defs={"a": task_def("a")}).start()  # fmt: skip
    machine.send(Pause())
    machine.work("a", "FAILED")
    assert machine.status == "PAUSED"
    machine.send(Resume())
    assert machine.status == "FAILED"
    assert machine.task("b").status is TaskStatus.CANCELED


def test_a_paused_loop_goes_on() -> None:
    machine = Looping(
        flow(loop(simple("a"), n=2)), conditions={LESS: lambda v: v["l"]["iteration"] < 2}
    )
    machine.start()
    machine.send(Pause())
    machine.work("a__1")
    machine.send(Resume())
    machine.work("a__2")
    assert machine.status == "COMPLETED"


def test_a_child_that_ends_during_a_pause_is_followed() -> None:
    machine = Machine(flow(sub("s", "child"), simple("a"))).start()
    machine.send(Pause())
    machine.report("s")
    assert machine.list() == ["s COMPLETED"]
    machine.send(Resume())
    assert machine.list() == ["s COMPLETED", "a SCHEDULED"]


@pytest.mark.timeout(120)
def test_many_that_wait_are_settled_in_portions() -> None:
    count = 1_200
    elements = [{"name": "x", "taskReferenceName": f"x{n}"} for n in range(count)]
    dynamic = op("FORK_JOIN_DYNAMIC", "f", dynamic_fork_tasks_param="t",
                 dynamic_fork_tasks_input_param_name="i",
                 input_parameters={"t": "${workflow.input.t}", "i": {}})  # fmt: skip
    machine = Machine(flow(dynamic, op("JOIN", "j")), whole=True).start({"t": elements})
    machine.run_effects()
    machine.send(Pause())
    for number in range(count):
        machine.work(f"x{number}")
    machine.send(Resume())
    machine.run_effects()
    assert machine.status == "COMPLETED"


def test_terminating_a_paused_execution() -> None:
    machine = Machine(flow(simple("a"), simple("b"))).start()
    machine.send(Pause())
    machine.work("a")
    machine.send(Terminate(reason="no"))
    assert machine.status == "TERMINATED"
    found = rejected(machine, Resume())
    assert found.code == "FAILED_PRECONDITION"
    assert found.message == (
        "The workflow wf is not PAUSED so cannot resume. Current status is TERMINATED"
    )


@pytest.mark.parametrize(
    "command",
    [Pause(), Resume(), ResetCallbacks(), SkipTask(ref="b")],
    ids=lambda c: type(c).__name__,
)
def test_commands_on_what_has_ended_name_its_state(command: Command) -> None:
    machine = Machine(flow(simple("a"))).start()
    machine.work("a")
    found = rejected(machine, command)
    assert found.code == "FAILED_PRECONDITION"
    assert "COMPLETED" in found.message


def test_s_153_callbacks_are_due_at_once() -> None:
    defs = {"b": task_def("b", retry_count=1, retry_delay_seconds=60)}
    machine = Machine(flow(fork("f", [simple("a")], [simple("b")], [simple("c")]),
                           join("j", "a", "b", "c")), task_defs=defs).start()  # fmt: skip
    epoch = machine.grant("a").lease_epoch
    machine.report("a", "IN_PROGRESS", lease_epoch=epoch, callback_after_ms=90_000)
    machine.work("b", "FAILED")
    machine.now_ms += 1_000
    machine.send(ResetCallbacks())
    assert {machine.task(ref).id for ref in ("a", "b", "c")} == set(machine.ready)
    assert machine.task("a").callback_after_ms == 0
    assert not machine.deadlines


def test_s_122_s_123_a_skipped_task_is_passed_and_its_data_is_read() -> None:
    reads = simple("c", input_parameters={"x": "${b.output.x}", "t": "${b.status}"})
    machine = Machine(flow(simple("a"), simple("b", name="name_of_b"), reads)).start()
    machine.send(SkipTask(ref="b", input=Payload.of({"i": 1}), output=Payload.of({"x": 5})))
    skipped = machine.task("b")
    assert (skipped.status, skipped.task_type) == (TaskStatus.SKIPPED, "name_of_b")
    assert (skipped.start_ms, skipped.seq, skipped.input.value) == (0, 0, {"i": 1})
    machine.work("a")
    assert machine.task("c").input.value == {"x": 5, "t": "SKIPPED"}
    machine.work("c", output={"y": 1})
    assert machine.status == "COMPLETED"
    assert machine.output.value == {"y": 1}


def test_a_skipped_task_is_passed_also_after_a_pause() -> None:
    machine = Machine(flow(simple("a"), simple("b"), simple("c"))).start()
    machine.send(Pause())
    machine.send(Resume())
    machine.send(SkipTask(ref="b"))
    machine.work("a")
    assert machine.list() == ["b SKIPPED", "a COMPLETED", "c SCHEDULED"]


def test_what_stands_behind_a_skipped_task_waits_for_what_is_retried_before_it() -> None:
    machine = Machine(flow(simple("a"), simple("b"), simple("c")), task_defs={"a": task_def("a")})
    machine.start()
    machine.send(SkipTask(ref="b"))
    machine.work("a", "FAILED")
    machine.send(Retry())
    assert machine.list() == ["b SKIPPED", "a FAILED", "a SCHEDULED"]
    machine.work("a")
    assert machine.list()[-1] == "c SCHEDULED"
    machine.work("c")
    assert machine.status == "COMPLETED"


def test_skipped_members_count_for_joins_that_are_open_or_to_come() -> None:
    branches = [simple("a"), simple("b")], [simple("c")]
    machine = Machine(flow(fork("f", *branches), join("j", "b", "c"), simple("d"))).start()
    machine.send(SkipTask(ref="b"))
    machine.work("c")
    machine.work("a")
    assert machine.list()[-1] == "d SCHEDULED"
    machine = Machine(flow(simple("z"), fork("f", *branches), join("j", "b", "c"))).start()
    machine.send(SkipTask(ref="c"))
    machine.work("z")
    machine.work("a")
    machine.work("b")
    assert machine.status == "COMPLETED"


def test_choices_forks_and_the_last_task_can_be_skipped() -> None:
    choice = switch("s", "1", {"1": [simple("in")]})
    forked = fork("f", [simple("b")]), join("j", "b")
    machine = Machine(flow(simple("a"), choice, *forked, simple("c"), simple("last"))).start()
    for ref in ("s", "f", "last"):
        machine.send(SkipTask(ref=ref))
    machine.work("a")
    assert machine.list()[-1] == "c SCHEDULED"
    machine.work("c")
    assert machine.status == "COMPLETED"


@pytest.mark.parametrize(
    ("ref", "code"),
    [("gone", "INVALID_ARGUMENT"), ("a", "FAILED_PRECONDITION"), ("inner", "INVALID_ARGUMENT")],
)
def test_s_121_what_cannot_be_skipped(ref: str, code: str) -> None:
    machine = Machine(flow(simple("a"), loop(simple("inner")))).start()
    found = rejected(machine, SkipTask(ref=ref))
    assert found.code == code
    assert ref in found.message

"""The tables of statuses and of commands: every cell, the guards, and the picture drawn of them."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import replace

from podium.engine.command import (
    CloseChild,
    Command,
    Due,
    ExtendLease,
    GrantLease,
    LoseLease,
    Pause,
    PushMessage,
    Rejected,
    ReportResult,
    Rerun,
    ResetCallbacks,
    Restart,
    Resume,
    ResumeLease,
    Retry,
    ReturnLease,
    Revive,
    Signal,
    SkipTask,
    Terminate,
    UpdateVariables,
    Verdict,
)
from podium.engine.identity import task_key
from podium.engine.lifecycle import (
    LIFE_CYCLE,
    REPORTABLE,
    TASK_NEXT,
    WORKFLOW_NEXT,
    workflow_status_of,
)
from podium.model.execution import TaskStatus, WorkflowStatus
from podium.model.payload import Payload
from tests.engine.machine import STREAM, Machine
from tests.engine.shapes import flow, fork, join, op, simple, sub, task_def, terminate

OPEN = {"SCHEDULED", "IN_PROGRESS"}
UNSUCCESSFUL = {"FAILED", "TIMED_OUT", "CANCELED", "FAILED_WITH_TERMINAL_ERROR"}


def task_change_is_legal(before: str, after: str) -> bool:
    """Said once more, in other words than the table."""
    if before in OPEN or before == after:
        return True
    return before in UNSUCCESSFUL and after == "COMPLETED_WITH_ERRORS"


@pytest.mark.parametrize("before", list(TaskStatus))
@pytest.mark.parametrize("after", list(TaskStatus))
def test_every_change_of_a_task(before: TaskStatus, after: TaskStatus) -> None:
    legal = task_change_is_legal(before.value, after.value)
    assert (after in TASK_NEXT[before]) == legal
    machine = Machine(flow(simple("a"))).start()
    draft = machine.draft()
    old = replace(machine.task("a"), status=before)
    if legal:
        assert draft.put(old, replace(old, status=after)).status is after
    else:
        with pytest.raises(AssertionError):
            draft.put(old, replace(old, status=after))


def workflow_change_is_legal(before: str, after: str) -> bool:
    if before in ("RUNNING", after):
        return True
    if before == "PAUSED":
        return after != "COMPLETED"
    return before in {"FAILED", "TIMED_OUT"} and after == "TERMINATED"


@pytest.mark.parametrize("before", list(WorkflowStatus))
@pytest.mark.parametrize("after", list(WorkflowStatus))
def test_every_change_of_a_workflow(before: WorkflowStatus, after: WorkflowStatus) -> None:
    legal = workflow_change_is_legal(before.value, after.value)
    assert (after in WORKFLOW_NEXT[before]) == legal
    machine = Machine(flow(simple("a"))).start()
    draft = machine.draft()
    draft.header = replace(draft.head, status=before)
    if legal:
        draft.set_status(after)
        assert draft.head.status is after
    else:
        with pytest.raises(AssertionError):
            draft.set_status(after)


@pytest.mark.parametrize("status", list(TaskStatus))
def test_s_242_how_a_task_ends_its_workflow(status: TaskStatus) -> None:
    expected = {"CANCELED": "TERMINATED", "TIMED_OUT": "TIMED_OUT"}.get(status.value, "FAILED")
    assert workflow_status_of(status).value == expected


@pytest.mark.parametrize("before", ["SCHEDULED", "IN_PROGRESS"])
@pytest.mark.parametrize("reported", sorted(REPORTABLE))
def test_every_reportable_status_is_taken_from_both_open_ones(before: str, reported: str) -> None:
    machine = Machine(flow(simple("a", optional=True))).start()
    if before == "IN_PROGRESS":
        machine.grant("a")
    machine.report("a", reported)
    found = machine.attempts.get((machine.task("a").key, 0), machine.task("a")).status.value
    expected = {"IN_PROGRESS": "SCHEDULED", "CANCELED": "COMPLETED_WITH_ERRORS",
                "FAILED_WITH_TERMINAL_ERROR": "COMPLETED_WITH_ERRORS"}  # fmt: skip
    assert found == expected.get(reported, reported)


# Commands by state

STATES = list(WorkflowStatus)
TITLES: dict[str, str] = {"ignored": "ignored", "refused": "refused", "stays": "stays",
                          "decides": "what follows"}  # fmt: skip
README = Path(__file__).parents[2] / "server" / "README.md"


def machine_in(status: WorkflowStatus) -> Machine:
    """An execution in this state, whose tasks `a` (done or not) and `w` (a WAIT) are there."""
    fail = status is WorkflowStatus.FAILED
    wait = op("WAIT", "w")
    child = sub("s", "child")
    branches = fork(
        "f", [simple("a")], [wait], [child], [simple("c")], [simple("d", start_delay=60)]
    )
    last = terminate("t", "COMPLETED") if status is WorkflowStatus.COMPLETED else simple("z")
    ends = status is WorkflowStatus.COMPLETED
    tasks = [simple("c"), last] if ends else [branches, join("j", "a", "w", "s", "c")]
    definition = flow(*tasks, simple("later"), timeout_seconds=9, timeout_policy="TIME_OUT_WF")
    machine = Machine(definition, task_defs={"a": task_def("a")}).start()
    if ends:
        machine.work("c")
        return machine
    machine.grant("c")
    match status:
        case WorkflowStatus.PAUSED:
            machine.send(Pause())
        case WorkflowStatus.TIMED_OUT:
            machine.due("", "workflow")
        case WorkflowStatus.TERMINATED:
            machine.send(Terminate(reason="no"))
        case _ if fail:
            machine.work("a", "FAILED")
        case _:
            pass
    machine.now_ms += 1
    return machine


def command_of(name: str, machine: Machine) -> Command:
    """A command that the state alone can be against."""
    running = machine.task("c")
    child = machine.tasks.get(task_key("s"))
    epoch, task_id = running.lease_epoch, running.id
    deadline_ms = machine.deadlines.get(("", "workflow"), machine.now_ms)
    made: dict[str, Command] = {
        "Pause": Pause(),
        "Resume": Resume(),
        "Terminate": Terminate(reason="walk"),
        "Retry": Retry(),
        "Restart": Restart(),
        "Rerun": Rerun(),
        "SkipTask": SkipTask(ref="later"),
        "ResetCallbacks": ResetCallbacks(),
        "Signal": Signal(),
        "PushMessage": PushMessage(message_id="m"),
        "UpdateVariables": UpdateVariables(variables=Payload.of({"v": 1})),
        "ReportResult": ReportResult(task_id=task_id, status=TaskStatus.COMPLETED),
        "CloseChild": CloseChild(task_id=child.id if child else task_id, run_epoch=0,
                                 child_id=(child and child.sub_workflow_id) or "",
                                 status="COMPLETED"),
        "GrantLease": GrantLease(task_id=(machine.tasks.get(task_key("a")) or running).id,
                                 lease=STREAM, worker_id="w"),
        "ReturnLease": ReturnLease(task_id=task_id, lease_epoch=epoch),
        "LoseLease": LoseLease(task_id=task_id, lease_epoch=epoch),
        "ResumeLease": ResumeLease(task_id=task_id, lease_epoch=epoch, lease=STREAM, worker_id="w"),
        "ExtendLease": ExtendLease(task_id=task_id, lease_epoch=epoch),
        "Due": Due(task_id="", kind="workflow", at_ms=deadline_ms),
        "Revive": Revive(task_id=child.id if child else task_id, run_epoch=0,
                         child_id=(child and child.sub_workflow_id) or ""),
    }  # fmt: skip
    return made[name]


def test_every_command_has_a_row_or_a_reason() -> None:
    own = {"Start", "Continue", "FailFailureWorkflow", "Repair"}
    assert {kind.__name__ for kind in get_args(Command)} == LIFE_CYCLE.keys() | own
    internal = LIFE_CYCLE.keys() & {"ReportResult", "CloseChild", "Due", "Revive"}
    assert internal == {"ReportResult", "CloseChild", "Due", "Revive"}


@pytest.mark.parametrize("status", STATES)
@pytest.mark.parametrize("name", LIFE_CYCLE)
def test_every_command_in_every_state(name: str, status: WorkflowStatus) -> None:
    machine = machine_in(status)
    assert machine.status == status
    command, expected = command_of(name, machine), LIFE_CYCLE[name].result(status)
    before, tasks = machine.header, dict(machine.tasks)
    if expected == "refused":
        with pytest.raises(Rejected) as found:
            machine.send(command)
        assert found.value.code == "FAILED_PRECONDITION"
        assert status.value in found.value.message
        assert (machine.header, machine.tasks) == (before, tasks)
        return
    outcome = machine.send(command)
    if expected == "ignored":
        assert outcome.verdict in (Verdict.NOOP, Verdict.CLOSED)
        assert (machine.header, machine.tasks) == (before, tasks)
        return
    assert machine.header is not before
    if expected != "decides":
        assert machine.status == (status if expected == "stays" else expected)


def picture() -> list[str]:
    """The table as server/README.md shows it."""
    lines = [f"| command | {' | '.join(STATES)} |", "|---" * (len(STATES) + 1) + "|"]
    for name, row in LIFE_CYCLE.items():
        cells = [row.result(status) for status in STATES]
        drawn = [TITLES.get(cell, f"→ {cell}") for cell in cells]
        lines.append(f"| {name} | {' | '.join(drawn)} |")
    return lines


def test_the_readme_shows_the_table() -> None:
    expected = "\n".join(picture())
    assert expected in README.read_text(), f"draw this in {README}:\n{expected}"

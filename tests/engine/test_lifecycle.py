"""The table of statuses, every pair of it, and the guard that every change passes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from podium.engine.lifecycle import REPORTABLE, TASK_NEXT, WORKFLOW_NEXT, workflow_status_of
from podium.model.execution import TaskStatus, WorkflowStatus
from tests.engine.machine import Machine
from tests.engine.shapes import flow, simple

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

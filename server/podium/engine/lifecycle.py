"""Which status may follow which: the one table that every change of a record is checked against."""

from __future__ import annotations

from typing import Final

from podium.model.execution import TaskStatus, WorkflowStatus

ENDS: Final = frozenset(status for status in TaskStatus if status.terminal)
ERRORS_FORGIVEN: Final = frozenset({TaskStatus.COMPLETED_WITH_ERRORS})

TASK_NEXT: Final[dict[TaskStatus, frozenset[TaskStatus]]] = {
    TaskStatus.SCHEDULED: ENDS | {TaskStatus.SCHEDULED, TaskStatus.IN_PROGRESS},
    TaskStatus.IN_PROGRESS: ENDS | {TaskStatus.SCHEDULED, TaskStatus.IN_PROGRESS},
    TaskStatus.COMPLETED: frozenset({TaskStatus.COMPLETED}),
    TaskStatus.COMPLETED_WITH_ERRORS: ERRORS_FORGIVEN,
    TaskStatus.SKIPPED: frozenset({TaskStatus.SKIPPED}),
    # An attempt that failed keeps its status; one of an optional task may be forgiven (S-217).
    TaskStatus.FAILED: ERRORS_FORGIVEN | {TaskStatus.FAILED},
    TaskStatus.TIMED_OUT: ERRORS_FORGIVEN | {TaskStatus.TIMED_OUT},
    TaskStatus.CANCELED: ERRORS_FORGIVEN | {TaskStatus.CANCELED},
    TaskStatus.FAILED_WITH_TERMINAL_ERROR: ERRORS_FORGIVEN
    | {TaskStatus.FAILED_WITH_TERMINAL_ERROR},
}
"""A status may be followed by these; itself where the record changes otherwise."""

REPORTABLE: Final = frozenset(
    {
        TaskStatus.IN_PROGRESS,
        TaskStatus.COMPLETED,
        TaskStatus.FAILED,
        TaskStatus.FAILED_WITH_TERMINAL_ERROR,
        TaskStatus.CANCELED,
    }
)
"""What a worker may report (S-006)."""

RUNNING_NEXT: Final = frozenset(WorkflowStatus)

WORKFLOW_NEXT: Final[dict[WorkflowStatus, frozenset[WorkflowStatus]]] = {
    WorkflowStatus.RUNNING: RUNNING_NEXT,
    WorkflowStatus.PAUSED: RUNNING_NEXT - {WorkflowStatus.COMPLETED},
    WorkflowStatus.COMPLETED: frozenset({WorkflowStatus.COMPLETED}),
    WorkflowStatus.FAILED: frozenset({WorkflowStatus.FAILED, WorkflowStatus.TERMINATED}),
    WorkflowStatus.TIMED_OUT: frozenset({WorkflowStatus.TIMED_OUT, WorkflowStatus.TERMINATED}),
    WorkflowStatus.TERMINATED: frozenset({WorkflowStatus.TERMINATED}),
}
"""A terminate is allowed on an execution that already failed or timed out (S-131)."""

WORKFLOW_STATUS_OF: Final = {
    TaskStatus.CANCELED: WorkflowStatus.TERMINATED,
    TaskStatus.TIMED_OUT: WorkflowStatus.TIMED_OUT,
}
"""How a task that gave up ends its workflow; FAILED for all others (S-242)."""


def workflow_status_of(status: TaskStatus) -> WorkflowStatus:
    """S-242."""
    return WORKFLOW_STATUS_OF.get(status, WorkflowStatus.FAILED)

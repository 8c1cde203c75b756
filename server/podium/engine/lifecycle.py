"""Which status may follow which, and what a command does in which state: tables.

Every change of a record is checked against the first two, every command of a client against the
last; the table in server/README.md is drawn from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from podium.engine.command import Rejected
from podium.model.execution import TaskStatus, WorkflowStatus

if TYPE_CHECKING:
    from podium.model.execution import ExecutionHeader

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


Result: TypeAlias = WorkflowStatus | Literal["decides", "stays", "ignored", "refused"]
"""The status after the command; "decides" = whatever follows from it; "stays" = the command does
something, but not to the status; "ignored" = nothing changes, and the sender is told so; "refused"
= nothing changes, and the sender gets an error.
"""
RUNNING, PAUSED = WorkflowStatus.RUNNING, WorkflowStatus.PAUSED
COMPLETED, FAILED = WorkflowStatus.COMPLETED, WorkflowStatus.FAILED
TIMED_OUT, TERMINATED = WorkflowStatus.TIMED_OUT, WorkflowStatus.TERMINATED


class Row(msgspec.Struct, frozen=True):
    """What one command does in each state; `refusal` is the error's text where it is refused."""

    running: Result
    paused: Result
    completed: Result
    failed: Result
    timed_out: Result
    terminated: Result
    refusal: str = ""
    refusal_ended: str = ""
    """The text for an execution that ended, where it is another one."""

    def result(self, status: WorkflowStatus) -> Result:
        """The cell of a state."""
        found: Result = getattr(self, status.value.lower())
        return found


Results: TypeAlias = tuple[Result, Result, Result, Result]
ENDED: Final[Results] = ("ignored", "ignored", "ignored", "ignored")
NOT_ENDED: Final[Results] = ("refused", "refused", "refused", "refused")
AGAIN: Final[Results] = (RUNNING, RUNNING, RUNNING, RUNNING)
NOTHING: Final = (
    "There are no retryable tasks! Use restart if you want to attempt entire workflow execution"
    " again. Found {id} {status}."
)
LIFE_CYCLE: Final[dict[str, Row]] = {
    "Pause": Row(
        PAUSED, "ignored", *NOT_ENDED,
        refusal="Workflow {id} has ended, status cannot be updated: expected RUNNING, found"
        " {status}",
    ),
    "Resume": Row(
        "refused", RUNNING, *NOT_ENDED,
        refusal="The workflow {id} is not PAUSED so cannot resume. Current status is {status}",
    ),
    "Terminate": Row(
        TERMINATED, TERMINATED, "refused", TERMINATED, TERMINATED, "ignored",
        refusal="Cannot terminate a COMPLETED workflow.",
    ),
    "Retry": Row(
        "refused", "refused", "refused", RUNNING, RUNNING, RUNNING,
        refusal="Workflow is still running. status={status}", refusal_ended=NOTHING,
    ),
    "Restart": Row(
        "refused", "refused", *AGAIN,
        refusal="Workflow: {id} is not in terminal state, unable to restart. Found {status}.",
    ),
    "Rerun": Row(
        "refused", "refused", *AGAIN,
        refusal="Workflow: {id} is not in terminal state, unable to rerun. Found {status}.",
    ),
    "SkipTask": Row(
        "stays", "refused", *NOT_ENDED,
        refusal="The workflow {id} is not running so its task cannot be skipped: expected RUNNING,"
        " found {status}",
    ),
    "ResetCallbacks": Row(
        "stays", "stays", *NOT_ENDED,
        refusal="Workflow is in terminal state. Status = {status}",
    ),
    "Signal": Row(
        "decides", "stays", *NOT_ENDED,
        refusal="expected a workflow that has not ended to signal, found {id} {status}",
    ),
    "PushMessage": Row(
        "decides", "refused", *NOT_ENDED,
        refusal="expected a RUNNING workflow to push a message to, found {id} {status}",
    ),
    "UpdateVariables": Row(
        "stays", "stays", *NOT_ENDED,
        refusal="expected a workflow that has not ended to set variables of, found {id} {status}",
    ),
    "ReportResult": Row("decides", "stays", *ENDED),
    "CloseChild": Row("decides", "stays", *ENDED),
    "GrantLease": Row("stays", "stays", *ENDED),
    "ReturnLease": Row("stays", "stays", *ENDED),
    "LoseLease": Row("decides", "stays", *ENDED),
    "ResumeLease": Row("stays", "stays", *ENDED),
    "ExtendLease": Row("stays", "stays", *ENDED),
    "Due": Row("decides", "decides", *ENDED),
    "Revive": Row("ignored", "ignored", "ignored", RUNNING, RUNNING, RUNNING),
}  # fmt: skip
"""By the command's name. Left out are Start, which is for what does not exist, and what Podium
sends to itself to finish what it began (Continue, FailFailureWorkflow).
"""


def require_state(header: ExecutionHeader, command: str) -> None:
    """Raises Rejected where the table refuses the command in the execution's state."""
    row = LIFE_CYCLE[command]
    if row.result(header.status) == "refused":
        text = (header.status.terminal and row.refusal_ended) or row.refusal
        raise Rejected("FAILED_PRECONDITION", text.format(id=header.id, status=header.status))

"""Commands: the only way into an execution. Each is a small frozen record, an imperative verb.

A command is decided against the stored state; what it may answer is in `Outcome`, what makes it
illegal raises `Rejected`. Task ids are complete ids (engine/identity.py); times are epoch ms.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, TypeAlias

import msgspec

from podium.engine.graph import Graph
from podium.model.execution import Lease, ParentLink, SecretMark, TaskRecord, TaskStatus
from podium.model.payload import EMPTY, Payload
from podium.model.queue import DeadlineKind
from podium.model.trace import NO_TRACE, TraceContext


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """Create the execution. `digest` names the bound definition, whose graph is given to decide."""

    name: str
    version: int
    digest: str
    input: Payload = EMPTY
    correlation_id: str = ""
    priority: int = 0
    task_to_domain: dict[str, str] = {}
    parent: ParentLink | None = None
    created_by: str = ""
    event: str = ""
    inline_definition: bool = False
    idempotency_key: str = ""
    idempotency_strategy: str = ""
    secrets: tuple[SecretMark, ...] = ()
    """Where the input names secrets, as the parent's definition says."""
    trace: TraceContext = NO_TRACE


class ReportResult(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's result. `lease_epoch` None = unary update without a lease (S-162, S-165)."""

    task_id: str
    status: TaskStatus
    """IN_PROGRESS, COMPLETED, FAILED, FAILED_WITH_TERMINAL_ERROR or CANCELED (S-006)."""
    lease_epoch: int | None = None
    output: Payload = EMPTY
    reason: str | None = None
    worker_id: str = ""
    callback_after_ms: int = 0
    merges: bool = False
    """The output is laid over the present one, entry by entry; it replaces it otherwise (S-172)."""
    logs: tuple[tuple[int, str], ...] = ()
    """(epoch ms or 0 = now, text), for the log of the task; the last ten are kept (S-175)."""


class GrantLease(msgspec.Struct, frozen=True, kw_only=True):
    """Hand the ready task to a worker: epoch + 1, IN_PROGRESS, pollCount + 1, deadline armed."""

    task_id: str
    lease: Lease
    worker_id: str


class ReturnLease(msgspec.Struct, frozen=True, kw_only=True):
    """The hand-out reached nobody: ready again with its old score, nothing charged or counted."""

    task_id: str
    lease_epoch: int


class LoseLease(msgspec.Struct, frozen=True, kw_only=True):
    """The holder is gone: ready again with its old score; the third in a row charges an attempt."""

    task_id: str
    lease_epoch: int


class ResumeLease(msgspec.Struct, frozen=True, kw_only=True):
    """A worker came back with the task in hand: equal epoch moves the lease, else it is stale."""

    task_id: str
    lease_epoch: int
    lease: Lease
    worker_id: str


class ExtendLease(msgspec.Struct, frozen=True, kw_only=True):
    """Renew the response deadline only (S-160). `lease_epoch` None = unary extendLease."""

    task_id: str
    lease_epoch: int | None = None


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A deadline passed; no-op unless the stored deadline of that kind equals `at_ms`.

    `task_id` is empty for the workflow's own deadline.
    """

    task_id: str
    kind: DeadlineKind
    at_ms: int


class CloseChild(msgspec.Struct, frozen=True, kw_only=True):
    """A child ended (or could not start): report to the SUB_WORKFLOW task (S-428). To a
    START_WORKFLOW task: its workflow was started (COMPLETED), or could not be.
    """

    task_id: str
    run_epoch: int
    child_id: str
    status: str
    """WorkflowStatus name of the child, always terminal."""
    output: Payload = EMPTY
    reason: str | None = None


def close_child(
    waiting: ParentLink,
    child_id: str,
    status: str,
    *,
    output: Payload = EMPTY,
    reason: str | None = None,
) -> CloseChild:
    """The report of a child to the task that waits for it."""
    return CloseChild(
        task_id=waiting.task_id,
        run_epoch=waiting.run_epoch,
        child_id=child_id,
        status=status,
        output=output,
        reason=reason,
    )


class Terminate(msgspec.Struct, frozen=True, kw_only=True):
    """End the execution from outside (S-131 ff.). Idempotent on TERMINATED."""

    reason: str | None = None
    by_parent: bool = False


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Decide nothing new until Resume (S-076). Idempotent."""


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """Go on with a paused execution (S-079)."""


class ResetCallbacks(msgspec.Struct, frozen=True, kw_only=True):
    """Make worker tasks ready that wait for their callback (S-153)."""


class SkipTask(msgspec.Struct, frozen=True, kw_only=True):
    """Pass a task that was not scheduled yet; expressions read the data given here (S-122)."""

    ref: str
    input: Payload = EMPTY
    output: Payload = EMPTY


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """End the first WAIT task that waits (S-174), as a report on it would."""

    status: TaskStatus = TaskStatus.COMPLETED
    output: Payload = EMPTY
    reason: str | None = None


class PushMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message for the execution's queue (S-187)."""

    message_id: str
    payload: Payload = EMPTY


class UpdateVariables(msgspec.Struct, frozen=True, kw_only=True):
    """Set entries of the workflow's variables, as a SET_VARIABLE would."""

    variables: Payload


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Go on with an execution that failed: its unsuccessful tasks are tried again (S-090 ff.).

    `resume_children` = failed children go on instead of being started anew. `by_parent` = a child
    that has nothing to retry reports again instead of refusing.
    """

    resume_children: bool = False
    by_parent: bool = False


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """Run an execution that ended from the start, under the same id (S-081 ff.).

    `graph` = of the definition to run from now on, named by the other three; None = its own.
    """

    graph: Graph | None = None
    name: str = ""
    version: int = 0
    digest: str = ""


class Rerun(msgspec.Struct, frozen=True, kw_only=True):
    """Run an execution that ended again: whole, or from a task on (S-107 ff.).

    `task_ids` = the task in this execution, then, where that waits for a child, the one in the
    child, and so on down; none = whole. `by_parent` = as with Retry.
    """

    task_ids: tuple[str, ...] = ()
    task_input: Payload | None = None
    """Input of the last of the tasks; None = the one it had."""
    input: Payload | None = None
    """The execution's; None = the one it had."""
    correlation_id: str = ""
    by_parent: bool = False


class Revive(msgspec.Struct, frozen=True, kw_only=True):
    """The child of this task goes on: wait for it again (S-125 ff.)."""

    task_id: str
    run_epoch: int
    child_id: str
    operation: str = ""
    """What was done to the child, for the log of the task: retried, restarted, reran."""


class Continue(msgspec.Struct, frozen=True, kw_only=True):
    """Go on with a transition that was cut at its limit; `cursor` is the engine's own."""

    cursor: str


class FailFailureWorkflow(msgspec.Struct, frozen=True, kw_only=True):
    """The failure workflow could not be started: say so in the output (S-146)."""

    name: str
    reason: str


class Repair(msgspec.Struct, frozen=True):
    """Decide again from the records: nothing changes where nothing was lost (repairing.py)."""


Command: TypeAlias = (
    Start
    | ReportResult
    | GrantLease
    | ReturnLease
    | LoseLease
    | ResumeLease
    | ExtendLease
    | Due
    | CloseChild
    | Terminate
    | Continue
    | FailFailureWorkflow
    | Repair
    | Pause
    | Resume
    | ResetCallbacks
    | SkipTask
    | Signal
    | PushMessage
    | UpdateVariables
    | Retry
    | Revive
    | Restart
    | Rerun
)


class Verdict(StrEnum):
    """What became of a command."""

    OK = "ok"
    STALE = "stale"
    """The lease epoch is not the current one: nothing changed."""
    CLOSED = "closed"
    """The task or workflow had already ended: nothing changed."""
    NOOP = "noop"
    """Legal, and nothing to do (a deadline no longer armed, a result accepted before)."""


class Outcome(msgspec.Struct, frozen=True):
    """Answer of one command. `task` is the granted or updated record where one was touched."""

    verdict: Verdict
    task: TaskRecord | None = None


RejectionCode = Literal[
    "NOT_FOUND", "INVALID_ARGUMENT", "FAILED_PRECONDITION", "ALREADY_EXISTS", "RESOURCE_EXHAUSTED"
]


class Rejected(Exception):
    """A refused command, raised before anything changed; `message` may be shown to the client."""

    def __init__(self, code: RejectionCode, message: str) -> None:
        super().__init__(message)
        self.code: RejectionCode = code
        self.message = message

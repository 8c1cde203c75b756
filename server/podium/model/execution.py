"""Records of one execution: header, tasks, joins, branches, history; stored for ever.

Rules: new fields are appended with a default and nothing is reordered (the records are stored as
arrays); times are epoch milliseconds, 0 = not yet. Nothing here knows how it is stored or decided.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from podium.model.definition import TaskDef
from podium.model.payload import EMPTY, Payload
from podium.model.queue import UNLIMITED, Deadline, LeaseKind, Limits, Queue


class WorkflowStatus(StrEnum):
    """S-001."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    TERMINATED = "TERMINATED"

    terminal: bool
    __hash__ = str.__hash__  # Enum's own is a Python function, and statuses are looked up a lot

    def __init__(self, text: str) -> None:
        self.terminal = text not in ("RUNNING", "PAUSED")


class TaskStatus(StrEnum):
    """S-004."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    COMPLETED_WITH_ERRORS = "COMPLETED_WITH_ERRORS"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    CANCELED = "CANCELED"
    FAILED_WITH_TERMINAL_ERROR = "FAILED_WITH_TERMINAL_ERROR"

    terminal: bool
    __hash__ = str.__hash__

    def __init__(self, text: str) -> None:
        self.terminal = text not in ("SCHEDULED", "IN_PROGRESS")

    @property
    def successful(self) -> bool:
        return self in SUCCESSFUL

    @property
    def retriable(self) -> bool:
        return self in (TaskStatus.FAILED, TaskStatus.TIMED_OUT)


SUCCESSFUL: Final = frozenset(
    {
        TaskStatus.SCHEDULED,
        TaskStatus.IN_PROGRESS,
        TaskStatus.COMPLETED,
        TaskStatus.COMPLETED_WITH_ERRORS,
        TaskStatus.SKIPPED,
    }
)


class Stored(msgspec.Struct, frozen=True, array_like=True, kw_only=True, omit_defaults=False):
    """Base of stored records."""


class ParentLink(Stored, frozen=True):
    """The SUB_WORKFLOW task that waits for this execution; reports carry `run_epoch`."""

    workflow_id: str
    task_id: str
    run_epoch: int
    depth: int = 1


class Lease(Stored, frozen=True):
    """Who holds the task. `incarnation` = server life, `session` = its stream or poll."""

    incarnation: str
    session: str
    kind: LeaseKind


class SecretMark(Stored, frozen=True):
    """A definition named a secret here: the text at `path` holds `${reference}`, which is replaced
    when the input is handed out, and never in what is stored.
    """

    path: tuple[str | int, ...]
    reference: str


class TaskRecord(Stored, frozen=True):
    """One attempt of one task. `id` = "<workflow id>.<key>.<attempt>" (engine/identity.py)."""

    id: str
    key: str
    attempt: int
    seq: int
    ref: str
    node: int
    task_type: str
    def_name: str
    status: TaskStatus
    iteration: tuple[int, ...] = ()
    branch: str = ""
    """Key of the BranchRecord that holds the node; "" = the definition's own graph."""
    reason: str | None = None
    retry_count: int = 0
    poll_count: int = 0
    worker_id: str | None = None
    domain: str = ""
    queue: Queue | None = None
    """Where it is handed out; None for operators, which no worker takes."""
    limits: Limits = UNLIMITED
    score: int = 0
    scheduled_ms: int = 0
    first_scheduled_ms: int = 0
    start_ms: int = 0
    update_ms: int = 0
    end_ms: int = 0
    start_delay_ms: int = 0
    callback_after_ms: int = 0
    response_timeout_ms: int = 0
    lease: Lease | None = None
    lease_epoch: int = 0
    leases_lost: int = 0
    """Leases lost in a row in this attempt; after 3 an attempt is charged."""
    deadlines: tuple[Deadline, ...] = ()
    sub_workflow_id: str | None = None
    run_epoch: int = 0
    retried: bool = False
    retried_task_id: str | None = None
    gave_up: bool = False
    """Terminal for good: no retry follows and its successors were decided."""
    task_def: TaskDef | None = None
    """Definition found while scheduling (DYNAMIC); None = the graph node's."""
    input: Payload = EMPTY
    output: Payload = EMPTY
    closed_epoch: int = 0
    """Lease epoch whose own report ended this attempt; 0 = it ended otherwise, or is open."""
    unsettled: bool = False
    """Ended while the workflow was paused: what follows from it is decided when it resumes."""
    loop: str = ""
    """Key of the DO_WHILE in whose body it stands; "" = in none."""
    forgiven: bool = False
    """An optional task that ended with errors: joins that wait for it tell of them (S-382)."""
    cached_as: str = ""
    """Name under which its output is to be kept for equal calls; "" = it is not kept."""
    raises: bool = False
    """Its changes of state raise events (onStateChange)."""
    secrets: tuple[SecretMark, ...] = ()
    """Where its input names secrets."""
    runtime_metadata: tuple[str, ...] = ()
    """Names of secrets or environment values that its worker is given beside the input (S-260)."""


class JoinRecord(Stored, frozen=True):
    """Counter of one open join, or of a loop: `open_count` members are not final yet."""

    key: str
    open_count: int
    with_errors: bool = False
    failed_count: int = 0
    canceled_count: int = 0
    reasons: tuple[str, ...] = ()
    """Reasons of unsuccessful members, the first few (bounded)."""
    forgiven: tuple[str, ...] = ()
    """Names of optional members that ended with errors, the first few (S-382)."""
    exclusive: bool = False
    """An EXCLUSIVE_JOIN: one member closes it."""
    awaited: str = ""
    """Exclusive: key of the member that closes it; "" = whichever becomes final first."""
    loop: bool = False
    """A DO_WHILE: counts the open tasks of its present iteration."""
    latest: dict[str, tuple[int, ...]] = {}
    """Of an outermost loop: reference → iteration path of its newest task, for expressions."""


class BranchRecord(Stored, frozen=True):
    """A branch of a dynamic fork: its own definition (JSON of one WorkflowTask) and its join."""

    key: str
    definition: bytes
    join_key: str
    iteration: tuple[int, ...] = ()
    parent_branch: str = ""
    loop: str = ""
    """Key of the DO_WHILE in whose body the fork stands; "" = in none."""
    secrets: tuple[SecretMark, ...] = ()
    """Where the fork's own definition named secrets in the parameters of this branch's task."""


class InboxRecord(Stored, frozen=True):
    """The message queue of an execution: messages `first` to `next` - 1 wait, or tasks do."""

    first: int = 0
    next: int = 0
    size_bytes: int = 0
    until_ms: int = 0
    """They are forgotten then."""
    waiting: tuple[str, ...] = ()
    """Keys of tasks that wait for a message, the first ones; some may have ended otherwise."""
    more_wait: bool = False
    """Tasks may wait that are not among these."""


class RerunRecord(Stored, frozen=True):
    """A restart, or a rerun from a task, whose removal of ended tasks is under way."""

    key: str = ""
    """Of the task that the run begins from; "" = from the start."""
    anew: bool = True
    """Whether that task itself is made anew; it waits again otherwise."""


class GateState(StrEnum):
    """waiting → granted (it has a slot) → open (its tasks run) → ended (the slot is free again)."""

    WAITING = "waiting"
    GRANTED = "granted"
    OPEN = "open"
    ENDED = "ended"


class GateRecord(Stored, frozen=True):
    """Where an execution waits while as many as its rateLimitConfig allows are running (S-047)."""

    number: int
    """Which of the execution's gates it is: each retry, restart and rerun waits at its own."""
    queue: Queue
    limits: Limits
    score: int
    state: GateState = GateState.WAITING
    then: str = ""
    """The sweep that goes on behind it; "" = the run begins."""


class ExecutionHeader(Stored, frozen=True):
    """State of an execution that each commit rewrites; its size does not grow with the tasks."""

    id: str
    name: str
    version: int
    digest: str
    """Of the bound definition (task definitions attached); the registry returns it by this."""
    status: WorkflowStatus
    created_ms: int
    updated_ms: int
    ended_ms: int = 0
    last_retried_ms: int = 0
    reason: str | None = None
    correlation_id: str = ""
    priority: int = 0
    task_to_domain: dict[str, str] = {}
    parent: ParentLink | None = None
    run_epoch: int = 0
    next_seq: int = 1
    open_count: int = 0
    """Tasks that are not final; 0 after a decision = the workflow is complete."""
    task_count: int = 0
    last_key: str = ""
    """Key of the task with the highest seq, the workflow's output when none is defined (S-237)."""
    terminate_key: str = ""
    permissive_failures: tuple[str, ...] = ()
    """Reasons of permissive tasks that gave up, the first few; they fail the workflow's end."""
    permissive_failure_count: int = 0
    failed_refs: tuple[str, ...] = ()
    failed_names: tuple[str, ...] = ()
    failed_task_id: str | None = None
    deadline_ms: int = 0
    history_position: int = 0
    created_by: str = ""
    event: str = ""
    inline_definition: bool = False
    idempotency_key: str = ""
    alert_count: int = 0
    """Deadlines that passed under ALERT_ONLY (S-284)."""
    depth: int = 0
    pending: tuple[int, ...] = ()
    """Numbers of Continue cursors that are on the way; while there are any, nothing is complete."""
    waiting_loops: tuple[str, ...] = ()
    """Keys of loops whose iteration may be over; looked at when no cursor is on the way."""
    skipped: tuple[str, ...] = ()
    """References of tasks that were skipped before they were scheduled."""
    rerun: RerunRecord | None = None
    """Set while a restart or rerun removes what the former run left, or waits to begin."""
    gate: GateRecord | None = None
    """The latest one; None where the number of its kind that run at a time has no limit."""
    secrets: tuple[SecretMark, ...] = ()
    """Where its input and its variables name secrets; a path begins with input or variables."""
    inbox: InboxRecord | None = None
    """Its message queue; None before the first message, and once it has ended."""
    trace_parent: str = ""
    """W3C traceparent that its start came with (model/trace.py); "" = in no trace."""
    trace_state: str = ""


class TaskChange(msgspec.Struct, frozen=True, array_like=True):
    """One task's change within a history row."""

    key: str
    ref: str
    attempt: int
    retry_count: int
    status_from: str
    status_to: str
    lease_epoch: int
    task_id: str = ""


class RaisedEvent(msgspec.Struct, frozen=True, array_like=True):
    """An event that a task's change of state raised (S-044). `error` = why it has no payload."""

    task_id: str
    ref: str
    moment: str
    """onScheduled, onStart, onFailed, onSuccess or onCancelled."""
    type: str
    payload: Payload = EMPTY
    error: str = ""


class HistoryRow(msgspec.Struct, frozen=True, array_like=True):
    """What one commit did: audit trail, timeline, and what the checkers of the simulation fold."""

    position: int
    time_ms: int
    commands: tuple[str, ...]
    actor: str
    workflow_status: str
    changes: tuple[TaskChange, ...] = ()
    events: tuple[RaisedEvent, ...] = ()

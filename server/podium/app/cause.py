"""Why an execution stands where it stands: causes as data, and the facts they are drawn from.

The kinds are those of podium.v1.CauseKind, by name. Times are epoch ms, 0 = none.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from podium.engine.open_tasks import OpenTasks
from podium.model.execution import ExecutionHeader, HistoryRow, TaskRecord
from podium.model.parking import ParkedRecord
from podium.model.queue import UNLIMITED, Limits, Queue
from podium.store.inspection import QueueState

TASKS_TOLD: Final = 10
"""Tasks named in one cause, members of a join, workers."""
CAUSES_TOLD: Final = 50
"""Causes of one execution; the rest is counted."""


class CauseKind(StrEnum):
    """What is the matter."""

    NO_WORKER = "NO_WORKER"
    WRONG_DOMAIN = "WRONG_DOMAIN"
    RATE_LIMITED = "RATE_LIMITED"
    CONCURRENCY_LIMITED = "CONCURRENCY_LIMITED"
    RETRY_DELAY = "RETRY_DELAY"
    PAUSED = "PAUSED"
    WAITING_CHILD = "WAITING_CHILD"
    WAITING_SIGNAL = "WAITING_SIGNAL"
    MISSING_BRANCH = "MISSING_BRANCH"
    LEASED = "LEASED"
    DELAYED = "DELAYED"
    PARENT_PAUSED = "PARENT_PAUSED"
    PARKED = "PARKED"
    FAILURE_WORKFLOW_FAILED = "FAILURE_WORKFLOW_FAILED"
    NOTHING_WRONG = "NOTHING_WRONG"
    WORKERS_BUSY = "WORKERS_BUSY"
    RUN_LIMITED = "RUN_LIMITED"
    TASK_FAILED = "TASK_FAILED"
    WORKFLOW_TIMED_OUT = "WORKFLOW_TIMED_OUT"
    TERMINATED = "TERMINATED"
    OPEN = "OPEN"
    UNREADABLE = "UNREADABLE"


class NamedTask(msgspec.Struct, frozen=True):
    """A task as causes name it; no id, no status = it was not scheduled."""

    ref: str
    task_id: str = ""
    task_type: str = ""
    status: str = ""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One cause: `text` says it in a sentence, `remedy` what would move it."""

    kind: CauseKind
    text: str
    remedy: str
    since_ms: int = 0
    until_ms: int = 0
    """When time alone moves it."""
    tasks: tuple[NamedTask, ...] = ()
    more_tasks: int = 0
    queue: Queue | None = None
    domains: tuple[str, ...] = ()
    """In which workers of the type are."""
    workers: tuple[str, ...] = ()
    limit: int = 0
    in_use: int = 0
    holders: tuple[str, ...] = ()
    """Tasks that occupy slots of the limit."""
    ahead: int = 0
    """Tasks that are ready in the queue, this one among them."""
    worker_id: str = ""
    session: str = ""
    deadline_ms: int = 0
    attempts: int = 0
    reason: str = ""
    actor: str = ""
    workflow_id: str = ""
    """Another execution that is the matter: a child, a parent, a failure workflow."""
    place: str = ""
    """Where in Podium a decision raised."""
    inner: Explanation | None = None
    """Of that execution."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """One execution: its causes, most telling first; `more` open tasks that no cause names."""

    workflow_id: str
    name: str = ""
    status: str = ""
    since_ms: int = 0
    """Its last change."""
    causes: tuple[Cause, ...] = ()
    more: int = 0


class QueueFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a queue that tasks of the execution are ready in."""

    state: QueueState
    limits: Limits = UNLIMITED
    active: frozenset[str] = frozenset()
    """Domains with a worker that is connected here, or polled anywhere in the last 10 s."""
    workers: tuple[str, ...] = ()
    """Of those connected here to this very queue, the first few."""
    seen_ms: int = 0
    """When one asked for this queue last, ever."""


class LeaseFacts(msgspec.Struct, frozen=True):
    """The soft side of a stream lease: its session; "" = no stream of this server has it."""

    session: str = ""
    here: bool = False
    """Whether this server granted it (else another one knows more)."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that the causes of one execution are drawn from."""

    header: ExecutionHeader
    now_ms: int
    open: OpenTasks
    queues: dict[Queue, QueueFacts] = {}
    leases: dict[str, LeaseFacts] = {}
    """By task id."""
    history: tuple[HistoryRow, ...] = ()
    """The last rows, the oldest first."""
    parked: ParkedRecord | None = None
    paused_parents: tuple[str, ...] = ()
    children: dict[str, Explanation | None] = {}
    """By id; None = it does not exist."""
    effects: int = 0
    """That wait to be carried out."""


class EndFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the end of a closed execution is told from."""

    header: ExecutionHeader
    now_ms: int
    failed: TaskRecord | None = None
    """The task that is to blame."""
    failed_child: Explanation | None = None
    history: tuple[HistoryRow, ...] = ()
    failure_workflow_id: str = ""
    failure_workflow_text: str = ""
    """Why it could not be started."""
    failure_workflow: Explanation | None = None
    parked: ParkedRecord | None = None
    paused_parents: tuple[str, ...] = ()

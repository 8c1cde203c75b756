"""What decide gives back: changed records and effects as plain data, and what it may ask for.

A Transition describes one atomic commit completely; nothing else may be needed for the state to be
right. Effects are carried out from the durable outbox, at least once, so each is idempotent.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from podium.model.definition import TaskDef
from podium.model.execution import (
    BranchRecord,
    ExecutionHeader,
    HistoryRow,
    JoinRecord,
    ParentLink,
    SecretMark,
    TaskRecord,
)
from podium.model.payload import EMPTY, JsonValue, Payload
from podium.model.queue import Deadline, DeadlineKind, Limits, Outstanding, Queue, Ready

LogLine: TypeAlias = tuple[str, int, str]
"""(task id, epoch ms, text)."""


class StartChild(msgspec.Struct, frozen=True, kw_only=True, tag="start_child", array_like=True):
    """Start a workflow: a child (`parent` set), an independent one (`starter` set), or a failure
    workflow (`failed_workflow_id` set).
    """

    workflow_id: str
    name: str
    version: int | None
    definition: bytes | None = None
    input: Payload = EMPTY
    correlation_id: str = ""
    priority: int = 0
    task_to_domain: dict[str, str] = {}
    parent: ParentLink | None = None
    failed_workflow_id: str = ""
    """Set for a failure workflow: its input gets `failedWorkflow` from this execution (S-144)."""
    starter: ParentLink | None = None
    """The START_WORKFLOW task that is told, by a CloseChild, how the start itself went."""
    secrets: tuple[SecretMark, ...] = ()
    """Where `input` names secrets, a path beginning with input; its values are not in it."""
    trace_parent: str = ""
    """Of the execution that starts it."""
    trace_state: str = ""


class ReportToParent(
    msgspec.Struct, frozen=True, kw_only=True, tag="report_to_parent", array_like=True
):
    """Tell the waiting SUB_WORKFLOW task how this execution ended (becomes CloseChild there)."""

    parent: ParentLink
    child_id: str
    status: str
    output: Payload = EMPTY
    reason: str | None = None


class TerminateChild(
    msgspec.Struct, frozen=True, kw_only=True, tag="terminate_child", array_like=True
):
    """End a child whose parent ended; where it does not exist yet a tombstone is left."""

    workflow_id: str
    reason: str


class ReleaseSlot(msgspec.Struct, frozen=True, kw_only=True, tag="release_slot", array_like=True):
    """Free the limited slot of a task whose lease ended."""

    task_id: str
    queue: Queue
    limits: Limits


class ContinueSelf(msgspec.Struct, frozen=True, kw_only=True, tag="continue_self", array_like=True):
    """Send `Continue(cursor)` to this execution."""

    cursor: str


class RetryChild(msgspec.Struct, frozen=True, kw_only=True, tag="retry_child", array_like=True):
    """Go on with a child that failed, or have it report again to the task that waits for it."""

    workflow_id: str
    task_id: str
    run_epoch: int


class RerunChild(msgspec.Struct, frozen=True, kw_only=True, tag="rerun_child", array_like=True):
    """Run a child again from a task on, or have it report again to the task that waits for it."""

    workflow_id: str
    task_id: str
    run_epoch: int
    task_ids: tuple[str, ...]
    task_input: Payload | None = None


class ReviveParent(msgspec.Struct, frozen=True, kw_only=True, tag="revive_parent", array_like=True):
    """Tell the parent that its child goes on, and by which operation: retried, restarted, reran."""

    parent: ParentLink
    child_id: str
    operation: str = ""


class CacheOutput(msgspec.Struct, frozen=True, kw_only=True, tag="cache_output", array_like=True):
    """Keep a task's output for equal calls. It may be lost: then the task runs once more."""

    name: str
    output: Payload
    at_ms: int
    until_ms: int


Effect: TypeAlias = (
    StartChild
    | ReportToParent
    | TerminateChild
    | ReleaseSlot
    | ContinueSelf
    | RetryChild
    | ReviveParent
    | RerunChild
    | CacheOutput
)


class CancelNotice(msgspec.Struct, frozen=True):
    """Tell the holder of a lease to stop; not durable, the stale epoch is what keeps it safe."""

    task_id: str
    lease_epoch: int
    incarnation: str
    session: str
    reason: str


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One atomic change. Maps name only what changed; `None` in joins = the counter is gone."""

    header: ExecutionHeader
    created: bool = False
    input: Payload | None = None
    output: Payload | None = None
    variables: Payload | None = None
    definition: bytes | None = None
    """Inline definition, stored with the execution when it is created."""
    tasks: dict[str, TaskRecord] = {}
    """By task key: latest attempts."""
    attempts: dict[tuple[str, int], TaskRecord] = {}
    """Former attempts that were moved aside, by (key, attempt)."""
    joins: dict[str, JoinRecord | None] = {}
    branches: dict[str, BranchRecord] = {}
    removed: tuple[str, ...] = ()
    """Keys of tasks that exist no more."""
    removed_attempts: tuple[tuple[str, int], ...] = ()
    removed_branches: tuple[str, ...] = ()
    messages: dict[int, bytes | None] = {}
    """Of the message queue, by number: JSON text; None = it waits no longer."""
    armed: tuple[Deadline, ...] = ()
    disarmed: tuple[tuple[str, DeadlineKind], ...] = ()
    """(task id or "", kind)."""
    ready: tuple[Ready, ...] = ()
    """Tasks that became ready for a worker and were not granted in this same commit."""
    unready: tuple[str, ...] = ()
    """Task ids whose stored ready entry goes (granted or ended)."""
    left: tuple[Ready, ...] = ()
    """Of those, what ended: it stands in a queue still."""
    held: tuple[tuple[str, str], ...] = ()
    """(incarnation, task id): stream leases that begin or move here."""
    unheld: tuple[tuple[str, str], ...] = ()
    slots: tuple[tuple[str, Queue], ...] = ()
    """Limited tasks whose lease began: they occupy a slot until released."""
    unslotted: tuple[str, ...] = ()
    outstanding: tuple[tuple[str, Outstanding], ...] = ()
    """Tasks of queues that are neither ready nor ended now; `returned` = those that were."""
    returned: tuple[str, ...] = ()
    logs: tuple[LogLine, ...] = ()
    effects: tuple[Effect, ...] = ()
    cancels: tuple[CancelNotice, ...] = ()
    history: HistoryRow | None = None


class FetchTasks(msgspec.Struct, frozen=True):
    """Need: the latest records of these keys, with their joins and branches. Answer: Records."""

    keys: tuple[str, ...]
    attempts: tuple[tuple[str, int], ...] = ()
    joins: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    messages: tuple[int, ...] = ()


class FetchAll(msgspec.Struct, frozen=True):
    """Need: every record of the execution. Answer: Records with `complete` true."""


class FetchPayloads(msgspec.Struct, frozen=True):
    """Need: the execution's own payloads. Answer: Records with input, output, variables."""


class FetchTaskDefs(msgspec.Struct, frozen=True):
    """Need: registered task definitions by name. Answer: TaskDefs, None where not registered."""

    names: tuple[str, ...]


class FetchDomains(msgspec.Struct, frozen=True):
    """Need: domains in which workers asked for this type lately. Answer: ActiveDomains."""

    task_type: str


class ActiveDomains(msgspec.Struct, frozen=True):
    """Domains with a worker that is there or polled within 10 s (S-566); "" = without a domain."""

    domains: frozenset[str]


class FetchCached(msgspec.Struct, frozen=True):
    """Need: the output kept under this name, if it came out after `after_ms`. Answer: Cached."""

    name: str
    after_ms: int


class Cached(msgspec.Struct, frozen=True):
    """An output that was kept; None = there is none, or it is too old."""

    output: Payload | None


class Admit(msgspec.Struct, frozen=True):
    """Need: a slot of this queue, at once or not at all. Answer: Admitted."""

    task_id: str
    queue: Queue
    limits: Limits


class Admitted(msgspec.Struct, frozen=True):
    """Whether the slot is claimed; the commit stores it."""

    taken: bool


Language: TypeAlias = Literal["javascript", "jq", "jsonpath", "jsonschema"]


class Evaluate(msgspec.Struct, frozen=True):
    """Need: a program run outside this process, in the sandbox. Answer: Evaluated.

    `input` is JSON text: what `$` is in JavaScript, `.` in jq, the document of a JSONPath or of a
    JSON Schema, which is the program as JSON text.
    `now_ms` and `seed` make clock and chance of the program the same whenever it is repeated.
    `secrets`: where the input names secrets, which are put in on the way, and those whose `path` is
    `program_path` in the program, too.
    """

    language: Language
    program: str
    input: bytes
    now_ms: int = 0
    seed: str = ""
    secrets: tuple[SecretMark, ...] = ()
    program_path: tuple[str, ...] = ()


class Evaluated(msgspec.Struct, frozen=True):
    """What a program gave: `value` for JavaScript, a list of all results for jq and JSONPath, for
    a JSON Schema a list of [place, message], empty where the document fits.

    `error` not "" = it failed, and says why in words a client may see.
    """

    value: JsonValue = None
    error: str = ""
    retriable: bool = False
    """The failure is of this moment, not of the program: it ran out of time, or found no place."""


Need: TypeAlias = (
    FetchTasks
    | FetchAll
    | FetchPayloads
    | FetchTaskDefs
    | FetchDomains
    | FetchCached
    | Evaluate
    | Admit
)


class Records(msgspec.Struct, frozen=True, kw_only=True):
    """Stored records that were asked for; a key that does not exist maps to None."""

    tasks: dict[str, TaskRecord | None] = {}
    attempts: dict[tuple[str, int], TaskRecord | None] = {}
    joins: dict[str, JoinRecord | None] = {}
    branches: dict[str, BranchRecord | None] = {}
    messages: dict[int, bytes] = {}
    """Those that were asked for; they are never all of them."""
    input: Payload | None = None
    output: Payload | None = None
    variables: Payload | None = None
    complete: bool = False


TaskDefs: TypeAlias = dict[str, TaskDef | None]
Answer: TypeAlias = Records | TaskDefs | ActiveDomains | Cached | Evaluated | Admitted

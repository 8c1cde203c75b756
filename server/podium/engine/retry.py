"""Retries: whether one follows, after which delay, and with which record (semantics §3.1).

The delay arithmetic is Conductor's, without its 32-bit overflow; jitter is a hash of task id and
attempt, so a decision repeated yields the same instant.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.identity import task_id
from podium.engine.timing import MS
from podium.model.execution import TaskStatus
from podium.model.payload import EMPTY

if TYPE_CHECKING:
    from podium.engine.state import State
    from podium.model.definition import TaskDef, WorkflowTask
    from podium.model.execution import TaskRecord

NEVER_RETRIED: Final = frozenset(
    {"DECISION", "SWITCH", "FORK", "JOIN", "EXCLUSIVE_JOIN", "DO_WHILE"}
)
"""S-034."""
DELAY_SECONDS_MAX: Final = 2**31 - 1
DOUBLINGS_MAX: Final = 31


def may_retry(task: TaskRecord, template: WorkflowTask, task_def: TaskDef | None) -> bool:
    """Whether attempts are left and the status allows another (S-254, S-266, S-267)."""
    if not task.status.retriable or task.task_type in NEVER_RETRIED or task_def is None:
        return False
    allowed = task_def.retry_count if template.retry_count is None else template.retry_count
    return task.retry_count < allowed


def gives_up_for_time(task: TaskRecord, task_def: TaskDef | None, now_ms: int) -> str | None:
    """Why no retry may follow although attempts are left (S-281), or None."""
    if task_def is None or task_def.total_timeout_seconds <= 0 or not task.first_scheduled_ms:
        return None
    elapsed = (now_ms - task.first_scheduled_ms) // MS
    if elapsed < task_def.total_timeout_seconds:
        return None
    return (
        f"Task {task.id}/{task.def_name} exceeded total timeout of"
        f" {task_def.total_timeout_seconds} seconds (elapsed {elapsed} seconds across all"
        " attempts). No further retries will be attempted."
    )


def delay_seconds(task_def: TaskDef, retry_count: int) -> int:
    """Seconds before the attempt that follows attempt number `retry_count` (S-268 to S-272)."""
    delay = task_def.retry_delay_seconds
    if task_def.retry_logic == "LINEAR_BACKOFF":
        delay *= task_def.backoff_scale_factor * (retry_count + 1)
    elif task_def.retry_logic == "EXPONENTIAL_BACKOFF":
        delay *= 2 ** min(retry_count, DOUBLINGS_MAX)
    delay = min(max(delay, 0), DELAY_SECONDS_MAX)
    if task_def.max_retry_delay_seconds > 0:
        delay = min(delay, task_def.max_retry_delay_seconds)
    return delay


def jitter_ms(task_def: TaskDef, task: TaskRecord) -> int:
    """Milliseconds in [0, backoffJitterMs], fixed for a task id and its attempt (S-273)."""
    if task_def.backoff_jitter_ms <= 0:
        return 0
    digest = blake2b(f"{task.id}:{task.attempt}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % (task_def.backoff_jitter_ms + 1)


def next_attempt(draft: State, failed: TaskRecord) -> TaskRecord:
    """The attempt after `failed`, its input, queue place and deadlines still to come (S-274)."""
    attempt, now_ms = failed.attempt + 1, draft.now_ms
    return replace(
        failed,
        id=task_id(draft.workflow_id, failed.key, attempt),
        attempt=attempt,
        seq=draft.head.next_seq,
        status=TaskStatus.SCHEDULED,
        retry_count=failed.retry_count + 1,
        retried_task_id=failed.id,
        retried=False,
        poll_count=0,
        worker_id=None,
        output=EMPTY,
        sub_workflow_id=None,
        scheduled_ms=now_ms,
        update_ms=now_ms,
        start_ms=0,
        end_ms=0,
        lease=None,
        lease_epoch=0,
        closed_epoch=0,
        leases_lost=0,
        deadlines=(),
    )

"""Deadlines of a task: which are armed, and when a delay lets it become ready.

A deadline is a fact of the record; arming another of the same kind replaces it. Poll deadlines run
from the moment the task is ready, execution deadlines from its first hand-out, total ones from the
first attempt's scheduling. Zero seconds or null in a definition mean no such deadline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.model.queue import SCORE_CLASS_SPAN, Deadline

if TYPE_CHECKING:
    from podium.model.definition import TaskDef, WorkflowDef
    from podium.model.execution import TaskRecord
    from podium.model.queue import DeadlineKind

Deadlines = tuple[Deadline, ...]
MS: Final = 1000
HELD_MS: Final = 10**14
"""Where a deadline stands that passed while the execution was paused: in no lifetime."""


def armed(deadlines: Deadlines, task_id: str, kind: DeadlineKind, at_ms: int) -> Deadlines:
    """With this deadline, in place of any other of its kind."""
    return (*without(deadlines, kind), Deadline(task_id, kind, at_ms))


def without(deadlines: Deadlines, *kinds: DeadlineKind) -> Deadlines:
    """Without the deadlines of these kinds."""
    if not deadlines:
        return ()
    return tuple(deadline for deadline in deadlines if deadline.kind not in kinds)


def has(deadlines: Deadlines, kind: DeadlineKind) -> bool:
    """Whether a deadline of this kind is armed."""
    for deadline in deadlines:  # noqa: SIM110 - `any` over a generator costs three times as much
        if deadline.kind == kind:
            return True
    return False


def waiting_deadlines(task: TaskRecord, task_def: TaskDef | None, *, ready_ms: int) -> Deadlines:
    """Deadlines of a task that is, or at `ready_ms` becomes, ready for a worker: from now on no
    response is awaited, but somebody must take it within the poll timeout.
    """
    found = without(task.deadlines, "response", "poll")
    if task_def is not None and task_def.poll_timeout_seconds:
        found = armed(found, task.id, "poll", ready_ms + task_def.poll_timeout_seconds * MS)
    return found


def first_deadlines(
    task: TaskRecord, task_def: TaskDef | None, *, now_ms: int, delay_ms: int
) -> Deadlines:
    """Deadlines of a new attempt that is ready after `delay_ms`."""
    found: Deadlines = ()
    if task.queue is not None:
        found = waiting_deadlines(task, task_def, ready_ms=now_ms + delay_ms)
    if delay_ms > 0:
        found = armed(found, task.id, "retry", now_ms + delay_ms)
    if task_def is not None and task_def.total_timeout_seconds > 0:
        at_ms = task.first_scheduled_ms + task_def.total_timeout_seconds * MS
        found = armed(found, task.id, "total", at_ms)
    return found


def started_deadlines(task: TaskRecord, task_def: TaskDef | None, start_ms: int) -> Deadlines:
    """Deadlines of a task whose work begins at `start_ms`, the attempt's first start."""
    found = without(task.deadlines, "poll")
    if task_def is not None and task_def.timeout_seconds > 0:
        found = armed(found, task.id, "timeout", start_ms + task_def.timeout_seconds * MS)
    return found


def workflow_deadline_ms(definition: WorkflowDef, now_ms: int) -> int:
    """The execution's own deadline when its clock starts now; 0 = it has none."""
    timeout_ms = definition.timeout_seconds * MS
    return now_ms + timeout_ms if timeout_ms > 0 else 0


def ready_ms_of(task: TaskRecord) -> int:
    """When the task became, or becomes, ready: its score says."""
    return task.score % SCORE_CLASS_SPAN

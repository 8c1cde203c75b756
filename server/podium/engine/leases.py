"""Leases: who works on a task, by epoch. Granting, returning, losing, resuming and extending them.

The epoch only rises. Who holds an older one may report as much as he likes, nothing changes. A
lease ends with the attempt, with an IN_PROGRESS report, or when it is lost; then the task is ready
again where it stood, or its attempt is charged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, assert_never

from msgspec.structs import replace

from podium.engine.changes import ready_of
from podium.engine.command import (
    ExtendLease,
    GrantLease,
    LoseLease,
    Outcome,
    Rejected,
    ResumeLease,
    ReturnLease,
    Verdict,
)
from podium.engine.identity import split_task_id
from podium.engine.limits import LEASES_LOST_LIMIT, REASON_CHARS_LIMIT
from podium.engine.schedule import definition_of, locate
from podium.engine.state import State, want_attempt, want_task
from podium.engine.timing import (
    armed,
    has,
    ready_ms_of,
    started_deadlines,
    waiting_deadlines,
    without,
)
from podium.engine.transition import CancelNotice
from podium.engine.work import Step
from podium.model.execution import TaskRecord, TaskStatus

if TYPE_CHECKING:
    from podium.engine.state import Asking

LeaseCommand: TypeAlias = GrantLease | ReturnLease | LoseLease | ResumeLease | ExtendLease


def find_attempt(draft: State, task_id: str) -> Asking[TaskRecord]:
    """The attempt that the id names, current or former. Raises Rejected NOT_FOUND (S-161)."""
    parts = split_task_id(task_id)
    if parts is not None and parts[0] == draft.workflow_id:
        task = yield from want_task(draft, parts[1])
        if task is not None and task.attempt > parts[2]:
            task = yield from want_attempt(draft, parts[1], parts[2])
        if task is not None and task.attempt == parts[2]:
            return task
    raise Rejected("NOT_FOUND", f"No such task found by id: {task_id}")


def current_attempt(draft: State, task_id: str) -> Asking[TaskRecord | None]:
    """The task whose latest attempt the id names; None for former ones and for none of ours."""
    parts = split_task_id(task_id)
    if parts is None or parts[0] != draft.workflow_id:
        return None
    task = yield from want_task(draft, parts[1])
    return task if task is not None and task.attempt == parts[2] else None


def lease_command(draft: State, command: LeaseCommand) -> Asking[Outcome]:
    """Decide one of the lease commands. STALE and CLOSED change nothing."""
    task = yield from find_attempt(draft, command.task_id)
    if task.status.terminal or not draft.running:
        return Outcome(Verdict.CLOSED, task)
    match command:
        case GrantLease():
            return (yield from grant(draft, task, command))
        case ReturnLease():
            return (yield from give_back(draft, task, command))
        case LoseLease():
            return (yield from lose(draft, task, command))
        case ResumeLease():
            return resume_lease(draft, task, command)
        case ExtendLease():
            return extend(draft, task, command)
        case _:
            assert_never(command)


def grant(draft: State, task: TaskRecord, command: GrantLease) -> Asking[Outcome]:
    """Hand the task out (S-540). A task that is not ready is STALE: somebody else has it."""
    if ready_of(task) is None:
        return Outcome(Verdict.STALE, task)
    now_ms = draft.now_ms
    deadlines = without(task.deadlines, "poll")
    start_ms = task.start_ms
    if not start_ms:
        place = yield from locate(draft, task)
        start_ms = now_ms
        deadlines = started_deadlines(task, definition_of(place, task), now_ms)
    if task.response_timeout_ms > 0:
        deadlines = armed(deadlines, task.id, "response", now_ms + task.response_timeout_ms)
    granted = replace(
        task,
        status=TaskStatus.IN_PROGRESS,
        lease=command.lease,
        lease_epoch=task.lease_epoch + 1,
        worker_id=command.worker_id,
        poll_count=task.poll_count + 1,
        start_ms=start_ms,
        update_ms=now_ms,
        callback_after_ms=0,
        deadlines=deadlines,
    )
    return Outcome(Verdict.OK, draft.put(task, granted))


def give_back(draft: State, task: TaskRecord, command: ReturnLease) -> Asking[Outcome]:
    """The hand-out reached nobody: as if it had not been, but for the epoch."""
    if task.lease is None or task.lease_epoch != command.lease_epoch:
        return Outcome(Verdict.STALE, task)
    first = task.poll_count == 1
    returned = yield from ready_again(draft, task)
    returned = replace(
        returned,
        poll_count=task.poll_count - 1,
        worker_id=None,
        start_ms=0 if first else task.start_ms,
        deadlines=without(returned.deadlines, "timeout") if first else returned.deadlines,
    )
    return Outcome(Verdict.OK, draft.put(task, returned))


def lose(draft: State, task: TaskRecord, command: LoseLease) -> Asking[Outcome]:
    """The holder is gone: ready again where it stood; the third loss charges the attempt."""
    if task.lease is None or task.lease_epoch != command.lease_epoch:
        return Outcome(Verdict.STALE, task)
    lost = task.leases_lost + 1
    if lost >= LEASES_LOST_LIMIT:
        reason = f"lease lost {lost} times in a row, last by worker {task.worker_id}"
        charged = end_attempt(draft, task, TaskStatus.FAILED, reason=reason)
        draft.later.append(Step("settle", key=task.key))
        return Outcome(Verdict.OK, charged)
    again = replace((yield from ready_again(draft, task)), leases_lost=lost)
    return Outcome(Verdict.OK, draft.put(task, again))


def ready_again(draft: State, task: TaskRecord) -> Asking[TaskRecord]:
    """The task in its queue again, with its old score and a new poll deadline."""
    place = yield from locate(draft, task)
    deadlines = waiting_deadlines(
        task, definition_of(place, task), ready_ms=max(ready_ms_of(task), draft.now_ms)
    )
    return replace(
        task,
        status=TaskStatus.SCHEDULED,
        lease=None,
        update_ms=draft.now_ms,
        deadlines=deadlines,
    )


def resume_lease(draft: State, task: TaskRecord, command: ResumeLease) -> Outcome:
    """A worker came back with the task in hand: the same epoch moves the lease to where he is now,
    also when it counted as lost and nobody else took it meanwhile.
    """
    held = task.lease is not None
    lost = task.leases_lost > 0 and ready_of(task) is not None
    if task.lease_epoch != command.lease_epoch or not (held or lost):
        return Outcome(Verdict.STALE, task)
    deadlines = without(task.deadlines, "poll")
    if task.response_timeout_ms > 0 and not has(deadlines, "response"):
        at_ms = draft.now_ms + task.response_timeout_ms
        deadlines = armed(deadlines, task.id, "response", at_ms)
    moved = replace(
        task,
        status=TaskStatus.IN_PROGRESS,
        lease=command.lease,
        worker_id=command.worker_id,
        leases_lost=0,
        update_ms=draft.now_ms,
        deadlines=deadlines,
    )
    return Outcome(Verdict.OK, draft.put(task, moved))


def extend(draft: State, task: TaskRecord, command: ExtendLease) -> Outcome:
    """Renew the response deadline and nothing else (S-160)."""
    current = task.lease_epoch if task.lease is not None else None
    if command.lease_epoch is not None and command.lease_epoch != current:
        return Outcome(Verdict.STALE, task)
    deadlines = task.deadlines
    if has(deadlines, "response"):
        at_ms = draft.now_ms + task.response_timeout_ms
        deadlines = armed(deadlines, task.id, "response", at_ms)
    renewed = replace(task, update_ms=draft.now_ms, deadlines=deadlines)
    return Outcome(Verdict.OK, draft.put(task, renewed))


def end_attempt(
    draft: State,
    task: TaskRecord,
    status: TaskStatus,
    *,
    reason: str | None = None,
    notice: str = "",
) -> TaskRecord:
    """End an open attempt from the server's side. `reason` None keeps the task's; with `notice` the
    holder of a stream lease is told to stop.
    """
    if notice:
        notify(draft, task, notice)
    done = replace(
        task,
        status=status,
        reason=task.reason if reason is None else reason[:REASON_CHARS_LIMIT],
        lease=None,
        deadlines=(),
        end_ms=draft.now_ms,
    )
    return draft.put(task, done)


def notify(draft: State, task: TaskRecord, reason: str) -> None:
    """Tell the holder of a stream lease to stop."""
    lease = task.lease
    if lease is not None and lease.kind == "stream":
        draft.cancels.append(
            CancelNotice(task.id, task.lease_epoch, lease.incarnation, lease.session, reason)
        )

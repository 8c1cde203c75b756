"""Results: from workers (ReportResult) and from child workflows (CloseChild)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.caching import keep
from podium.engine.command import CloseChild, Outcome, Rejected, ReportResult, Verdict
from podium.engine.graph import LOOP
from podium.engine.identity import child_id
from podium.engine.leases import current_attempt, find_attempt, notify
from podium.engine.lifecycle import REPORTABLE
from podium.engine.limits import LOG_CHARS_LIMIT, LOGS_LIMIT, REASON_CHARS_LIMIT
from podium.engine.schedule import definition_of, locate
from podium.engine.timing import armed, has, waiting_deadlines, without
from podium.engine.work import Step
from podium.model.execution import TaskRecord, TaskStatus
from podium.model.payload import EMPTY, Payload
from podium.model.queue import ready_score

if TYPE_CHECKING:
    from podium.engine.state import Asking, State

STATUS_OF_CHILD: Final = {
    "COMPLETED": TaskStatus.COMPLETED,
    "FAILED": TaskStatus.FAILED,
    "TERMINATED": TaskStatus.CANCELED,
    "TIMED_OUT": TaskStatus.TIMED_OUT,
}
"""S-428."""
ASYNC_COMPLETE: Final = "asyncComplete"
START_WORKFLOW: Final = "START_WORKFLOW"


def report_result(draft: State, command: ReportResult) -> Asking[Outcome]:
    """Take a result. With an epoch: OK only for the current one, again OK when it was accepted from
    that very epoch before, else STALE. Without: while the attempt is open (S-162, S-165).
    """
    if command.status not in REPORTABLE:
        raise Rejected(
            "INVALID_ARGUMENT",
            f"expected a status a worker may report ({', '.join(sorted(REPORTABLE))}),"
            f" found {command.status} for task {command.task_id}",
        )
    task = yield from find_attempt(draft, command.task_id)
    if task.status.terminal:
        return Outcome(verdict_on_ended(task, command.lease_epoch), task)
    if not draft.running:
        return Outcome(Verdict.CLOSED, task)
    if command.lease_epoch is not None and command.lease_epoch != task.lease_epoch:
        return Outcome(Verdict.STALE, task)
    if command.lease_epoch is None:
        notify(draft, task, "a result without a lease was accepted")
    note_lines(draft, task, command)
    if command.status is TaskStatus.IN_PROGRESS:
        return Outcome(Verdict.OK, draft.put(task, (yield from progressed(draft, task, command))))
    done = draft.put(task, finished(draft, task, command))
    if done.cached_as and done.status is TaskStatus.COMPLETED:
        yield from keep(draft, done)
    draft.later.append(Step("settle", key=task.key))
    return Outcome(Verdict.OK, done)


def note_lines(draft: State, task: TaskRecord, command: ReportResult) -> None:
    """What the result says to the log of its task (S-175)."""
    for at_ms, text in command.logs[-LOGS_LIMIT:]:
        draft.logs.append((task.id, at_ms or draft.now_ms, text[:LOG_CHARS_LIMIT]))


def verdict_on_ended(task: TaskRecord, epoch: int | None) -> Verdict:
    """The attempt has ended before this result came."""
    if epoch is None:
        return Verdict.CLOSED
    if epoch == task.closed_epoch:
        return Verdict.OK
    return Verdict.CLOSED if epoch == task.lease_epoch else Verdict.STALE


def finished(draft: State, task: TaskRecord, command: ReportResult) -> TaskRecord:
    """The record with a terminal result: output and reason are replaced, not merged (S-164)."""
    return replace(
        task,
        status=command.status,
        output=taken_output(task, command),
        reason=cut(command.reason),
        worker_id=command.worker_id or task.worker_id,
        callback_after_ms=command.callback_after_ms,
        closed_epoch=command.lease_epoch or 0,
        lease=None,
        deadlines=(),
        end_ms=draft.now_ms,
    )


def taken_output(task: TaskRecord, command: ReportResult) -> Payload:
    """What is reported. A loop counts by its own entries, so these stay."""
    given = command.output
    if command.merges and task.output:
        given = Payload.of({**task.output.value, **given.value})
    if task.task_type != LOOP:
        return given
    return Payload.of({**given.value, **task.output.value})


def cut(reason: str | None) -> str | None:
    """A reason at its greatest length (S-008)."""
    return reason[:REASON_CHARS_LIMIT] if reason else None


def progressed(draft: State, task: TaskRecord, command: ReportResult) -> Asking[TaskRecord]:
    """IN_PROGRESS: the lease ends, and a worker task is offered again after its callback (S-009,
    S-167). A task that somebody completes from outside stays IN_PROGRESS and awaits no response.
    """
    ready_ms = draft.now_ms + command.callback_after_ms
    after = replace(
        task,
        output=taken_output(task, command),
        reason=cut(command.reason),
        worker_id=command.worker_id or task.worker_id,
        callback_after_ms=command.callback_after_ms,
        lease=None,
        leases_lost=0,
        update_ms=draft.now_ms,
    )
    if task.queue is None or completes_outside(draft, task, command):
        if has(task.deadlines, "retry") and task.queue is None:  # it begins when that is due
            return replace(after, deadlines=task.deadlines)
        return replace(
            after,
            status=TaskStatus.IN_PROGRESS,
            deadlines=without(task.deadlines, "response", "poll", "retry"),
        )
    place = yield from locate(draft, task)
    deadlines = waiting_deadlines(task, definition_of(place, task), ready_ms=ready_ms)
    deadlines = without(deadlines, "retry")
    if command.callback_after_ms > 0:
        deadlines = armed(deadlines, task.id, "retry", ready_ms)
    return replace(
        after,
        status=TaskStatus.SCHEDULED,
        score=ready_score(draft.head.priority, ready_ms),
        deadlines=deadlines,
    )


def completes_outside(draft: State, task: TaskRecord, command: ReportResult) -> bool:
    """A system task with asyncComplete waits for an update once it was run (S-252, S-451)."""
    if task.task_type not in draft.system_types or command.callback_after_ms > 0:
        return False
    return task.input.value.get(ASYNC_COMPLETE) is True


def close_child(draft: State, command: CloseChild) -> Asking[Outcome]:
    """A child ended, or could not start. Reports of former runs and for ended tasks are dropped."""
    task = yield from current_attempt(draft, command.task_id)
    if task is None:
        return Outcome(Verdict.NOOP)
    awaited = (
        not task.status.terminal
        and draft.running
        and awaited_id(task) == command.child_id
        and task.run_epoch == command.run_epoch
    )
    status = STATUS_OF_CHILD.get(command.status)
    if not awaited or status is None:
        return Outcome(Verdict.NOOP, task)
    done = replace(
        task,
        status=status,
        output=output_of(task, command),
        reason=None if status is TaskStatus.COMPLETED else cut(reason_of(task, command)),
        deadlines=(),
        end_ms=draft.now_ms,
    )
    draft.put(task, done)
    draft.later.append(Step("settle", key=task.key))
    return Outcome(Verdict.OK, done)


def awaited_id(task: TaskRecord) -> str | None:
    """Id of the execution whose report the task awaits; that of a START_WORKFLOW is no child."""
    if task.task_type == START_WORKFLOW and task.status is TaskStatus.IN_PROGRESS:
        return child_id(task.id, task.run_epoch)
    return task.sub_workflow_id


def output_of(task: TaskRecord, command: CloseChild) -> Payload:
    """The child's output over the task's; of a START_WORKFLOW, what was started (S-436)."""
    if task.task_type == START_WORKFLOW:
        started = command.status == TaskStatus.COMPLETED
        return Payload.of({"workflowId": command.child_id}) if started else EMPTY
    if command.output:
        return Payload.of({**task.output.value, **command.output.value})
    return task.output


def reason_of(task: TaskRecord, command: CloseChild) -> str | None:
    """Why the task failed."""
    if task.task_type == START_WORKFLOW:
        return command.reason
    return f"Sub workflow {child_name(task, command.child_id)} failure reason: {command.reason}"


def child_name(task: TaskRecord, workflow_id: str) -> str:
    """name.version/id as far as it is known."""
    given = task.input.value
    name, version = given.get("subWorkflowName"), given.get("subWorkflowVersion")
    return f"{name}/{workflow_id}" if version is None else f"{name}.{version}/{workflow_id}"

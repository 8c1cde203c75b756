"""Due deadlines: what each kind does, by the task definition's policy (semantics §3.2 to §3.6).

A deadline that is no longer the stored one is a no-op, so it may be delivered late, twice, or for
an attempt that is long gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.command import Due, Outcome, Verdict
from podium.engine.leases import current_attempt, end_attempt
from podium.engine.lifecycle import workflow_status_of
from podium.engine.schedule import EndExecution, definition_of, locate
from podium.engine.settle import give_up, no_longer_open
from podium.engine.timing import HELD_MS, MS, armed, ready_ms_of, without
from podium.engine.work import Step
from podium.model.execution import TaskStatus, WorkflowStatus
from podium.model.queue import Deadline

if TYPE_CHECKING:
    from podium.engine.state import Asking, State
    from podium.model.definition import TaskDef
    from podium.model.execution import TaskRecord
    from podium.model.queue import DeadlineKind

TIMED_OUT_NOTICE: Final = "the task timed out"


def due(draft: State, command: Due) -> Asking[Outcome]:
    """A deadline passed. Raises EndExecution where its policy ends the workflow."""
    if not draft.running:
        return Outcome(Verdict.NOOP)
    # The caller's clock said it is due; decisions never run behind it.
    draft.now_ms = max(draft.now_ms, command.at_ms)
    if not command.task_id:
        return workflow_due(draft, command)
    task = yield from current_attempt(draft, command.task_id)
    if task is None or Deadline(task.id, command.kind, command.at_ms) not in task.deadlines:
        return Outcome(Verdict.NOOP, task)
    if command.kind in WAITED or draft.head.status is WorkflowStatus.PAUSED:
        return Outcome(Verdict.OK, waited(draft, task, command.kind))
    place = yield from locate(draft, task)
    task_def = definition_of(place, task)
    assert task_def is not None, f"{task.id}: a {command.kind} deadline without a definition"
    if command.kind == "response":
        return Outcome(Verdict.OK, time_out(draft, task, response_text(task, task_def)))
    text = timeout_text(draft, task, task_def, command)
    if task_def.timeout_policy == "ALERT_ONLY":
        header = draft.head
        draft.header = replace(header, alert_count=header.alert_count + 1)
        quiet = replace(task, deadlines=without(task.deadlines, command.kind))
        return Outcome(Verdict.OK, draft.put(task, quiet))
    if task_def.timeout_policy == "RETRY":
        return Outcome(Verdict.OK, time_out(draft, task, text))
    return Outcome(Verdict.OK, ends_workflow(draft, task, text, optional=place.node.task.optional))


def waited(draft: State, task: TaskRecord, kind: DeadlineKind) -> TaskRecord:
    """What was waited for is there; in a pause it is due when that is over (S-076)."""
    if draft.head.status is WorkflowStatus.PAUSED:
        held = armed(task.deadlines, task.id, kind, HELD_MS)
        return draft.put(task, replace(task, deadlines=held))
    return WAITED[kind](draft, task)


def becomes_ready(draft: State, task: TaskRecord) -> TaskRecord:
    """A delay is over: workers may take the task, or the operator starts it."""
    after = draft.put(task, replace(task, deadlines=without(task.deadlines, "retry")))
    if task.queue is None:
        draft.later.append(Step("begin", key=task.key))
    return after


def wait_over(draft: State, task: TaskRecord) -> TaskRecord:
    """A WAIT has waited long enough (S-456)."""
    after = end_attempt(draft, task, TaskStatus.COMPLETED)
    draft.later.append(Step("settle", key=task.key))
    return after


def time_out(draft: State, task: TaskRecord, text: str) -> TaskRecord:
    """TIMED_OUT; then the rules of retries."""
    after = end_attempt(draft, task, TaskStatus.TIMED_OUT, reason=text, notice=TIMED_OUT_NOTICE)
    draft.later.append(Step("settle", key=task.key))
    return after


def ends_workflow(draft: State, task: TaskRecord, text: str, *, optional: bool) -> TaskRecord:
    """TIME_OUT_WF: no retry, the workflow times out (S-284); an optional task is forgiven."""
    notice = TIMED_OUT_NOTICE
    if optional:
        status = TaskStatus.COMPLETED_WITH_ERRORS
        after = end_attempt(draft, task, status, reason=text, notice=notice)
        after = draft.put(after, replace(after, forgiven=True))
        draft.later.append(Step("settle", key=task.key))
        return after
    after = end_attempt(draft, task, TaskStatus.TIMED_OUT, reason=text, notice=notice)
    after = give_up(draft, after)
    no_longer_open(draft, after)
    raise EndExecution(text, workflow_status_of(after.status), after)


WAITED: Final = {"retry": becomes_ready, "wait": wait_over}
"""Deadlines that somebody waits for; the others are timeouts."""


def response_text(task: TaskRecord, task_def: TaskDef) -> str:
    """S-292."""
    return (
        f"responseTimeout: {task_def.response_timeout_seconds} exceeded for the taskId: {task.id}"
        f" with Task Definition: {task.def_name}"
    )


def timeout_text(draft: State, task: TaskRecord, task_def: TaskDef, command: Due) -> str:
    """S-280, S-285, S-288."""
    policy = task_def.timeout_policy
    if command.kind == "total":
        elapsed = (draft.now_ms - task.first_scheduled_ms) // MS
        return (
            f"Task {task.def_name}/{task.id} exceeded total timeout of"
            f" {task_def.total_timeout_seconds} seconds (elapsed {elapsed} seconds across all"
            f" attempts including retry delays). Timeout policy: {policy}"
        )
    if command.kind == "poll":
        elapsed = (draft.now_ms - ready_ms_of(task)) // MS
        return (
            f"Task poll timed out after {elapsed} seconds. Poll timeout configured as"
            f" {task_def.poll_timeout_seconds} seconds. Timeout policy configured to {policy}"
        )
    elapsed = (draft.now_ms - task.start_ms) // MS
    return (
        f"Task timed out after {elapsed} seconds. Timeout configured as"
        f" {task_def.timeout_seconds} seconds. Timeout policy configured to {policy}"
    )


def workflow_due(draft: State, command: Due) -> Outcome:
    """The execution's own deadline (S-299)."""
    header, definition = draft.head, draft.graph.definition
    if command.kind != "workflow" or header.deadline_ms != command.at_ms:
        return Outcome(Verdict.NOOP)
    if definition.timeout_policy == "ALERT_ONLY":
        draft.header = replace(header, deadline_ms=0, alert_count=header.alert_count + 1)
        return Outcome(Verdict.OK)
    elapsed = (draft.now_ms - (header.last_retried_ms or header.created_ms)) // MS
    raise EndExecution(
        f"Workflow timed out after {elapsed} seconds. Timeout configured as"
        f" {definition.timeout_seconds} seconds. Timeout policy configured to"
        f" {definition.timeout_policy}",
        WorkflowStatus.TIMED_OUT,
    )

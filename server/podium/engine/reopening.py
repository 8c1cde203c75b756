"""An execution that had ended goes on: retried, or revived by its child (S-090 to S-104, S-125).

First every unsuccessful task is tried again, in portions of a transition: as a new attempt, or in
place where it only waits for others. Then all counters are made anew from the records, and what
should follow from a task that had succeeded but was not scheduled, because the end came first, is
scheduled. Until that is done a cursor is on the way, so nothing is complete meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.command import Outcome, Rejected, Retry, Revive, Verdict
from podium.engine.ending import leave_sweep, tell_parent
from podium.engine.gating import wait_at_gate
from podium.engine.leases import current_attempt
from podium.engine.lifecycle import NOTHING, require_state
from podium.engine.operators.table import operator_of
from podium.engine.pausing import waiting_for
from podium.engine.recounting import recount
from podium.engine.removing import begin_anew, remove_left
from podium.engine.report import child_name
from podium.engine.schedule import await_again, locate
from podium.engine.settle import SUB_WORKFLOW
from podium.engine.state import COUNTED, want_all
from podium.engine.timing import workflow_deadline_ms
from podium.engine.transition import RetryChild, ReviveParent
from podium.model.execution import WorkflowStatus

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import ExecutionHeader, TaskRecord

RETRIED: Final = "retried"
RESTARTED: Final = "restarted"
RERAN: Final = "reran"
"""Operations that make an execution go on (S-126)."""


def retry_execution(draft: State, command: Retry) -> Asking[Outcome]:
    """Try all unsuccessful tasks again; of failed children, on wish, go on with the child."""
    header = draft.head
    if not header.status.terminal and command.by_parent:
        return Outcome(Verdict.NOOP)  # it runs, and will report
    if not command.by_parent:
        require_state(header, "Retry")
    yield from want_all(draft)
    retried = waiting_for(draft, unsuccessful)
    nothing = not (retried or header.rerun) and header.status is not WorkflowStatus.TIMED_OUT
    if nothing or ended_on_purpose(header):
        if command.by_parent:  # the parent waits for it
            draft.header = replace(header)
            tell_parent(draft)
            return Outcome(Verdict.OK)
        text = NOTHING.format(id=header.id, status=header.status)
        raise Rejected("FAILED_PRECONDITION", text)
    require_settled(header)
    reopen_execution(draft, RETRIED, tell=not command.by_parent)
    yield from try_again(draft, "retry_children" if command.resume_children else "retry")
    return Outcome(Verdict.OK)


def revive(draft: State, command: Revive) -> Asking[Outcome]:
    """The child of a task goes on: so does the task, and with it an execution that had ended for
    it. Where the flow has gone on, or the task is optional, nothing changes (S-125).
    """
    task = yield from current_attempt(draft, command.task_id)
    header = draft.head
    if (
        task is None
        or not task.status.terminal
        or task.status.successful
        or task.sub_workflow_id != command.child_id
        or task.run_epoch != command.run_epoch
        or not header.status.terminal
        or ended_on_purpose(header)
        or header.pending
    ):
        return Outcome(Verdict.NOOP, task)
    yield from want_all(draft)
    operation = command.operation or RETRIED
    reopen_execution(draft, operation, tell=True)
    # S-127; a retry of the execution itself keeps them (S-102).
    draft.header = replace(draft.head, failed_task_id=None, failed_refs=(), failed_names=())
    place = yield from locate(draft, task)
    await_again(draft, place, task)
    note_child(draft, task, operation)
    yield from try_again(draft, "retry_children")
    return Outcome(Verdict.OK)


def require_settled(header: ExecutionHeader) -> None:
    """Raises Rejected where an execution that ended is still cancelling its tasks."""
    if header.pending:
        raise Rejected(
            "FAILED_PRECONDITION",
            f"expected an execution whose tasks have all ended, found {header.id} {header.status}"
            " and still cancelling; try again",
        )


def note_child(draft: State, task: TaskRecord, operation: str) -> None:
    """A line in the log of a task whose child goes on (S-126)."""
    assert task.sub_workflow_id is not None, task.id
    text = f"Sub workflow {child_name(task, task.sub_workflow_id)} {operation}."
    draft.logs.append((task.id, draft.now_ms, text))


def reopen_execution(draft: State, operation: str, *, tell: bool) -> None:
    """RUNNING again, its timeout's clock anew (S-096). `tell` = its parent shall wait for it, and
    hears of the operation.
    """
    header = draft.head
    draft.header = replace(
        header,
        status=WorkflowStatus.RUNNING,
        reason=None,
        ended_ms=0,
        last_retried_ms=draft.now_ms,
        deadline_ms=workflow_deadline_ms(draft.graph.definition, draft.now_ms),
    )
    if tell and header.parent is not None:
        draft.effects.append(
            ReviveParent(parent=header.parent, child_id=header.id, operation=operation)
        )


def ended_on_purpose(header: ExecutionHeader) -> bool:
    """COMPLETED, or by a TERMINATE task, behind which nothing goes on (S-039)."""
    return header.status is WorkflowStatus.COMPLETED or bool(header.terminate_key)


def unsuccessful(task: TaskRecord) -> bool:
    """A task that ended, and not well."""
    return task.status.terminal and not task.status.successful


def retry(draft: State) -> Asking[None]:
    """Go on trying again; children are started anew."""
    yield from try_again(draft, "retry")


def retry_children(draft: State) -> Asking[None]:
    """Go on trying again; children go on."""
    yield from try_again(draft, "retry_children")


def try_again(draft: State, sweep: str) -> Asking[None]:
    """As many of the tasks that had failed as one transition holds; after the last, recount. Where
    the execution runs again from some point on, what is behind that is removed before; where only
    so many may run, it then waits for a slot.
    """
    yield from want_all(draft)
    rerun = draft.head.rerun
    if rerun is not None and not (yield from remove_left(draft, rerun)):
        leave_sweep(draft, sweep)
        return
    if draft.graph.run_limit is not None and (yield from wait_at_gate(draft, sweep)):
        return
    since_ms = draft.head.last_retried_ms
    for task in waiting_for(draft, lambda task: unsuccessful(task) and task.end_ms <= since_ms):
        if rerun is not None and rerun.anew and rerun.key == task.key:
            continue
        if draft.full:
            leave_sweep(draft, sweep)
            return
        place = yield from locate(draft, task)
        yield from try_task_again(draft, place, task, resume=sweep == "retry_children")
    if rerun is not None:
        yield from begin_anew(draft, rerun)
    yield from recount(draft)


def try_task_again(draft: State, place: Place, task: TaskRecord, *, resume: bool) -> Asking[None]:
    """Another attempt, or the same one where it only waits: for members, or for its child."""
    if task.task_type in COUNTED:
        await_again(draft, place, task)
    elif resume and task.task_type == SUB_WORKFLOW and task.sub_workflow_id:
        await_again(draft, place, task)
        note_child(draft, task, RETRIED)
        draft.effects.append(
            RetryChild(workflow_id=task.sub_workflow_id, task_id=task.id, run_epoch=task.run_epoch)
        )
    else:
        draft.set_aside(task)
        yield from operator_of(place.node.task.type, task.ref).run(draft, place)

"""Restart and rerun: an execution that ended runs again under its id (S-081 to S-089, S-106 ff.).

Whole, or from one task on. What the former run left is removed first (removing.py); children of it
are not touched, and what they report finds no task. From a task on, the rest goes on as a retry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from podium.engine.command import Outcome, Rejected, Rerun, Restart, Verdict
from podium.engine.ending import tell_parent
from podium.engine.enforce import require_input, taken_input
from podium.engine.gate import FROM_THE_START
from podium.engine.gathering import latest
from podium.engine.identity import split_task_id
from podium.engine.lifecycle import require_state
from podium.engine.reach import behind
from podium.engine.removing import takes_input
from podium.engine.reopening import (
    RERAN,
    RESTARTED,
    note_child,
    reopen_execution,
    require_settled,
    try_again,
)
from podium.engine.schedule import await_again, locate
from podium.engine.settle import JOINS
from podium.engine.state import payload, want_all, want_payloads, want_task
from podium.engine.transition import RerunChild
from podium.model.execution import RerunRecord, TaskStatus, WorkflowStatus
from podium.model.payload import EMPTY

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord


def restart(draft: State, command: Restart) -> Asking[Outcome]:
    """From the start, by its own definition or by the one that is given; created now (S-084)."""
    header = draft.head
    require_state(header, "Restart")
    require_settled(header)
    completed = header.status is WorkflowStatus.COMPLETED
    if completed and not draft.graph.definition.restartable:
        raise Rejected("NOT_FOUND", f"Workflow: {header.id} is non-restartable")
    yield from want_payloads(draft)
    if command.graph is not None:
        yield from require_input(command.graph, payload(draft.input), draft.head.secrets)
        draft.graph = command.graph
        draft.header = replace(
            header,
            name=command.name,
            version=command.version,
            digest=command.digest,
            inline_definition=False,
        )
    draft.header = replace(draft.head, created_ms=draft.now_ms)
    draft.output = EMPTY
    yield from run_whole(draft, RESTARTED, tell=True)
    return Outcome(Verdict.OK)


def rerun(draft: State, command: Rerun) -> Asking[Outcome]:
    """Whole with the input given, or from a task on."""
    header = draft.head
    if command.by_parent and not header.status.terminal:
        return Outcome(Verdict.NOOP)  # it runs, and will report
    try:
        yield from rerun_ended(draft, command)
    except Rejected:
        if not command.by_parent:
            raise
        draft.header = replace(header)  # the parent waits for a report
        tell_parent(draft)
    return Outcome(Verdict.OK)


def rerun_ended(draft: State, command: Rerun) -> Asking[None]:
    """Raises Rejected before anything changed."""
    header = draft.head
    require_state(header, "Rerun")
    require_settled(header)
    yield from want_all(draft)
    yield from want_payloads(draft)
    begin = None
    if command.task_ids:
        begin = yield from find(draft, command)
    if command.input is not None:
        draft.input = yield from taken_input(draft.graph, command.input, draft.head.secrets)
    if command.correlation_id:
        draft.header = replace(draft.head, correlation_id=command.correlation_id)
    tell = not command.by_parent
    if begin is None:
        yield from run_whole(draft, RERAN, tell=tell)
        return
    task, place = begin
    reset(draft, RERAN, tell=tell)
    anew = make_ready(draft, place, task, command)
    draft.header = replace(draft.head, rerun=RerunRecord(key=task.key, anew=anew))
    yield from try_again(draft, "retry_children")


def run_whole(draft: State, operation: str, *, tell: bool) -> Asking[None]:
    """RUNNING with nothing of the former run."""
    reset(draft, operation, tell=tell)
    draft.header = replace(
        draft.head,
        skipped=(),
        alert_count=0,
        rerun=RerunRecord(key=FROM_THE_START),
    )
    yield from try_again(draft, "retry")


def reset(draft: State, operation: str, *, tell: bool) -> None:
    """RUNNING, a new run; what the former one noted is forgotten."""
    reopen_execution(draft, operation, tell=tell)
    draft.header = replace(
        draft.head,
        run_epoch=draft.head.run_epoch + 1,
        terminate_key="",
        failed_refs=(),
        failed_names=(),
        failed_task_id=None,
    )


def find(draft: State, command: Rerun) -> Asking[tuple[TaskRecord, Place]]:
    """The task to begin from, judged. Raises Rejected."""
    task_id, *below = command.task_ids
    parts = split_task_id(task_id)
    task = None
    if parts is not None and parts[0] == draft.workflow_id:
        task = yield from want_task(draft, parts[1])
    child = split_task_id(below[0]) if below else None
    if task is None or (below and (child is None or task.sub_workflow_id != child[0])):
        raise Rejected("INVALID_ARGUMENT", f"Task {command.task_ids[-1]} not found")
    if task.status is TaskStatus.SKIPPED:
        raise Rejected(
            "INVALID_ARGUMENT", f"expected a task that was scheduled, found {task.id} SKIPPED"
        )
    place = yield from locate(draft, task)
    if command.task_input is not None and not below and not takes_input(task, place):
        raise Rejected(
            "INVALID_ARGUMENT",
            f"expected no task_input for {task.id}, whose type {place.node.task.type} makes its"
            " own, found one",
        )
    yield from check_end(draft, task)
    return task, place


def check_end(draft: State, start: TaskRecord) -> Asking[None]:
    """A TERMINATE that is not run again would end the execution again at once. Raises Rejected."""
    end = draft.head.terminate_key
    if not end or end == start.key or end in (yield from behind(draft, start)).keys:
        return
    task = latest(draft, end)
    raise Rejected(
        "FAILED_PRECONDITION",
        f"expected a task that leads to {task.id if task else end}, which ended the workflow,"
        f" found {start.id} beside it: rerun from a task before both",
    )


def make_ready(draft: State, place: Place, task: TaskRecord, command: Rerun) -> bool:
    """False where the task itself stays and waits again: for its child, or for its members."""
    if len(command.task_ids) > 1:
        await_again(draft, place, task)
        note_child(draft, task, RERAN)
        assert task.sub_workflow_id is not None, task.id
        draft.effects.append(
            RerunChild(
                workflow_id=task.sub_workflow_id,
                task_id=task.id,
                run_epoch=task.run_epoch,
                task_ids=command.task_ids[1:],
                task_input=command.task_input,
            )
        )
        return False
    if task.task_type in JOINS:
        await_again(draft, place, task)
        return False
    if command.task_input is not None:
        draft.reopen(replace(task, input=command.task_input))
    return True

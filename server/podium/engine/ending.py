"""How an execution ends: its output, its reason, its open tasks, and who is told.

The header is final in the commit that ends it; tasks beyond a transition's limit are cancelled by
the Continue that it leaves behind. Children, the parent and the failure workflow are effects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.enforce import output_fault
from podium.engine.evaluation import evaluate_map, want_gathered
from podium.engine.gate import end_gate
from podium.engine.gathering import GATHERING, OutputTooLarge
from podium.engine.identity import failure_workflow_id
from podium.engine.leases import end_attempt
from podium.engine.limits import PAYLOAD_BYTES_LIMIT, WORKFLOW_REASON_CHARS_LIMIT
from podium.engine.schedule import too_large
from podium.engine.settle import no_longer_open
from podium.engine.state import State, known_tasks, payload, want_all, want_payloads, want_task
from podium.engine.transition import ContinueSelf, ReportToParent, StartChild, TerminateChild
from podium.engine.trial import is_trial
from podium.engine.work import Cursor, write_cursor
from podium.model.execution import TaskStatus, WorkflowStatus
from podium.model.payload import EMPTY, Payload

if TYPE_CHECKING:
    from podium.engine.schedule import EndExecution
    from podium.engine.state import Asking
    from podium.model.execution import TaskRecord
    from podium.model.payload import JsonObject

FAILURE_WORKFLOW_KEY: Final = "conductor.failure_workflow"
SEEN_BY_JOINS: Final = frozenset({"JOIN", "SUB_WORKFLOW"})
"""Failures that joins have gathered before the execution ends; others end it first (S-386)."""
NUMBERS_PER_COMMIT: Final = 1_000
"""Cursors that one commit may leave: one for each command decided in it, at most."""
NO_TASKS_REASON: Final = "No tasks found to be executed"


def complete(draft: State) -> Asking[None]:
    """Every task is final: COMPLETED, or FAILED for the permissive tasks that failed (S-230)."""
    header = draft.head
    if header.permissive_failure_count:
        reason = ". ".join(header.permissive_failures)
        yield from finish(draft, WorkflowStatus.FAILED, reason, blame=None)
        return
    reason = None if header.last_key else NO_TASKS_REASON
    yield from finish(draft, WorkflowStatus.COMPLETED, reason, blame=None)


def terminate_by_task(draft: State) -> Asking[None]:
    """A TERMINATE task is done: it says how the execution ends (S-232 to S-234)."""
    task = yield from want_task(draft, draft.head.terminate_key)
    assert task is not None, draft.head.terminate_key
    given = task.input.value
    status = {
        "FAILED": WorkflowStatus.FAILED,
        "TERMINATED": WorkflowStatus.TERMINATED,
    }.get(str(given.get("terminationStatus")), WorkflowStatus.COMPLETED)
    reason = given.get("terminationReason")
    if not isinstance(reason, str) or not reason.strip():
        reason = f"Workflow is {status.value} by TERMINATE task: {task.id}"
    blame = None if status is WorkflowStatus.COMPLETED else task
    yield from finish(draft, status, reason, blame=blame)


def end_execution(draft: State, ending: EndExecution) -> Asking[None]:
    """A rule said that the execution must end unsuccessfully."""
    yield from finish(draft, ending.status, ending.reason, blame=ending.task)


def finish(
    draft: State, status: WorkflowStatus, reason: str | None, *, blame: TaskRecord | None
) -> Asking[None]:
    """End the execution from within: output, open tasks, parent, failure workflow."""
    draft.now.clear()
    draft.later.clear()
    draft.loops.clear()
    if blame is not None and blame.task_type not in SEEN_BY_JOINS:
        draft.unseen = blame.key
    try:
        output = yield from final_output(draft)
    except OutputTooLarge as large:
        output, status, reason = EMPTY, WorkflowStatus.FAILED, str(large)
    if status is WorkflowStatus.COMPLETED:
        fault = yield from output_fault(draft.graph, output)
        status, reason = (WorkflowStatus.FAILED, fault) if fault else (status, reason)
    close(draft, status, reason)
    if blame is not None and draft.head.failed_task_id is None:
        draft.header = replace(draft.head, failed_task_id=blame.id)
    draft.output = output
    if status is not WorkflowStatus.COMPLETED:
        yield from start_failure_workflow(draft)
    tell_parent(draft)
    yield from cancel_open(draft)


def close(draft: State, status: WorkflowStatus, reason: str | None) -> None:
    """The header of an ended execution."""
    draft.set_status(status)
    end_gate(draft)
    reason = reason[:WORKFLOW_REASON_CHARS_LIMIT] if reason else reason
    draft.header = replace(
        draft.head,
        reason=reason,
        ended_ms=draft.now_ms,
        deadline_ms=0,
        pending=(),
        waiting_loops=(),
    )


def final_output(draft: State) -> Asking[Payload]:
    """The TERMINATE task's output, the definition's outputParameters, or the output of the task
    scheduled last, also where another one failed (S-237 says otherwise; real servers do this). An
    open join has not seen the failure yet. Raises OutputTooLarge.
    """
    header = draft.head
    if header.terminate_key:
        task = yield from want_task(draft, header.terminate_key)
        return task.output if task else EMPTY
    if draft.graph.definition.output_parameters:
        yield from want_payloads(draft)
        return bounded((yield from evaluate_map(draft, draft.graph.output)))
    task = (yield from want_task(draft, header.last_key)) if header.last_key else None
    if task is None:
        return EMPTY
    if task.task_type not in GATHERING:
        return task.output
    return bounded((yield from want_gathered(draft, task)))


def bounded(value: JsonObject) -> Payload:
    """The output as it is stored. Raises OutputTooLarge."""
    output = Payload.of(value)
    if len(output) > PAYLOAD_BYTES_LIMIT:
        raise OutputTooLarge(too_large("workflow output", len(output)))
    return output


def start_failure_workflow(draft: State) -> Asking[None]:
    """Start what the definition names for this, and note its id in the output (S-141 to S-146)."""
    definition, header = draft.graph.definition, draft.head
    if not definition.failure_workflow or is_trial(header):
        return
    yield from want_payloads(draft)
    name = failure_workflow_name(draft, definition.failure_workflow)
    if not name:
        return
    child = failure_workflow_id(header.id, header.history_position)
    given = {
        **payload(draft.input).value,
        "workflowId": header.id,
        "reason": header.reason,
        "failureStatus": header.status.value,
    }
    if header.failed_task_id is not None:
        given["failureTaskId"] = header.failed_task_id
    draft.effects.append(
        StartChild(
            workflow_id=child,
            name=name,
            version=definition.failure_workflow_version,
            input=Payload.of(given),
            correlation_id=header.correlation_id,
            task_to_domain=header.task_to_domain,
            failed_workflow_id=header.id,
            trace_parent=header.trace_parent,
            trace_state=header.trace_state,
        )
    )
    draft.output = Payload.of({**payload(draft.output).value, FAILURE_WORKFLOW_KEY: child})


def failure_workflow_name(draft: State, text: str) -> str:
    """The name itself, or the input entry that `$workflow.input.x` or `${workflow.input.x}` names;
    "" where there is none (S-143).
    """
    if not text.startswith("$"):
        return text
    key = text.strip("${}").removeprefix("workflow.input.")
    value = payload(draft.input).value.get(key)
    return value if isinstance(value, str) else ""


def tell_parent(draft: State) -> None:
    """Report to the waiting SUB_WORKFLOW task, if there is one (S-428)."""
    header = draft.head
    if header.parent is not None:
        draft.effects.append(
            ReportToParent(
                parent=header.parent,
                child_id=header.id,
                status=header.status.value,
                output=payload(draft.output),
                reason=header.reason,
            )
        )


def cancel_open(draft: State) -> Asking[None]:
    """Cancel every open task, as many as one transition holds; the rest by a Continue (S-135)."""
    if draft.head.open_count <= 0:
        return
    yield from want_all(draft)
    reason = parent_reason(draft)
    for task in known_tasks(draft):
        if task.status.terminal:
            continue
        if draft.full:
            leave_cursor(draft, cancel=True)
            return
        cancel(draft, task, reason)
    draft.header = replace(draft.head, open_count=0)


def cancel(draft: State, task: TaskRecord, reason: str) -> None:
    """Cancel one open task; its holder and its child are told."""
    end_attempt(draft, task, TaskStatus.CANCELED, notice=f"workflow is {draft.head.status.value}")
    no_longer_open(draft, task)
    if task.sub_workflow_id is not None:
        draft.effects.append(TerminateChild(workflow_id=task.sub_workflow_id, reason=reason))


def parent_reason(draft: State) -> str:
    """What children are told (S-138)."""
    header = draft.head
    if header.reason:
        return f"Parent workflow has been terminated with reason: {header.reason}"
    return f"Parent workflow has been terminated with status {header.status.value}"


def leave_cursor(draft: State, *, cancel: bool = False) -> None:
    """Cut here: the rest of the steps, or of the cancelling, goes on with Continue."""
    now, later = tuple(draft.now), tuple(draft.later)
    waiting = tuple(dict.fromkeys((*draft.head.waiting_loops, *draft.loops)))
    for steps in (draft.now, draft.later, draft.loops):
        steps.clear()
    draft.header = replace(draft.head, waiting_loops=waiting)
    leave(draft, Cursor(0, now, later, cancel))


def leave_sweep(draft: State, sweep: str) -> None:
    """Cut a pass over all tasks here; the steps that it made so far are taken in this commit."""
    leave(draft, Cursor(0, sweep=sweep))


def leave(draft: State, cursor: Cursor) -> None:
    """Send the cursor to this execution, under a number of its own."""
    header = draft.head
    number = max(header.history_position * NUMBERS_PER_COMMIT, *header.pending, 0) + 1
    draft.header = replace(header, pending=(*header.pending, number))
    draft.effects.append(ContinueSelf(cursor=write_cursor(replace(cursor, number=number))))


def resume(draft: State, cursor: Cursor) -> Asking[bool]:
    """Take a cursor's steps up again. False where that was done before, or is of no use now."""
    header = draft.head
    if cursor.number not in header.pending:
        return False
    draft.header = replace(
        header, pending=tuple(number for number in header.pending if number != cursor.number)
    )
    if cursor.cancel:
        yield from cancel_open(draft)
        return True
    draft.now.extend(cursor.now)
    draft.later.extend(cursor.later)
    return True

"""From facts to why a closed execution ended as it did. Pure: nothing is read here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.app.cause import Cause, CauseKind, Explanation
from podium.app.causes import parked, paused_parents
from podium.app.naming import last_row, named, ref_of
from podium.app.words import counted, listed, sentence, since
from podium.model.execution import WorkflowStatus

if TYPE_CHECKING:
    from podium.app.cause import EndFacts
    from podium.model.execution import TaskRecord


def end_explained(facts: EndFacts) -> Explanation:
    """Why it ended so, and whether its failure workflow did its job."""
    header = facts.header
    causes: list[Cause] = []
    if facts.parked is not None:
        causes.append(parked(facts.parked, facts.now_ms))
    causes.append(end_cause(facts))
    if facts.failure_workflow_id or facts.failure_workflow_text:
        causes += failure_workflow(facts)
    causes += paused_parents(facts.paused_parents)
    return Explanation(
        workflow_id=header.id,
        name=header.name,
        status=header.status.value,
        since_ms=header.ended_ms,
        causes=tuple(causes),
    )


def end_cause(facts: EndFacts) -> Cause:
    """The one thing that ended it."""
    header = facts.header
    if header.status is WorkflowStatus.COMPLETED:
        return Cause(
            kind=CauseKind.NOTHING_WRONG,
            text=f"It is completed {since(header.ended_ms, facts.now_ms)}.",
            remedy="Nothing is to be done.",
            since_ms=header.ended_ms,
        )
    if header.status is WorkflowStatus.TERMINATED:
        return terminated(facts)
    if facts.failed is not None:
        return task_failed(facts, facts.failed)
    if header.status is WorkflowStatus.TIMED_OUT:
        return Cause(
            kind=CauseKind.WORKFLOW_TIMED_OUT,
            text=sentence(f"It took too long: {header.reason or 'no reason was kept'}"),
            remedy="RetryWorkflow goes on where it stood, with a new timeout.",
            since_ms=header.ended_ms,
            reason=header.reason or "",
        )
    return Cause(
        kind=CauseKind.TASK_FAILED,
        text=sentence(f"It failed: {header.reason or 'no reason was kept'}"),
        remedy="RetryWorkflow, RerunWorkflow or RestartWorkflow.",
        since_ms=header.ended_ms,
        reason=header.reason or "",
    )


def task_failed(facts: EndFacts, task: TaskRecord) -> Cause:
    """The task that is to blame, its reason, how often it was tried; its child within."""
    header = facts.header
    attempts = task.retry_count + 1
    others = [each for each in header.failed_refs if each != ref_of(task)]
    also = f" Also failed: {listed(others[:5], len(others) - 5)}." if others else ""
    reason = sentence(task.reason or "no reason was given")
    return Cause(
        kind=CauseKind.TASK_FAILED,
        text=f"Task {ref_of(task)} of type {task.task_type} is {task.status.value} after"
        f" {counted(attempts, 'attempt')}: {reason}{also}",
        remedy="RetryWorkflow tries it again; RerunWorkflow, from an earlier task.",
        since_ms=task.end_ms or header.ended_ms,
        tasks=(named(task),),
        queue=task.queue,
        worker_id=task.worker_id or "",
        attempts=attempts,
        reason=task.reason or "",
        workflow_id=task.sub_workflow_id or "",
        inner=facts.failed_child,
    )


def terminated(facts: EndFacts) -> Cause:
    """By a TERMINATE task, its parent, or a client."""
    header = facts.header
    row = last_row(facts.history, "Terminate")
    if header.terminate_key and facts.failed is not None:
        by = f"its TERMINATE task {ref_of(facts.failed)}"
    elif row is not None and row.actor == "relay":
        by = "its parent's end"
    else:
        by = row.actor if row is not None and row.actor else "a client"
    reason = f": {header.reason}" if header.reason else ""
    return Cause(
        kind=CauseKind.TERMINATED,
        text=sentence(f"It was terminated by {by}{reason}"),
        remedy="RetryWorkflow, RerunWorkflow or RestartWorkflow."
        if not header.terminate_key
        else "RestartWorkflow.",
        since_ms=header.ended_ms,
        tasks=(named(facts.failed),) if facts.failed is not None else (),
        reason=header.reason or "",
        actor=row.actor if row is not None else "",
        workflow_id=header.parent.workflow_id if header.parent is not None else "",
    )


def failure_workflow(facts: EndFacts) -> list[Cause]:
    """Nothing to say of one that goes on or did its job."""
    inner, child_id = facts.failure_workflow, facts.failure_workflow_id
    if facts.failure_workflow_text:
        text = sentence(f"Its failure workflow was not started: {facts.failure_workflow_text}")
    elif inner is None:
        text = f"Its failure workflow {child_id} is not there: it was removed, or is yet to start."
    elif inner.status in (WorkflowStatus.COMPLETED, WorkflowStatus.RUNNING):
        return []
    else:
        text = f"Its failure workflow {child_id} is {inner.status} itself."
    return [
        Cause(
            kind=CauseKind.FAILURE_WORKFLOW_FAILED,
            text=text,
            remedy="What it should have cleaned up is to be looked at; start or retry it by hand.",
            since_ms=inner.since_ms if inner is not None else facts.header.ended_ms,
            reason=facts.failure_workflow_text,
            workflow_id=child_id,
            inner=inner,
        )
    ]

"""Documents of the index into messages: Conductor's summaries, and podium.v1's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from podium.api.execution_out import TASK_STATUSES, WORKFLOW_STATUSES
from podium.conductor import execution_pb2 as pb
from podium.v1 import listing_pb2

if TYPE_CHECKING:
    from podium.index.document import WorkflowDocument
    from podium.index.port import TaskHit

SUMMARY_BYTES = 500
"""What a summary costs to convert beside its texts."""


def workflow_summary(document: WorkflowDocument) -> pb.WorkflowSummary:
    """Of Conductor; times as text, `end_time` empty while it runs (rest.md §2.10)."""
    return pb.WorkflowSummary(
        workflow_type=document.name,
        version=document.version,
        workflow_id=document.id,
        correlation_id=document.correlation_id,
        start_time=instant_text(document.start_ms),
        update_time=instant_text(document.update_ms),
        end_time=instant_text(document.end_ms) if document.end_ms else "",
        status=WORKFLOW_STATUSES[document.status],
        input=document.input or "",
        output=document.output or "",
        reason_for_incompletion=document.reason,
        execution_time=document.end_ms - document.start_ms if document.end_ms else 0,
        event=document.event,
        failed_reference_task_names=",".join(document.failed_refs),
        priority=document.priority,
        failed_task_names=document.failed_names,
        created_by=document.created_by,
        task_to_domain=document.task_to_domain,
        idempotency_key=document.idempotency_key,
        parent_workflow_id=document.parent_id,
    )


def task_summary(hit: TaskHit) -> pb.TaskSummary:
    """Of Conductor; a time that is not yet is that of the epoch."""
    task = hit.task
    took = task.end_ms - task.start_ms if task.end_ms and task.start_ms else 0
    waited = task.start_ms - task.scheduled_ms if task.start_ms and task.scheduled_ms else 0
    return pb.TaskSummary(
        workflow_id=hit.workflow_id,
        workflow_type=hit.workflow_name,
        correlation_id=hit.correlation_id,
        scheduled_time=instant_text(task.scheduled_ms),
        start_time=instant_text(task.start_ms),
        update_time=instant_text(task.update_ms),
        end_time=instant_text(task.end_ms),
        status=TASK_STATUSES[task.status],
        reason_for_incompletion=task.reason,
        execution_time=took,
        queue_wait_time=waited,
        task_def_name=task.def_name,
        task_type=task.task_type,
        input=task.input,
        output=task.output,
        task_id=task.id,
        workflow_priority=hit.priority,
        domain=task.domain,
    )


def summary(document: WorkflowDocument) -> listing_pb2.WorkflowSummary:
    """Of podium.v1."""
    return listing_pb2.WorkflowSummary(
        workflow_id=document.id,
        name=document.name,
        version=document.version,
        status=document.status,
        correlation_id=document.correlation_id,
        parent_workflow_id=document.parent_id,
        start_ms=document.start_ms,
        update_ms=document.update_ms,
        end_ms=document.end_ms,
        reason=document.reason,
        priority=document.priority,
        created_by=document.created_by,
        event=document.event,
        idempotency_key=document.idempotency_key,
        failed_reference_names=document.failed_refs,
        task_to_domain=document.task_to_domain,
        archived=document.archived,
        input=document.input or "",
        output=document.output or "",
    )


def summaries_size(documents: list[WorkflowDocument]) -> int:
    """Bytes to convert."""
    return sum(SUMMARY_BYTES + len(each.input or "") + len(each.output or "") for each in documents)


def instant_text(at_ms: int) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    instant = datetime.fromtimestamp(at_ms / 1000, UTC)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")

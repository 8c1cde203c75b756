"""What is told to a worker of a task, and the result of one that cannot be handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.model.execution import TaskStatus
from podium.model.queue import Queue
from podium.protocol.frame import HandOut, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podium.model.execution import ExecutionHeader, TaskRecord
    from podium.protocol.frame import LeaseName


def hand_out_of(
    task: TaskRecord,
    header: ExecutionHeader,
    runtime_metadata: Mapping[str, str],
    trace_parent: str = "",
) -> HandOut:
    """What a worker is told of a task."""
    return HandOut(
        task_id=task.id,
        lease_epoch=task.lease_epoch,
        queue=task.queue or Queue(task.def_name, task.domain),
        workflow_id=header.id,
        workflow_name=header.name,
        workflow_version=header.version,
        reference_name=task.ref,
        retry_count=task.retry_count,
        iteration=task.iteration[-1] if task.iteration else 0,
        poll_count=task.poll_count,
        priority=header.priority,
        correlation_id=header.correlation_id,
        input=task.input,
        response_timeout_ms=task.response_timeout_ms,
        scheduled_ms=task.scheduled_ms,
        runtime_metadata=runtime_metadata,
        trace_parent=trace_parent,
        trace_state=header.trace_state,
    )


def refusal_of(lease: LeaseName, reason: str) -> Result:
    """The result of a task that cannot be handed out."""
    return Result(
        task_id=lease.task_id,
        lease_epoch=lease.lease_epoch,
        status=TaskStatus.FAILED_WITH_TERMINAL_ERROR,
        reason=reason,
    )

"""Executions and tasks into Conductor's messages (twins).

Definitions in them are made once per bound definition: what a poll or a read repeats is copied.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from podium.api.definition_out import (
    task_def_message,
    workflow_def_message,
    workflow_task_message,
)
from podium.api.off_loop import payloads_size
from podium.api.value import bytes_of_values
from podium.app.document import is_executed, reference_of
from podium.app.masking import masked
from podium.conductor import execution_pb2 as pb
from podium.conductor.twin import execution_pb2 as twin
from podium.engine.scope import shown_iteration
from podium.model.definition import WorkflowTask

if TYPE_CHECKING:
    from podium.app.view import ExecutionView, TaskView
    from podium.conductor.twin import definition_pb2
    from podium.model.execution import TaskRecord

SECOND_MS: Final = 1_000
TASK_BYTES: Final = 1_000
"""What a task costs to convert beside its payloads."""
KEPT_MAX: Final = 500
TASK_STATUSES: Final = dict(pb.Task.Status.items())
WORKFLOW_STATUSES: Final = dict(pb.Workflow.WorkflowStatus.items())


class ExecutionMessages:
    """Makes messages; keeps those of definitions."""

    def __init__(self) -> None:
        self._definitions: OrderedDict[str, definition_pb2.WorkflowDef] = OrderedDict()
        self._tasks: OrderedDict[tuple[str, int], definition_pb2.WorkflowTask] = OrderedDict()

    def execution(self, view: ExecutionView) -> twin.Workflow:
        """One execution with the tasks that the view has, as it may be shown."""
        view = masked(view)
        header = view.header
        parent = header.parent
        return twin.Workflow(
            status=WORKFLOW_STATUSES[header.status],
            end_time=header.ended_ms,
            workflow_id=header.id,
            parent_workflow_id=parent.workflow_id if parent else "",
            parent_workflow_task_id=parent.task_id if parent else "",
            tasks=[self.task(task) for task in view.tasks],
            input=bytes_of_values(view.input.value),
            output=bytes_of_values(view.output.value),
            correlation_id=header.correlation_id,
            reason_for_incompletion=header.reason or "",
            event=header.event,
            task_to_domain=header.task_to_domain,
            failed_reference_task_names=header.failed_refs,
            workflow_definition=self._definition(view),
            priority=header.priority,
            variables=bytes_of_values(view.variables.value),
            last_retried_time=header.last_retried_ms,
            failed_task_names=header.failed_names,
        )

    def task(self, view: TaskView) -> twin.Task:
        """One attempt."""
        record, header = view.record, view.header
        message = twin.Task(
            task_type=record.task_type,
            status=TASK_STATUSES[record.status],
            input_data=bytes_of_values(record.input.value),
            reference_task_name=reference_of(record),
            retry_count=record.retry_count,
            seq=record.seq,
            correlation_id=header.correlation_id,
            poll_count=record.poll_count,
            task_def_name=record.def_name,
            scheduled_time=record.scheduled_ms,
            start_time=record.start_ms,
            end_time=record.end_ms,
            update_time=record.update_ms,
            start_delay_in_seconds=record.start_delay_ms // SECOND_MS,
            retried_task_id=record.retried_task_id or "",
            retried=record.retried,
            executed=is_executed(record),
            callback_from_worker=True,
            response_timeout_seconds=record.response_timeout_ms // SECOND_MS,
            workflow_instance_id=header.id,
            workflow_type=header.name,
            task_id=record.id,
            reason_for_incompletion=record.reason or "",
            callback_after_seconds=record.callback_after_ms // SECOND_MS,
            worker_id=record.worker_id or "",
            output_data=bytes_of_values(view.output.value),
            workflow_task=self._workflow_task(view),
            domain=record.domain,
            workflow_priority=header.priority,
            iteration=shown_iteration(record),
            sub_workflow_id=record.sub_workflow_id or "",
            first_start_time=record.first_scheduled_ms,
            runtime_metadata=view.runtime_metadata,
        )
        if record.task_def is not None:
            _add_limits(message, task_def_message(record.task_def))
        elif message.workflow_task.HasField("task_definition"):
            _add_limits(message, message.workflow_task.task_definition)
        return message

    def _definition(self, view: ExecutionView) -> definition_pb2.WorkflowDef:
        digest = view.header.digest
        known = self._definitions.get(digest)
        if known is None:
            known = self._definitions[digest] = workflow_def_message(view.graph.definition)
            if len(self._definitions) > KEPT_MAX:
                self._definitions.popitem(last=False)
        return known

    def _workflow_task(self, view: TaskView) -> definition_pb2.WorkflowTask:
        record, task = view.record, view.task
        if task is None or record.branch:
            return workflow_task_message(task or _least(record))
        name = (view.header.digest, record.node)
        known = self._tasks.get(name)
        if known is None:
            known = self._tasks[name] = workflow_task_message(task)
            if len(self._tasks) > KEPT_MAX:
                self._tasks.popitem(last=False)
        return known


def view_size(view: ExecutionView) -> int:
    """Bytes to convert."""
    own = payloads_size((view.input, view.output, view.variables))
    return own + sum(TASK_BYTES + task_size(task) for task in view.tasks)


def task_size(view: TaskView) -> int:
    """Bytes to convert."""
    return len(view.record.input) + len(view.output)


def _least(record: TaskRecord) -> WorkflowTask:
    """What the record alone tells of its definition."""
    plain = record.task_type == record.def_name
    return WorkflowTask(
        name=record.def_name,
        task_reference_name=record.ref,
        type="SIMPLE" if plain else record.task_type,
    )


def _add_limits(message: twin.Task, limits: definition_pb2.TaskDef) -> None:
    message.rate_limit_per_frequency = limits.rate_limit_per_frequency
    message.rate_limit_frequency_in_seconds = limits.rate_limit_frequency_in_seconds
    message.execution_name_space = limits.execution_name_space
    message.isolation_group_id = limits.isolation_group_id

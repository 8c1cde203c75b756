"""Executions as the JSON of Conductor's interfaces (S-264, S-265): null fields are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from podium.engine.identity import reference_in
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.engine.scope import shown_iteration
from podium.model.execution import TaskStatus
from podium.model.payload import Payload

if TYPE_CHECKING:
    from podium.app.view import ExecutionView, TaskView
    from podium.model.definition import Record
    from podium.model.execution import TaskRecord
    from podium.model.payload import JsonObject, JsonValue

FAILED_WORKFLOW: Final = "failedWorkflow"
SECOND_MS: Final = 1_000


def failed_workflow_input(given: Payload, view: ExecutionView) -> Payload:
    """The input of a failure workflow: `given` and the failed execution (S-144).

    Where that is over the payload limit, the execution's tasks are left out.
    """
    whole = Payload.of({**given.value, FAILED_WORKFLOW: execution_document(view)})
    if len(whole) <= PAYLOAD_BYTES_LIMIT:
        return whole
    document = execution_document(view)
    document["tasks"] = []
    less = Payload.of({**given.value, FAILED_WORKFLOW: document})
    return less if len(less) <= PAYLOAD_BYTES_LIMIT else given


def execution_document(view: ExecutionView) -> JsonObject:
    """One execution with the tasks that the view has."""
    header = view.header
    parent = header.parent
    domains: JsonObject = dict(header.task_to_domain)
    refs: list[JsonValue] = [*header.failed_refs]
    names: list[JsonValue] = [*header.failed_names]
    tasks: list[JsonValue] = [task_document(task) for task in view.tasks]
    return _known(
        {
            "workflowId": header.id,
            "workflowName": header.name,
            "workflowVersion": header.version,
            "status": header.status.value,
            "createTime": header.created_ms,
            "startTime": header.created_ms,
            "updateTime": header.updated_ms,
            "endTime": header.ended_ms,
            "lastRetriedTime": header.last_retried_ms,
            "reasonForIncompletion": header.reason,
            "correlationId": header.correlation_id or None,
            "priority": header.priority,
            "taskToDomain": domains,
            "parentWorkflowId": parent.workflow_id if parent else None,
            "parentWorkflowTaskId": parent.task_id if parent else None,
            "failedReferenceTaskNames": refs,
            "failedTaskNames": names,
            "event": header.event or None,
            "createdBy": header.created_by or None,
            "input": view.input.value,
            "output": view.output.value,
            "variables": view.variables.value,
            "workflowDefinition": _definition(view.graph.definition),
            "tasks": tasks,
        }
    )


def task_document(view: TaskView) -> JsonObject:
    """One attempt."""
    record = view.record
    return _known(
        {
            "taskType": record.task_type,
            "status": record.status.value,
            "inputData": record.input.value,
            "outputData": view.output.value,
            "referenceTaskName": reference_of(record),
            "retryCount": record.retry_count,
            "seq": record.seq,
            "correlationId": view.header.correlation_id or None,
            "pollCount": record.poll_count,
            "taskDefName": record.def_name,
            "scheduledTime": record.scheduled_ms,
            "startTime": record.start_ms,
            "endTime": record.end_ms,
            "updateTime": record.update_ms,
            "startDelayInSeconds": record.start_delay_ms // SECOND_MS,
            "retriedTaskId": record.retried_task_id,
            "retried": record.retried,
            "executed": is_executed(record),
            "callbackFromWorker": True,
            "responseTimeoutSeconds": record.response_timeout_ms // SECOND_MS,
            "workflowInstanceId": view.header.id,
            "workflowType": view.header.name,
            "taskId": record.id,
            "reasonForIncompletion": record.reason,
            "callbackAfterSeconds": record.callback_after_ms // SECOND_MS,
            "workerId": record.worker_id,
            "domain": record.domain or None,
            "workflowPriority": view.header.priority,
            "iteration": shown_iteration(record),
            "subWorkflowId": record.sub_workflow_id,
            "workflowTask": None if view.task is None else _definition(view.task),
        }
    )


def reference_of(record: TaskRecord) -> str:
    """The reference as Conductor shows it: in a loop with the iteration as its suffix (S-040)."""
    return reference_in(record.ref, record.iteration)


def is_executed(record: TaskRecord) -> bool:
    """Whether what follows the task was decided (S-013): not of an attempt that another one
    followed by itself (S-277), but of one that was retried by hand (S-098).
    """
    if not record.status.terminal or record.unsettled:
        return False
    return not record.retried or record.gave_up or record.status is TaskStatus.CANCELED


def _known(document: JsonObject) -> JsonObject:
    return {name: value for name, value in document.items() if value is not None}


def _definition(definition: Record) -> JsonValue:
    return msgspec.to_builtins(definition)

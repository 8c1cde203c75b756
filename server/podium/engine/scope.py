"""What expressions can see: `workflow` and the tasks by reference, with exactly Conductor's fields.

Fields are those of S-507 and S-509 and no others. Nothing of the server's surroundings is
reachable: environment variables and system properties have no name here (S-518).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from podium.engine.identity import reference_in
from podium.engine.search import WHOLE
from podium.model.execution import ExecutionHeader, TaskRecord
from podium.model.payload import JsonObject, JsonValue, Payload

WORKFLOW: Final = "workflow"
SCHEMA_VERSION: Final = 2
GATHERING: Final = frozenset({"JOIN", "DO_WHILE"})


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one evaluation may read. `tasks` holds what Template.refs names, by reference.

    A reference that is absent or None was not executed yet and reads as null (S-513).
    """

    header: ExecutionHeader
    input: Payload
    output: Payload
    variables: Payload
    tasks: Mapping[str, TaskRecord | None]
    task_id: str | None = None
    """Value of `${CPEWF_TASK_ID}`; None leaves that text as it is (S-516)."""
    parameters: JsonObject | None = None
    """The task's own input, where its parameters have names of their own."""
    gathered: Callable[[TaskRecord], JsonObject] | None = None
    """Output of a JOIN or DO_WHILE, which is not stored; None = read the record's own output."""
    environment: Mapping[str, str] = {}
    """What `${workflow.env.NAME}` may name."""
    found: Mapping[str, JsonValue] | None = None
    """What the sandbox gave for the programs of searches (search.py)."""


TaskField: TypeAlias = Callable[[TaskRecord, Context], JsonValue]
WorkflowField: TypeAlias = Callable[[Context], JsonValue]


def task_output(record: TaskRecord, context: Context) -> JsonValue:
    """The task's output; that of a join or a loop is put together from its members."""
    if context.gathered is not None and record.task_type in GATHERING:
        return context.gathered(record)
    return record.output.value


TASK_FIELDS: Final[dict[str, TaskField]] = {
    "input": lambda task, _: task.input.value,
    "output": task_output,
    "taskType": lambda task, _: task.task_type,
    "status": lambda task, _: task.status.value,
    "referenceTaskName": lambda task, _: reference_in(task.ref, task.iteration),
    "retryCount": lambda task, _: task.retry_count,
    "correlationId": lambda _, context: context.header.correlation_id or None,
    "pollCount": lambda task, _: task.poll_count,
    "taskDefName": lambda task, _: task.def_name,
    "scheduledTime": lambda task, _: task.scheduled_ms,
    "startTime": lambda task, _: task.start_ms,
    "endTime": lambda task, _: task.end_ms,
    "workflowInstanceId": lambda _, context: context.header.id,
    "taskId": lambda task, _: task.id,
    "reasonForIncompletion": lambda task, _: task.reason,
    "callbackAfterSeconds": lambda task, _: task.callback_after_ms // 1000,
    "workerId": lambda task, _: task.worker_id,
    "iteration": lambda task, _: shown_iteration(task),
}

WORKFLOW_FIELDS: Final[dict[str, WorkflowField]] = {
    "input": lambda context: context.input.value,
    "output": lambda context: context.output.value,
    "status": lambda context: context.header.status.value,
    "workflowId": lambda context: context.header.id,
    "parentWorkflowId": lambda context: (
        context.header.parent.workflow_id if context.header.parent else None
    ),
    "parentWorkflowTaskId": lambda context: (
        context.header.parent.task_id if context.header.parent else None
    ),
    "workflowType": lambda context: context.header.name,
    "version": lambda context: context.header.version,
    "correlationId": lambda context: context.header.correlation_id or None,
    "reasonForIncompletion": lambda context: context.header.reason,
    "schemaVersion": lambda _: SCHEMA_VERSION,
    "variables": lambda context: context.variables.value,
}


def shown_iteration(task: TaskRecord) -> int:
    """Of a loop its present iteration, of a task in a loop the one it belongs to, else 0."""
    number = task.output.value.get("iteration") if task.task_type == "DO_WHILE" else None
    if isinstance(number, int):
        return number
    return task.iteration[-1] if task.iteration else 0


def task_object(record: TaskRecord, context: Context) -> JsonObject:
    """The whole task as `${ref}` sees it."""
    return {name: read(record, context) for name, read in TASK_FIELDS.items()}


def document_of(roots: Iterable[tuple[str, str]], context: Context) -> JsonObject:
    """The document of a search: of each root a field, or the whole of it where none is named."""
    document: dict[str, JsonObject] = {}
    for root, field in roots:
        shown = document.setdefault(root, {})
        if root == WORKFLOW:
            fields = [name for name in WORKFLOW_FIELDS if field in (name, WHOLE)]
            shown.update({name: WORKFLOW_FIELDS[name](context) for name in fields})
        elif (record := context.tasks.get(root)) is not None:
            fields = [name for name in TASK_FIELDS if field in (name, WHOLE)]
            shown.update({name: TASK_FIELDS[name](record, context) for name in fields})
    return {**document}


def workflow_object(context: Context) -> JsonObject:
    """The whole workflow as `${workflow}` sees it."""
    return {name: read(context) for name, read in WORKFLOW_FIELDS.items()}

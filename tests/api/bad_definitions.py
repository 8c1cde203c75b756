"""Bad definitions: method, request, status and text of each case."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from podium.conductor import definition_pb2 as definition
from podium.conductor import metadata_service_pb2 as metadata
from tests.api.calls import METADATA, entry, field, simple, values, workflow_def

if TYPE_CHECKING:
    from google.protobuf.message import Message

BAD_BYTES = b"\x0a\xff\xff\xff\xff\x0f"
NAN = b"\x11" + struct.pack("<d", float("nan"))
LONG = "x" * 256
CREATE = f"{METADATA}CreateWorkflow"
CREATE_TASKS = f"{METADATA}CreateTasks"


def create(*tasks: definition.WorkflowTask, **fields: Any) -> Message:
    message = definition.WorkflowDef(**{"name": "bad", "tasks": tasks, **fields})
    return metadata.CreateWorkflowRequest(workflow=message)


def create_task(**fields: Any) -> Message:
    return metadata.CreateTasksRequest(defs=[definition.TaskDef(**{"name": "bad", **fields})])


def forked(*, join_on: list[str]) -> list[definition.WorkflowTask]:
    sequence = definition.WorkflowTask.WorkflowTaskList
    fork = simple("fork", type="FORK_JOIN", fork_tasks=[sequence(tasks=[simple("left")])])
    return [fork, simple("join", type="JOIN", join_on=join_on)]


def reads(path: str) -> definition.WorkflowTask:
    made = simple("reader")
    values(made, "input_parameters", {"x": f"${{{path}}}"})
    return made


def in_itself() -> definition.WorkflowTask:
    params = definition.SubWorkflowParams(name="bad", version=1)
    return simple("again", type="SUB_WORKFLOW", sub_workflow_param=params)


def deep_tasks(levels: int) -> bytes:
    """CreateWorkflow with loops inside loops, deeper than messages may be nested."""
    body = simple("t", type="DO_WHILE").SerializeToString()
    for _ in range(levels):
        body = simple("t", type="DO_WHILE").SerializeToString() + b"\xca\x01" + field(1, body)[1:]
    return field(1, definition.WorkflowDef(name="bad").SerializeToString() + field(4, body))


BAD_DEFINITIONS: dict[str, tuple[str, Message | bytes, str, str]] = {
    "create none": (CREATE, b"", "INVALID_ARGUMENT", "workflow: expected a workflow definition"),
    "create bytes": (CREATE, BAD_BYTES, "INVALID_ARGUMENT", "bytes"),
    "create nothing": (CREATE, create(), "INVALID_ARGUMENT", "at least one task"),
    "create no name": (CREATE, create(simple("a"), name=""), "INVALID_ARGUMENT", "name: expected"),
    "create long": (CREATE, create(simple("a"), name=LONG), "INVALID_ARGUMENT", "at most 255"),
    "create version": (CREATE, create(simple("a"), version=-2), "INVALID_ARGUMENT", "version"),
    "create schema": (CREATE, create(simple("a"), schema_version=1), "INVALID_ARGUMENT", "found 1"),
    "create enum": (CREATE, create(simple("a"), timeout_policy=9), "INVALID_ARGUMENT", "found 9"),
    "create twice": (
        CREATE,
        create(simple("a"), simple("a")),
        "INVALID_ARGUMENT",
        "tasks[1].taskReferenceName",
    ),
    "create unknown reference": (
        CREATE,
        create(reads("ghost.output.x")),
        "INVALID_ARGUMENT",
        "tasks[0].inputParameters",
    ),
    "create join": (CREATE, create(*forked(join_on=["nobody"])), "INVALID_ARGUMENT", "nobody"),
    "create itself": (CREATE, create(in_itself()), "INVALID_ARGUMENT", "tasks[0]"),
    "create nan": (
        CREATE,
        field(
            1,
            definition.WorkflowDef(name="bad", tasks=[simple("a")]).SerializeToString()
            + field(14, entry("v", NAN)),
        ),
        "INVALID_ARGUMENT",
        "workflow.variables.v: expected finite numbers",
    ),
    "create abyss": (CREATE, deep_tasks(200), "INVALID_ARGUMENT", "bytes that are none"),
    "validate": (f"{METADATA}ValidateWorkflow", create(), "INVALID_ARGUMENT", "at least one task"),
    "update nothing": (f"{METADATA}UpdateWorkflows", b"", "INVALID_ARGUMENT", "defs"),
    "update one bad": (
        f"{METADATA}UpdateWorkflows",
        metadata.UpdateWorkflowsRequest(
            defs=[workflow_def("sound", simple("a")), workflow_def("bad")]
        ),
        "INVALID_ARGUMENT",
        "defs[1].tasks",
    ),
    "read none": (f"{METADATA}GetWorkflow", b"", "INVALID_ARGUMENT", "name: expected a name"),
    "read version": (
        f"{METADATA}GetWorkflow",
        metadata.GetWorkflowRequest(name="known", version=-1),
        "INVALID_ARGUMENT",
        "version",
    ),
    "read unknown": (
        f"{METADATA}GetWorkflow",
        metadata.GetWorkflowRequest(name="absent"),
        "NOT_FOUND",
        "absent",
    ),
    "tasks none": (CREATE_TASKS, b"", "INVALID_ARGUMENT", "defs: expected at least one"),
    "tasks no name": (CREATE_TASKS, create_task(name=""), "INVALID_ARGUMENT", "defs[0].name"),
    "tasks retry": (CREATE_TASKS, create_task(retry_count=-1), "INVALID_ARGUMENT", "retryCount"),
    "tasks backoff": (
        CREATE_TASKS,
        create_task(backoff_scale_factor=-1),
        "INVALID_ARGUMENT",
        "backoffScaleFactor",
    ),
    "tasks timeouts": (
        CREATE_TASKS,
        create_task(timeout_seconds=10, response_timeout_seconds=20),
        "INVALID_ARGUMENT",
        "responseTimeoutSeconds: expected at most timeoutSeconds (10), found 20",
    ),
    "task none": (f"{METADATA}UpdateTask", b"", "INVALID_ARGUMENT", "task: expected a task"),
    "task unknown": (
        f"{METADATA}UpdateTask",
        metadata.UpdateTaskRequest(task=definition.TaskDef(name="absent")),
        "NOT_FOUND",
        "absent",
    ),
    "read task none": (f"{METADATA}GetTask", b"", "INVALID_ARGUMENT", "task_type"),
    "read task unknown": (
        f"{METADATA}GetTask",
        metadata.GetTaskRequest(task_type="absent"),
        "NOT_FOUND",
        "absent",
    ),
    "delete none": (f"{METADATA}DeleteTask", b"", "INVALID_ARGUMENT", "task_type"),
    "delete unknown": (
        f"{METADATA}DeleteTask",
        metadata.DeleteTaskRequest(task_type="absent"),
        "NOT_FOUND",
        "absent",
    ),
}

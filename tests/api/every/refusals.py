"""Bad requests by rpc: what is sent, the status code, and a part of the text.

A request is plain JSON, or bytes. RUNNING and ENDED stand for the ids of two executions of a
workflow with the one task `a`; the ended one is COMPLETED. Cases with bytes that are no message are
not listed: every rpc has one. tests/api/test_bad_input.py and bad_definitions.py have more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.api.bad_definitions import LONG
from tests.api.every.acting import METADATA, PODIUM, TASKS, WORKFLOWS
from tests.api.every.calling import REFUSALS, base64_of, payload
from tests.api.every.health import HEALTH, REFLECTION, REFLECTION_ALPHA
from tests.api.every.podium_admin import ADMIN
from tests.api.every.podium_metadata import METADATA as JSON_METADATA
from tests.api.every.podium_worker import WORKER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.api.every.calling import Bad

RUNNING: Final = "<running>"
ENDED: Final = "<ended>"
NONE: Final = "11111111-1111-4111-8111-111111111111"
NO_ID: Final = "workflow_id: expected a workflow id, found none"
UNKNOWN: Final = f"found no workflow {NONE}"
ARRAY: Final = {"json": "W10="}


def of_execution(state: str = "", text: str = "", **more: Any) -> list[Bad]:
    """What every call about one execution refuses, and one in a state that it is not for."""
    bad: list[Bad] = [
        (more, "INVALID_ARGUMENT", NO_ID),
        ({"workflow_id": NONE, **more}, "NOT_FOUND", UNKNOWN),
        ({"workflow_id": LONG, **more}, "NOT_FOUND", "found no workflow"),
    ]
    if state:
        bad.append(({"workflow_id": state, **more}, "FAILED_PRECONDITION", text))
    return bad


def of_many() -> list[Bad]:
    return [
        ({}, "INVALID_ARGUMENT", "workflow_ids: expected 1 to 1000, found 0"),
        ({"workflow_ids": [NONE] * 1001}, "INVALID_ARGUMENT", "found 1001"),
    ]


def of_parked() -> list[Bad]:
    return [
        ({}, "INVALID_ARGUMENT", "workflow_id"),
        ({"workflow_id": RUNNING}, "NOT_FOUND", "expected a parked workflow, found none with id"),
    ]


OF_ALL: Final[dict[str, list[Bad]]] = {
    f"{METADATA}CreateWorkflow": [({}, "INVALID_ARGUMENT", "workflow: expected")],
    f"{METADATA}ValidateWorkflow": [({}, "INVALID_ARGUMENT", "workflow: expected")],
    f"{METADATA}UpdateWorkflows": [({"defs": [{}]}, "INVALID_ARGUMENT", "name")],
    f"{METADATA}GetWorkflow": [
        ({}, "INVALID_ARGUMENT", "name: expected a name, found none"),
        ({"name": "none"}, "NOT_FOUND", "none"),
    ],
    f"{METADATA}CreateTasks": [({"defs": [{}]}, "INVALID_ARGUMENT", "name: expected a name")],
    f"{METADATA}UpdateTask": [
        ({}, "INVALID_ARGUMENT", "task: expected"),
        ({"task": {"name": "none"}}, "NOT_FOUND", "none"),
    ],
    f"{METADATA}GetTask": [({"task_type": "none"}, "NOT_FOUND", "none")],
    f"{METADATA}DeleteTask": [({"task_type": "none"}, "NOT_FOUND", "none")],
    f"{TASKS}Poll": [({"task_type": LONG}, "INVALID_ARGUMENT", "at most 255")],
    f"{TASKS}BatchPoll": [({"task_type": "t", "count": -1}, "INVALID_ARGUMENT", "count")],
    f"{TASKS}UpdateTask": [({}, "INVALID_ARGUMENT", "result: expected a task result")],
    f"{TASKS}GetTask": [({}, "INVALID_ARGUMENT", "task_id")],
    f"{WORKFLOWS}StartWorkflow": [({"name": "none"}, "NOT_FOUND", "none")],
    f"{WORKFLOWS}GetWorkflowStatus": of_execution(),
    f"{WORKFLOWS}TerminateWorkflow": of_execution(ENDED, "COMPLETED"),
    f"{WORKFLOWS}DecideWorkflow": of_execution(),
    f"{WORKFLOWS}PauseWorkflow": of_execution(ENDED, "COMPLETED"),
    f"{WORKFLOWS}ResumeWorkflow": of_execution(RUNNING, "RUNNING"),
    f"{WORKFLOWS}ResetWorkflowCallbacks": of_execution(ENDED, "COMPLETED"),
    f"{WORKFLOWS}RetryWorkflow": of_execution(RUNNING, "RUNNING"),
    f"{WORKFLOWS}RestartWorkflow": of_execution(RUNNING, "RUNNING"),
    f"{WORKFLOWS}RerunWorkflow": [
        ({}, "INVALID_ARGUMENT", "expected a workflow id, found none"),
        ({"re_run_from_workflow_id": NONE}, "NOT_FOUND", UNKNOWN),
        ({"re_run_from_workflow_id": RUNNING}, "FAILED_PRECONDITION", "RUNNING"),
        (
            {"re_run_from_workflow_id": ENDED, "re_run_from_task_id": "none"},
            "INVALID_ARGUMENT",
            "Task none not found",
        ),
        (
            {"re_run_from_workflow_id": ENDED, "task_input": {"x": 1}},
            "INVALID_ARGUMENT",
            "task_input: expected a task to give it to, found none",
        ),
    ],
    f"{WORKFLOWS}RemoveWorkflow": [
        ({}, "INVALID_ARGUMENT", NO_ID),
        ({"workflod_id": NONE}, "NOT_FOUND", UNKNOWN),
        (
            {"workflod_id": RUNNING, "archive_workflow": True},
            "INVALID_ARGUMENT",
            "Cannot archive workflow",
        ),
    ],
    f"{WORKFLOWS}SkipTaskFromWorkflow": [
        *of_execution(ENDED, "COMPLETED", task_reference_name="a"),
        ({"workflow_id": RUNNING, "task_reference_name": "b"}, "INVALID_ARGUMENT", "b"),
        ({"workflow_id": RUNNING, "task_reference_name": "a"}, "FAILED_PRECONDITION", "a"),
    ],
    f"{PODIUM}StartWorkflows": [({}, "INVALID_ARGUMENT", "items: expected 1 to 1000, found 0")],
    f"{PODIUM}StreamStarts": [
        ({}, "INVALID_ARGUMENT", "batch 1: items: expected 1 to 1000, found 0"),
        ({"items": [{}] * 1001}, "INVALID_ARGUMENT", "batch 1: items: expected 1 to 1000"),
    ],
    f"{PODIUM}Wait": [
        *of_execution(),
        ({"workflow_id": RUNNING, "timeout_ms": -1}, "INVALID_ARGUMENT", "timeout_ms"),
    ],
    f"{PODIUM}Watch": [
        *of_execution(),
        ({"workflow_id": RUNNING, "from_position": -1}, "INVALID_ARGUMENT", "from_position"),
    ],
    f"{PODIUM}Signal": [
        *of_execution(ENDED, "COMPLETED"),
        ({"workflow_id": RUNNING, "status": 77}, "INVALID_ARGUMENT", "status: expected one of"),
        ({"workflow_id": RUNNING, "output": ARRAY}, "INVALID_ARGUMENT", "a JSON object"),
    ],
    f"{PODIUM}PushMessage": [
        *of_execution(ENDED, "COMPLETED"),
        ({"workflow_id": RUNNING, "payload": ARRAY}, "INVALID_ARGUMENT", "a JSON object"),
    ],
    f"{PODIUM}UpdateVariables": [
        *of_execution(ENDED, "COMPLETED"),
        ({"workflow_id": RUNNING, "variables": ARRAY}, "INVALID_ARGUMENT", "a JSON object"),
        (
            {"workflow_id": RUNNING, "variables": payload(x="x" * 300_000)},
            "INVALID_ARGUMENT",
            "variables",
        ),
    ],
    f"{PODIUM}Execute": [
        ({}, "INVALID_ARGUMENT", "name: expected a name, found none"),
        ({"start": {"name": "none"}}, "NOT_FOUND", "none"),
        ({"start": {"name": "known"}, "timeout_ms": -1}, "INVALID_ARGUMENT", "timeout_ms"),
        ({"definition_json": "W10="}, "INVALID_ARGUMENT", "definition_json: expected a JSON"),
    ],
    f"{PODIUM}TestWorkflow": [
        ({}, "INVALID_ARGUMENT", "name: expected a name, found none"),
        ({"start": {"name": "none"}}, "NOT_FOUND", "none"),
        ({"mocks": {"tasks": {"a": {}}}}, "INVALID_ARGUMENT", "expected at least one mock"),
    ],
    f"{PODIUM}UpdateTask": [
        *of_execution(reference_name="a"),
        ({"workflow_id": RUNNING}, "INVALID_ARGUMENT", "reference_name: expected a name"),
        (
            {"workflow_id": ENDED, "reference_name": "a", "return_workflow": True},
            "NOT_FOUND",
            "expected an open task a",
        ),
    ],
    f"{PODIUM}PauseWorkflows": of_many(),
    f"{PODIUM}ResumeWorkflows": of_many(),
    f"{PODIUM}TerminateWorkflows": of_many(),
    f"{PODIUM}RetryWorkflows": of_many(),
    f"{PODIUM}RestartWorkflows": of_many(),
    f"{PODIUM}RemoveWorkflows": of_many(),
    f"{PODIUM}TerminateAndRemoveWorkflows": of_many(),
    f"{JSON_METADATA}RegisterWorkflow": [
        ({}, "INVALID_ARGUMENT", "JSON object"),
        (ARRAY, "INVALID_ARGUMENT", "JSON object"),
        ({"json": base64_of({"name": "x"})}, "INVALID_ARGUMENT", "tasks"),
        (
            {
                "json": base64_of(
                    {"name": "known", "tasks": [{"name": "a", "taskReferenceName": "a"}]}
                )
            },
            "ALREADY_EXISTS",
            "known",
        ),
    ],
    f"{JSON_METADATA}ValidateWorkflow": [(ARRAY, "INVALID_ARGUMENT", "JSON object")],
    f"{JSON_METADATA}GetWorkflow": [
        ({}, "INVALID_ARGUMENT", "name: expected a name, found none"),
        ({"name": "known", "version": -1}, "INVALID_ARGUMENT", "version"),
        ({"name": "known", "version": 9}, "NOT_FOUND", "known"),
    ],
    f"{JSON_METADATA}RegisterTask": [
        (ARRAY, "INVALID_ARGUMENT", "JSON object"),
        ({"json": base64_of({})}, "INVALID_ARGUMENT", "name"),
    ],
    f"{JSON_METADATA}GetTask": [
        ({}, "INVALID_ARGUMENT", "name"),
        ({"name": "none"}, "NOT_FOUND", "none"),
    ],
    f"{WORKER}Connect": [
        ({}, "INVALID_ARGUMENT", "expected Hello in the first frame"),
        ({"hello": {"worker_id": "w"}}, "INVALID_ARGUMENT", "task type"),
    ],
    f"{ADMIN}ListParked": [],
    f"{ADMIN}ListSecrets": [],
    f"{ADMIN}ListEnvironment": [],
    f"{ADMIN}RetryParked": of_parked(),
    f"{ADMIN}PurgeParked": of_parked(),
    f"{ADMIN}Explain": of_execution(),
    f"{ADMIN}ListAudit": [
        ({"page_size": -1}, "INVALID_ARGUMENT", "page_size"),
        ({"page_token": "none"}, "INVALID_ARGUMENT", "page_token"),
    ],
    f"{HEALTH}Check": [({"service": "none"}, "NOT_FOUND", "expected the name of a service")],
    f"{HEALTH}Watch": [],
    f"{REFLECTION}ServerReflectionInfo": [],
    f"{REFLECTION_ALPHA}ServerReflectionInfo": [],
}

REFUSALS.update(OF_ALL)


def cases() -> Iterator[tuple[str, dict[str, Any], str, str]]:
    """All of them, one by one."""
    for method, listed in REFUSALS.items():
        for fields, code, text in listed:
            yield method, fields, code, text

"""Bad input per served method: a clear text, a sound status, nothing stored, no harm done."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import request_pb2 as request
from podium.conductor import task_service_pb2 as task
from podium.conductor import workflow_service_pb2 as workflow
from podium.model.definition import WorkflowDef, WorkflowTask
from podium.v1 import worker_pb2
from podium.v1 import workflow_pb2 as podium
from tests.api.bad_definitions import BAD_BYTES, BAD_DEFINITIONS, LONG, NAN
from tests.api.calls import (
    PODIUM,
    TASKS,
    WORKFLOWS,
    entry,
    field,
    nested_lists,
    refusal,
)
from tests.api.edge import Edge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from google.protobuf.message import Message

INFINITE = b"\x11" + struct.pack("<d", float("inf"))
START = f"{WORKFLOWS}StartWorkflow"
UPDATE = f"{TASKS}UpdateTask"
KNOWN = WorkflowDef(name="known", tasks=[WorkflowTask(name="a", task_reference_name="a")])
WORKFLOW_ID = "11111111-1111-4111-8111-111111111111"
TASK_ID = f"{WORKFLOW_ID}.aaaaaaaaaaaaaaaa.0"


def start(value: bytes = b"", **fields: Any) -> bytes:
    """A start of `known` whose input has the entry `a`."""
    message = request.StartWorkflowRequest(**{"name": "known", **fields})
    raw = field(4, entry("a", value)) if value else b""
    return message.SerializeToString() + raw


def result(value: bytes = b"", **fields: Any) -> bytes:
    given = {"workflow_instance_id": WORKFLOW_ID, "task_id": TASK_ID, **fields}
    raw = field(7, entry("a", value)) if value else b""
    return field(1, execution.TaskResult(**given).SerializeToString() + raw)


def item(**fields: Any) -> podium.StartWorkflowsRequest:
    return podium.StartWorkflowsRequest(items=[podium.StartItem(**fields)])


WRONG: dict[str, tuple[str, Message | bytes, str, str]] = {
    # StartWorkflow
    "start bytes": (START, BAD_BYTES, "INVALID_ARGUMENT", "found bytes that are none"),
    "start empty": (START, b"", "INVALID_ARGUMENT", "name: expected a name, found none"),
    "start long": (START, start(name=LONG), "INVALID_ARGUMENT", "at most 255 characters"),
    "start control": (START, start(name="a\nb"), "INVALID_ARGUMENT", "control characters"),
    "start braces": (START, start(name="a{b}"), "INVALID_ARGUMENT", "without { and }"),
    "start unknown": (START, start(name="absent"), "NOT_FOUND", "found none with name absent"),
    "start unknown version": (START, start(version=9), "NOT_FOUND", "version 9"),
    "start version": (START, start(version=-1), "INVALID_ARGUMENT", "version: expected 0"),
    "start priority": (START, start(priority=100), "INVALID_ARGUMENT", "expected 0 to 99"),
    "start priority -": (START, start(priority=-1), "INVALID_ARGUMENT", "found -1"),
    "start correlation": (START, start(correlation_id=LONG), "INVALID_ARGUMENT", "correlation_id"),
    "start creator": (START, start(created_by=LONG), "INVALID_ARGUMENT", "created_by"),
    "start domain": (
        START,
        start(task_to_domain={"t": LONG}),
        "INVALID_ARGUMENT",
        "task_to_domain[t]",
    ),
    "start nan": (START, start(NAN), "INVALID_ARGUMENT", "input.a: expected finite numbers"),
    "start infinite": (START, start(INFINITE), "INVALID_ARGUMENT", "found inf"),
    "start nan within": (
        START,
        start(field(6, field(1, NAN))),
        "INVALID_ARGUMENT",
        "input.a: expected finite numbers, found nan",
    ),
    "start deep": (START, start(nested_lists(30)), "INVALID_ARGUMENT", "at most 30 levels"),
    "start abyss": (START, start(nested_lists(4000)), "INVALID_ARGUMENT", "at most 30 levels"),
    "start no value": (START, start(b"\x0a\x05"), "INVALID_ARGUMENT", "google.protobuf.Value"),
    "start no utf-8": (START, start(field(3, b"\xff")), "INVALID_ARGUMENT", "protobuf.Value"),
    "start large": (START, start(field(3, b"x" * (11 << 20))), "INVALID_ARGUMENT", "10485760"),
    "start huge": (START, start(field(3, b"x" * (17 << 20))), "RESOURCE_EXHAUSTED", "16777216"),
    "start external": (
        START,
        start(external_input_payload_storage_path="p"),
        "FAILED_PRECONDITION",
        "no external storage",
    ),
    "start inline": (
        START,
        start(workflow_def=definition.WorkflowDef(name="i", tasks=[definition.WorkflowTask()])),
        "INVALID_ARGUMENT",
        "tasks[0].name: expected",
    ),
    # GetWorkflowStatus, TerminateWorkflow
    "get none": (
        f"{WORKFLOWS}GetWorkflowStatus",
        b"",
        "INVALID_ARGUMENT",
        "workflow_id: expected a workflow id, found none",
    ),
    "get unknown": (
        f"{WORKFLOWS}GetWorkflowStatus",
        workflow.GetWorkflowStatusRequest(workflow_id=WORKFLOW_ID, include_tasks=True),
        "NOT_FOUND",
        f"found no workflow {WORKFLOW_ID}",
    ),
    "get long": (
        f"{WORKFLOWS}GetWorkflowStatus",
        workflow.GetWorkflowStatusRequest(workflow_id="é" * 100_000),
        "NOT_FOUND",
        "found no workflow",
    ),
    "get bytes": (f"{WORKFLOWS}GetWorkflowStatus", BAD_BYTES, "INVALID_ARGUMENT", "bytes"),
    "terminate none": (f"{WORKFLOWS}TerminateWorkflow", b"", "INVALID_ARGUMENT", "workflow_id"),
    "terminate unknown": (
        f"{WORKFLOWS}TerminateWorkflow",
        workflow.TerminateWorkflowRequest(workflow_id="nobody"),
        "NOT_FOUND",
        "found no workflow nobody",
    ),
    # Poll, BatchPoll
    "poll none": (f"{TASKS}Poll", b"", "INVALID_ARGUMENT", "task_type: expected a name"),
    "poll long": (
        f"{TASKS}Poll",
        task.PollRequest(task_type=LONG),
        "INVALID_ARGUMENT",
        "at most 255",
    ),
    "poll domain": (
        f"{TASKS}Poll",
        task.PollRequest(task_type="t", domain="a\0b"),
        "INVALID_ARGUMENT",
        "domain",
    ),
    "batch none": (f"{TASKS}BatchPoll", b"", "INVALID_ARGUMENT", "task_type"),
    "batch bytes": (f"{TASKS}BatchPoll", BAD_BYTES, "INVALID_ARGUMENT", "bytes"),
    "batch count": (
        f"{TASKS}BatchPoll",
        task.BatchPollRequest(task_type="t", count=-1),
        "INVALID_ARGUMENT",
        "count: expected 1",
    ),
    "batch timeout": (
        f"{TASKS}BatchPoll",
        task.BatchPollRequest(task_type="t", timeout=5001),
        "INVALID_ARGUMENT",
        "timeout: expected 0 to 5000 ms, found 5001",
    ),
    "batch timeout -": (
        f"{TASKS}BatchPoll",
        task.BatchPollRequest(task_type="t", timeout=-1),
        "INVALID_ARGUMENT",
        "found -1",
    ),
    # UpdateTask, GetTask
    "update none": (UPDATE, b"", "INVALID_ARGUMENT", "result: expected a task result, found none"),
    "update bytes": (UPDATE, BAD_BYTES, "INVALID_ARGUMENT", "bytes"),
    "update no workflow": (
        UPDATE,
        result(workflow_instance_id=""),
        "INVALID_ARGUMENT",
        "result.workflow_instance_id",
    ),
    "update no task": (UPDATE, result(task_id=""), "INVALID_ARGUMENT", "result.task_id"),
    "update unknown": (UPDATE, result(), "NOT_FOUND", f"found no workflow {WORKFLOW_ID}"),
    "update nonsense": (UPDATE, result(task_id="nonsense"), "NOT_FOUND", "found no task nonsense"),
    "update foreign": (
        UPDATE,
        result(workflow_instance_id="other"),
        "NOT_FOUND",
        f"task in workflow other, found no task {TASK_ID}",
    ),
    "update status": (UPDATE, result(status=77), "INVALID_ARGUMENT", "found 77"),
    "update nan": (UPDATE, result(NAN), "INVALID_ARGUMENT", "result.output_data.a"),
    "update deep": (UPDATE, result(nested_lists(30)), "INVALID_ARGUMENT", "at most 30 levels"),
    "update callback": (
        UPDATE,
        result(callback_after_seconds=-1),
        "INVALID_ARGUMENT",
        "callback_after_seconds",
    ),
    "update callback +": (
        UPDATE,
        result(callback_after_seconds=2**62),
        "INVALID_ARGUMENT",
        "callback_after_seconds",
    ),
    "update worker": (UPDATE, result(worker_id=LONG), "INVALID_ARGUMENT", "result.worker_id"),
    "update external": (
        UPDATE,
        result(external_output_payload_storage_path="p"),
        "FAILED_PRECONDITION",
        "no external storage",
    ),
    "get task none": (f"{TASKS}GetTask", b"", "INVALID_ARGUMENT", "task_id"),
    "get task unknown": (
        f"{TASKS}GetTask",
        task.GetTaskRequest(task_id=TASK_ID),
        "NOT_FOUND",
        f"found no task {TASK_ID}",
    ),
    **BAD_DEFINITIONS,
    # podium.v1
    "starts none": (f"{PODIUM}StartWorkflows", b"", "INVALID_ARGUMENT", "expected 1 to 1000"),
    "starts many": (
        f"{PODIUM}StartWorkflows",
        podium.StartWorkflowsRequest(items=[podium.StartItem()] * 1001),
        "INVALID_ARGUMENT",
        "found 1001",
    ),
    "wait none": (f"{PODIUM}Wait", b"", "INVALID_ARGUMENT", "workflow_id"),
    "wait unknown": (
        f"{PODIUM}Wait",
        podium.WaitRequest(workflow_id=WORKFLOW_ID, timeout_ms=1000),
        "NOT_FOUND",
        WORKFLOW_ID,
    ),
    "wait long": (
        f"{PODIUM}Wait",
        podium.WaitRequest(workflow_id="w", timeout_ms=600_001),
        "INVALID_ARGUMENT",
        "timeout_ms: expected 0 to 600000, found 600001",
    ),
    "watch none": (f"{PODIUM}Watch", b"", "INVALID_ARGUMENT", "workflow_id"),
    "watch unknown": (
        f"{PODIUM}Watch",
        podium.WatchRequest(workflow_id=WORKFLOW_ID),
        "NOT_FOUND",
        WORKFLOW_ID,
    ),
    "watch position": (
        f"{PODIUM}Watch",
        podium.WatchRequest(workflow_id="w", from_position=-1),
        "INVALID_ARGUMENT",
        "from_position",
    ),
}
ITEMS: dict[str, tuple[podium.StartWorkflowsRequest, int, str]] = {
    "no name": (item(), 3, "name: expected a name, found none"),
    "array": (item(name="known", input=worker_pb2.Payload(json=b"[]")), 3, "a JSON object"),
    "nan": (item(name="known", input=worker_pb2.Payload(json=b'{"a":NaN}')), 3, "line 1"),
    "infinite": (item(name="known", input=worker_pb2.Payload(json=b'{"a":1e999}')), 3, "finite"),
    "no utf-8": (item(name="known", input=worker_pb2.Payload(json=b'{"a":"\xff"}')), 3, "UTF-8"),
    "deep": (
        item(name="known", input=worker_pb2.Payload(json=b'{"a":' + b"[" * 30 + b"]" * 30 + b"}")),
        3,
        "at most 30 levels",
    ),
    "abyss": (
        item(name="known", input=worker_pb2.Payload(json=b"[" * 100_000)),
        3,
        "one JSON object",
    ),
    "strategy": (item(name="known", idempotency_strategy=9), 3, "idempotency_strategy"),
    "long key": (item(name="known", idempotency_key=LONG), 3, "idempotency_key"),
}


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    async with Edge() as made:
        await made.registry.register_workflow(KNOWN)
        yield made


@pytest.mark.parametrize("case", WRONG)
async def test_bad_input_is_refused_and_nothing_is_stored(edge: Edge, case: str) -> None:
    path, sent, code, text = WRONG[case]
    before = await everything(edge)

    found = await refusal(edge, path, sent)

    assert found[0] == code, found
    assert text in found[1]
    assert len(found[1]) < 4_100
    assert await everything(edge) == before


@pytest.mark.parametrize("case", ITEMS)
async def test_a_bad_item_of_a_batch_is_refused(edge: Edge, case: str) -> None:
    sent, code, text = ITEMS[case]
    before = await everything(edge)

    answer = await edge.podium.StartWorkflows(sent)

    assert [each.error.code for each in answer.results] == [code]
    assert text in answer.results[0].error.message
    assert await everything(edge) == before


async def everything(edge: Edge) -> tuple[int, dict[str, list[str]]]:
    """What the store holds of executions and definitions."""
    kinds = ("workflow", "task", "bound")
    rows = {kind: await edge.store.list_definitions(kind) for kind in kinds}
    return len(edge.store.commits), {
        kind: [f"{row.name} {row.version}" for row in each] for kind, each in rows.items()
    }

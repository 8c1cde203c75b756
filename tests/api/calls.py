"""Calls by path and bytes: what a hostile or outdated client can send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf import json_format

from podium.conductor import definition_pb2 as definition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from tests.api.edge import Edge

WORKFLOWS = "/conductor.grpc.workflows.WorkflowService/"
TASKS = "/conductor.grpc.tasks.TaskService/"
METADATA = "/conductor.grpc.metadata.MetadataService/"
EVENTS = "/conductor.grpc.events.EventService/"
PODIUM = "/podium.v1.WorkflowService/"
DEFINITIONS = "/podium.v1.MetadataService/"
STREAMED = {
    f"{TASKS}BatchPoll",
    f"{PODIUM}Watch",
    "/podium.v1.AdminService/VerifyPartitions",
    f"{EVENTS}GetEventHandlers",
    f"{EVENTS}GetEventHandlersForEvent",
}


async def refusal(edge: Edge, path: str, request: Message | bytes) -> tuple[str, str]:
    """Name of the status code and text of a call that must fail."""
    data = request if isinstance(request, bytes) else request.SerializeToString()
    try:
        if path in STREAMED:
            answers = [each async for each in edge.channel.unary_stream(path)(data)]
        else:
            answers = [await edge.channel.unary_unary(path)(data)]
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details() or ""
    raise AssertionError(answers)


def values(message: Message, field: str, content: dict[str, Any]) -> None:
    """Fill a `map<string, Value>`."""
    for name, value in content.items():
        json_format.ParseDict(value, getattr(message, field)[name])


def plain(fields: Mapping[str, Message]) -> dict[str, object]:
    """A `map<string, Value>` as Python values."""
    return {name: json_format.MessageToDict(value) for name, value in fields.items()}


def simple(name: str, **fields: Any) -> definition.WorkflowTask:
    """A task whose reference is its name."""
    return definition.WorkflowTask(name=name, task_reference_name=name, **fields)


def workflow_def(name: str, *tasks: definition.WorkflowTask) -> definition.WorkflowDef:
    return definition.WorkflowDef(name=name, tasks=tasks)


def field(number: int, body: bytes) -> bytes:
    """A length-delimited field on the wire."""
    size, length = len(body), b""
    while size > 0x7F:
        length += bytes((size & 0x7F | 0x80,))
        size >>= 7
    return bytes((number << 3 | 2,)) + length + bytes((size,)) + body


def entry(name: str, value: bytes) -> bytes:
    """A map entry's body."""
    return field(1, name.encode()) + field(2, value)


def nested_lists(levels: int) -> bytes:
    """A Value of lists inside lists."""
    value = b"\x08\x00"
    for _ in range(levels):
        value = field(6, field(1, value))
    return value

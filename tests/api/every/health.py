"""Rows of health and reflection."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from podium.v1 import admin_pb2
from tests.api.every.calling import row

if TYPE_CHECKING:
    from tests.api.every.calling import Rpcs

HEALTH = "grpc.health.v1.Health/"
REFLECTION = "grpc.reflection.v1.ServerReflection/"
REFLECTION_ALPHA = "grpc.reflection.v1alpha.ServerReflection/"


@row(f"{HEALTH}Check")
async def check(rpcs: Rpcs) -> None:
    assert await rpcs.ask(f"{HEALTH}Check") == {"status": "SERVING"}
    asked = {"service": "podium.v1.WorkflowService"}
    assert await rpcs.ask(f"{HEALTH}Check", **asked) == {"status": "SERVING"}
    rpcs.edge.health.stop()
    assert await rpcs.ask(f"{HEALTH}Check") == {"status": "NOT_SERVING"}


@row(f"{HEALTH}Watch")
async def watch(rpcs: Rpcs) -> None:
    found: list[str] = []
    async for answer in rpcs.answers(f"{HEALTH}Watch", {}):
        found.append(answer["status"])
        rpcs.edge.health.stop()
    assert found == ["SERVING", "NOT_SERVING"]


@row(f"{REFLECTION}ServerReflectionInfo")
async def server_reflection_info(rpcs: Rpcs) -> None:
    await describes(rpcs, REFLECTION)


@row(f"{REFLECTION_ALPHA}ServerReflectionInfo")
async def server_reflection_info_alpha(rpcs: Rpcs) -> None:
    await describes(rpcs, REFLECTION_ALPHA)


async def describes(rpcs: Rpcs, reflection: str) -> None:
    """Names the services, both versions of itself among them, and gives the file of one."""
    questions = [{"list_services": ""}, {"file_containing_symbol": "podium.v1.AdminService"}]
    answers = rpcs.answers(f"{reflection}ServerReflectionInfo", *questions)
    listed, files = [each async for each in answers]
    names = {each["name"] for each in listed["list_services_response"]["service"]}
    assert {"podium.v1.AdminService", "conductor.grpc.tasks.TaskService"} <= names
    assert {REFLECTION[:-1], REFLECTION_ALPHA[:-1]} <= names
    encoded = files["file_descriptor_response"]["file_descriptor_proto"][0]
    found = FileDescriptorProto.FromString(base64.b64decode(encoded))
    assert found.name == admin_pb2.DESCRIPTOR.name

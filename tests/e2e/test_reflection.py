"""What a tool like grpcurl sees of a served port: the services by name, and their health."""

from __future__ import annotations

from typing import Any

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from tests.cli.serving import serving

REFLECTION = {
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}
SERVICES = {
    "conductor.grpc.workflows.WorkflowService",
    "conductor.grpc.tasks.TaskService",
    "conductor.grpc.metadata.MetadataService",
    "conductor.grpc.events.EventService",
    "podium.v1.AdminService",
    "podium.v1.MetadataService",
    "podium.v1.WorkerService",
    "podium.v1.WorkflowService",
    "grpc.health.v1.Health",
    *REFLECTION,
}


async def test_the_services_are_listed_and_serving() -> None:
    async with (
        serving("--store", "memory://") as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        stubs: Any = channel  # the stubs of reflection and health know no aio
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        for version in REFLECTION:  # the messages of both are the same, byte for byte
            reflection: Any = stubs.stream_stream(
                f"/{version}/ServerReflectionInfo",
                request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
                response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
            )
            (answer,) = [each async for each in reflection(iter([question]))]
            assert {each.name for each in answer.list_services_response.service} == SERVICES
        health: Any = health_pb2_grpc.HealthStub(stubs)
        for name in ("", *(SERVICES - REFLECTION)):
            status = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert status.status == health_pb2.HealthCheckResponse.SERVING, name
        assert (await server.end())[0] == 0

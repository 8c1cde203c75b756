"""The server as a whole: reflection, health, what is not served, clients that go away."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from podium.api.errors import Refused
from podium.api.health import Health
from podium.api.method_table import service_handler
from podium.api.server import SERVICES
from podium.conductor import execution_pb2 as execution
from podium.conductor import request_pb2 as request
from podium.conductor import task_service_pb2 as task
from podium.conductor import workflow_service_pb2
from podium.model.definition import WorkflowDef, WorkflowTask
from tests.api.edge import Edge

ONE = WorkflowDef(name="one", tasks=[WorkflowTask(name="a", task_reference_name="a")])
EVENT_S = 10


async def test_reflection_lists_and_describes_the_services() -> None:
    async with Edge() as edge:
        channel: Any = edge.channel  # the stubs of reflection know no aio
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = [reflection_pb2.ServerReflectionRequest(list_services="")]
        asked += [
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in SERVICES
        ]
        answers = [each async for each in stub.ServerReflectionInfo(iter(asked))]
    listed = {each.name for each in answers[0].list_services_response.service}
    assert set(SERVICES) < listed
    assert {
        "conductor.grpc.workflows.WorkflowService",
        "conductor.grpc.tasks.TaskService",
        "conductor.grpc.metadata.MetadataService",
        "conductor.grpc.events.EventService",
        "podium.v1.AdminService",
        "podium.v1.MetadataService",
        "podium.v1.WorkerService",
        "podium.v1.WorkflowService",
        "grpc.health.v1.Health",
    } == set(SERVICES)
    assert all(
        each.file_descriptor_response.file_descriptor_proto and not each.HasField("error_response")
        for each in answers[1:]
    )


async def test_health_is_told_for_each_service_and_watched_until_the_stop() -> None:
    async with Edge() as edge:
        stub: Any = health_pb2_grpc.HealthStub(edge.channel)
        for service in ("", *SERVICES):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
        assert failure.value.code() == grpc.StatusCode.NOT_FOUND
        watching = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
        edge.health.stop()
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert await watching.read() is grpc.aio.EOF


async def test_a_stop_while_a_status_is_written_is_told_as_well() -> None:
    health = Health()
    health.handler(SERVICES)
    context: Any = None
    told: list[int] = []
    async for answer in health.watch(health_pb2.HealthCheckRequest(), context):
        told.append(answer.status)
        health.stop()
    status = health_pb2.HealthCheckResponse
    assert told == [status.SERVING, status.NOT_SERVING]


async def test_a_method_that_is_not_served_says_so_by_name() -> None:
    service = workflow_service_pb2.DESCRIPTOR.services_by_name["WorkflowService"]
    details: Any = SimpleNamespace(method=f"/{service.full_name}/Search")
    found: Any = service_handler(service, {}).service(details)
    with pytest.raises(Refused) as refused:
        await found.unary_unary(b"anything", None)
    assert refused.value.code == grpc.StatusCode.UNIMPLEMENTED
    assert refused.value.message == (
        f"expected a method that this version of Podium serves, found {service.full_name}/Search"
    )


async def test_a_poll_that_was_cancelled_takes_no_task_along() -> None:
    async with Edge() as edge:
        await edge.registry.register_workflow(ONE)
        parked = edge.tasks.BatchPoll(task.BatchPollRequest(task_type="a", timeout=5000))
        reading = asyncio.ensure_future(parked.read())
        await until_parked(edge)
        parked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        edge.parked.clear()
        calls = edge.tasks.BatchPoll(task.BatchPollRequest(task_type="a", timeout=5000))
        reading = asyncio.ensure_future(calls.read())
        await until_parked(edge)
        started = await edge.workflows.StartWorkflow(request.StartWorkflowRequest(name="one"))
        got = await reading
        assert isinstance(got, execution.Task)
        assert got.workflow_instance_id == started.workflow_id


async def until_parked(edge: Edge) -> None:
    async with asyncio.timeout(EVENT_S):
        await edge.parked.wait()


async def test_a_parked_poll_gets_the_task_that_comes() -> None:
    async with Edge() as edge:
        await edge.registry.register_workflow(ONE)
        parked = edge.tasks.BatchPoll(task.BatchPollRequest(task_type="a", count=3, timeout=5000))
        reading = asyncio.ensure_future(parked.read())
        await until_parked(edge)
        started = await edge.workflows.StartWorkflow(request.StartWorkflowRequest(name="one"))
        got = await reading
        assert isinstance(got, execution.Task)
        assert got.workflow_instance_id == started.workflow_id
        assert await parked.read() is grpc.aio.EOF

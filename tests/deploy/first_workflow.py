"""One workflow of one task: started at one server, its task polled at another or the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.conductor import definition_pb2 as definition
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import request_pb2, task_service_pb2
from podium.conductor.metadata_service_pb2_grpc import MetadataServiceStub
from podium.conductor.task_service_pb2_grpc import TaskServiceStub
from podium.conductor.workflow_service_pb2_grpc import WorkflowServiceStub

if TYPE_CHECKING:
    import grpc.aio

CALL_S: Final = 20


async def task_of_a_started_workflow(starts: grpc.aio.Channel, works: grpc.aio.Channel) -> None:
    """Register, start, and get the task that is to be done."""
    await register(starts)
    started = await WorkflowServiceStub(starts).StartWorkflow(
        request_pb2.StartWorkflowRequest(name="deployed", version=1), timeout=CALL_S
    )
    poll = task_service_pb2.PollRequest(task_type="deploy", worker_id="w")
    task = None
    while task is None or not task.task_id:
        task = (await TaskServiceStub(works).Poll(poll, timeout=CALL_S)).task
    assert task.workflow_instance_id == started.workflow_id


async def register(channel: grpc.aio.Channel) -> None:
    """The definitions of both."""
    stub = MetadataServiceStub(channel)
    task = definition.TaskDef(
        name="deploy", owner_email="a@b.de", timeout_seconds=60, response_timeout_seconds=60
    )
    await stub.CreateTasks(metadata.CreateTasksRequest(defs=[task]), timeout=CALL_S)
    workflow = definition.WorkflowDef(
        name="deployed", version=1, schema_version=2, owner_email="a@b.de", timeout_seconds=60
    )
    workflow.tasks.add(name="deploy", task_reference_name="deploy", type="SIMPLE")
    await stub.CreateWorkflow(metadata.CreateWorkflowRequest(workflow=workflow), timeout=CALL_S)

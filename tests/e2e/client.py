"""A client of one server: registers one-task workflows, starts them, waits for them, reads them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Self

import grpc
import grpc.aio

from podium.conductor import (
    definition_pb2,
    metadata_service_pb2,
    metadata_service_pb2_grpc,
    request_pb2,
    task_service_pb2_grpc,
    workflow_service_pb2,
    workflow_service_pb2_grpc,
)
from podium.v1 import workflow_pb2, workflow_pb2_grpc

if TYPE_CHECKING:
    from podium.conductor import execution_pb2

WAIT_MS = 60_000
"""An event that does not come in this time fails the test."""
OWNER = "e2e@example.org"
OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),  # each client has a connection of its own
)


class Client:
    """Async context. Calls wait for a server that is about to come back."""

    def __init__(self, target: str) -> None:
        self.channel = grpc.aio.insecure_channel(target, options=OPTIONS)
        self.metadata = metadata_service_pb2_grpc.MetadataServiceStub(self.channel)
        self.workflows = workflow_service_pb2_grpc.WorkflowServiceStub(self.channel)
        self.tasks = task_service_pb2_grpc.TaskServiceStub(self.channel)
        self._podium = workflow_pb2_grpc.WorkflowServiceStub(self.channel)

    async def register(self, name: str) -> None:
        """A workflow of this name with one task of this name, retried at once."""
        task = definition_pb2.TaskDef(
            name=name,
            owner_email=OWNER,
            retry_logic=definition_pb2.TaskDef.FIXED,
            response_timeout_seconds=600,
        )
        await self.metadata.CreateTasks(metadata_service_pb2.CreateTasksRequest(defs=[task]))
        workflow = definition_pb2.WorkflowDef(
            name=name, version=1, schema_version=2, owner_email=OWNER
        )
        workflow.tasks.add(name=name, task_reference_name=name, type="SIMPLE")
        workflow.output_parameters["by"].string_value = f"${{{name}.output.by}}"
        await self.metadata.CreateWorkflow(
            metadata_service_pb2.CreateWorkflowRequest(workflow=workflow)
        )

    async def start(self, name: str, text: str = "") -> str:
        """The id; `text` is its input."""
        request = request_pb2.StartWorkflowRequest(name=name, version=1)
        request.input["text"].string_value = text
        reply = await self.workflows.StartWorkflow(request, wait_for_ready=True)
        return reply.workflow_id

    async def ended(self, workflow_id: str) -> tuple[str, dict[str, object]]:
        """Status and output, once it has ended."""
        request = workflow_pb2.WaitRequest(workflow_id=workflow_id, timeout_ms=WAIT_MS)
        reply = await self._podium.Wait(request, wait_for_ready=True)
        assert reply.finished, f"expected {workflow_id} to end, found {reply.status}"
        return reply.status, json.loads(reply.output.json)

    async def read(self, workflow_id: str) -> execution_pb2.Workflow:
        """The execution with its tasks."""
        request = workflow_service_pb2.GetWorkflowStatusRequest(
            workflow_id=workflow_id, include_tasks=True
        )
        return await self.workflows.GetWorkflowStatus(request, wait_for_ready=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.channel.close()

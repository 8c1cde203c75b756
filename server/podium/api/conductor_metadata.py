"""Conductor's MetadataService: definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.api.definition_in import task_def_of, workflow_def_of
from podium.api.definition_out import task_def_message, workflow_def_message
from podium.api.method_table import Context, Served, service_handler
from podium.api.off_loop import convert
from podium.api.value import ValueUnsound
from podium.app.names import require_name, require_version
from podium.conductor import metadata_service_pb2 as pb
from podium.conductor.twin import metadata_service_pb2 as twin

if TYPE_CHECKING:
    import grpc

    from podium.model.definition import TaskDef, WorkflowDef
    from podium.registry.registry import Registry


class MetadataService:
    """All of it is served."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def handler(self) -> grpc.GenericRpcHandler:
        """For the server."""
        return service_handler(
            pb.DESCRIPTOR.services_by_name["MetadataService"],
            {
                "CreateWorkflow": Served(self.create_workflow, twin.CreateWorkflowRequest),
                "ValidateWorkflow": Served(self.validate_workflow, twin.ValidateWorkflowRequest),
                "UpdateWorkflows": Served(self.update_workflows, twin.UpdateWorkflowsRequest),
                "GetWorkflow": Served(self.get_workflow, pb.GetWorkflowRequest),
                "CreateTasks": Served(self.create_tasks, twin.CreateTasksRequest),
                "UpdateTask": Served(self.update_task, twin.UpdateTaskRequest),
                "GetTask": Served(self.get_task, pb.GetTaskRequest),
                "DeleteTask": Served(self.delete_task, pb.DeleteTaskRequest),
            },
        )

    async def create_workflow(
        self, request: twin.CreateWorkflowRequest, context: Context
    ) -> pb.CreateWorkflowResponse:
        del context
        await self._registry.register_workflow(await _workflow_of(request))
        return pb.CreateWorkflowResponse()

    async def validate_workflow(
        self, request: twin.ValidateWorkflowRequest, context: Context
    ) -> pb.ValidateWorkflowResponse:
        del context
        await self._registry.check_workflow(await _workflow_of(request))
        return pb.ValidateWorkflowResponse()

    async def update_workflows(
        self, request: twin.UpdateWorkflowsRequest, context: Context
    ) -> pb.UpdateWorkflowsResponse:
        del context
        definitions = await convert(request.ByteSize(), _workflows_of, request)
        await self._registry.update_workflows(definitions)
        return pb.UpdateWorkflowsResponse()

    async def get_workflow(
        self, request: pb.GetWorkflowRequest, context: Context
    ) -> twin.GetWorkflowResponse:
        del context
        name = require_name("name", request.name)
        definition = await self._registry.get_workflow(
            name, require_version("version", request.version)
        )
        return twin.GetWorkflowResponse(workflow=workflow_def_message(definition))

    async def create_tasks(
        self, request: twin.CreateTasksRequest, context: Context
    ) -> pb.CreateTasksResponse:
        del context
        definitions = await convert(request.ByteSize(), _tasks_of, request)
        await self._registry.register_tasks(definitions)
        return pb.CreateTasksResponse()

    async def update_task(
        self, request: twin.UpdateTaskRequest, context: Context
    ) -> pb.UpdateTaskResponse:
        del context
        if not request.HasField("task"):
            raise ValueUnsound("task: expected a task definition, found none")
        await self._registry.update_task(task_def_of("task", request.task))
        return pb.UpdateTaskResponse()

    async def get_task(self, request: pb.GetTaskRequest, context: Context) -> twin.GetTaskResponse:
        del context
        definition = await self._registry.get_task(require_name("task_type", request.task_type))
        return twin.GetTaskResponse(task=task_def_message(definition))

    async def delete_task(
        self, request: pb.DeleteTaskRequest, context: Context
    ) -> pb.DeleteTaskResponse:
        del context
        await self._registry.delete_task(require_name("task_type", request.task_type))
        return pb.DeleteTaskResponse()


async def _workflow_of(
    request: twin.CreateWorkflowRequest | twin.ValidateWorkflowRequest,
) -> WorkflowDef:
    if not request.HasField("workflow"):
        raise ValueUnsound("workflow: expected a workflow definition, found none")
    return await convert(request.ByteSize(), workflow_def_of, "workflow", request.workflow)


def _workflows_of(request: twin.UpdateWorkflowsRequest) -> list[WorkflowDef]:
    if not request.defs:
        raise ValueUnsound("defs: expected at least one workflow definition, found none")
    return [workflow_def_of(f"defs[{index}]", each) for index, each in enumerate(request.defs)]


def _tasks_of(request: twin.CreateTasksRequest) -> list[TaskDef]:
    if not request.defs:
        raise ValueUnsound("defs: expected at least one task definition, found none")
    return [task_def_of(f"defs[{index}]", each) for index, each in enumerate(request.defs)]

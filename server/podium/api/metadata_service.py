"""podium.v1.MetadataService: definitions as JSON documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.api.method_table import Context, Served, service_handler
from podium.app.names import require_name, require_version
from podium.v1 import metadata_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable

    import grpc

    from podium.app.definitions import Definitions
    from podium.engine.problem import Problem


class JsonMetadataService:
    """All of it is served."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    def handler(self) -> grpc.GenericRpcHandler:
        """For the server."""
        return service_handler(
            pb.DESCRIPTOR.services_by_name["MetadataService"],
            {
                "RegisterWorkflow": Served(self.register_workflow, pb.RegisterWorkflowRequest),
                "ValidateWorkflow": Served(self.validate_workflow, pb.ValidateWorkflowRequest),
                "GetWorkflow": Served(self.get_workflow, pb.GetWorkflowRequest),
                "RegisterTask": Served(self.register_task, pb.RegisterTaskRequest),
                "GetTask": Served(self.get_task, pb.GetTaskRequest),
            },
        )

    async def register_workflow(
        self, request: pb.RegisterWorkflowRequest, context: Context
    ) -> pb.RegisterWorkflowResponse:
        del context
        stored = await self._definitions.register_workflow(
            request.json, overwrite=request.overwrite
        )
        return pb.RegisterWorkflowResponse(
            name=stored.name, version=stored.version, warnings=_notes(stored.warnings)
        )

    async def validate_workflow(
        self, request: pb.ValidateWorkflowRequest, context: Context
    ) -> pb.ValidateWorkflowResponse:
        del context
        found = await self._definitions.check_workflow(request.json)
        return pb.ValidateWorkflowResponse(
            problems=_notes(found.problems), warnings=_notes(found.warnings)
        )

    async def get_workflow(
        self, request: pb.GetWorkflowRequest, context: Context
    ) -> pb.GetWorkflowResponse:
        del context
        name = require_name("name", request.name)
        version = require_version("version", request.version)
        return pb.GetWorkflowResponse(json=await self._definitions.workflow(name, version))

    async def register_task(
        self, request: pb.RegisterTaskRequest, context: Context
    ) -> pb.RegisterTaskResponse:
        del context
        warnings = await self._definitions.register_task(request.json)
        return pb.RegisterTaskResponse(warnings=_notes(warnings))

    async def get_task(self, request: pb.GetTaskRequest, context: Context) -> pb.GetTaskResponse:
        del context
        name = require_name("name", request.name)
        return pb.GetTaskResponse(json=await self._definitions.task(name))


def _notes(problems: Iterable[Problem]) -> list[pb.DefinitionNote]:
    return [pb.DefinitionNote(place=each.place, message=each.message) for each in problems]

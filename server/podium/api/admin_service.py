"""podium.v1.AdminService: executions that were set aside; other methods have files of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.api.method_table import Context, Served, service_handler
from podium.app.failure import NotFound, shown
from podium.app.names import require_workflow_id
from podium.v1 import admin_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping

    import grpc

    from podium.runtime.parking import Parking


class AdminService:
    """All of it is served; `others` are methods by name."""

    def __init__(self, parking: Parking, others: Mapping[str, Served]) -> None:
        self._parking = parking
        self._others = others

    def handler(self) -> grpc.GenericRpcHandler:
        """For the server."""
        return service_handler(
            pb.DESCRIPTOR.services_by_name["AdminService"],
            {
                "ListParked": Served(self.list_parked, pb.ListParkedRequest),
                "RetryParked": Served(self.retry_parked, pb.RetryParkedRequest),
                "PurgeParked": Served(self.purge_parked, pb.PurgeParkedRequest),
                **self._others,
            },
        )

    async def list_parked(
        self, request: pb.ListParkedRequest, context: Context
    ) -> pb.ListParkedResponse:
        del request, context
        return pb.ListParkedResponse(
            executions=[
                pb.ParkedExecution(
                    workflow_id=each.workflow_id,
                    parked_ms=each.parked_ms,
                    command=each.command,
                    error_type=each.error_type,
                    place=each.place,
                )
                for each in await self._parking.listed()
            ]
        )

    async def retry_parked(
        self, request: pb.RetryParkedRequest, context: Context
    ) -> pb.RetryParkedResponse:
        del context
        require_workflow_id("workflow_id", request.workflow_id)
        if not await self._parking.retry(request.workflow_id):
            raise _not_parked(request.workflow_id)
        return pb.RetryParkedResponse()

    async def purge_parked(
        self, request: pb.PurgeParkedRequest, context: Context
    ) -> pb.PurgeParkedResponse:
        del context
        require_workflow_id("workflow_id", request.workflow_id)
        if not await self._parking.purge(request.workflow_id):
            raise _not_parked(request.workflow_id)
        return pb.PurgeParkedResponse()


def _not_parked(workflow_id: str) -> NotFound:
    return NotFound(f"expected a parked workflow, found none with id {shown(workflow_id)}")

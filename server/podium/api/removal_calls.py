"""AdminService.RemoveByQuery: a dry run, then batches."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import grpc

from podium.api.errors import status_of
from podium.api.filter_in import filter_of
from podium.api.method_table import Context, Served
from podium.api.summary_out import summary
from podium.api.value import ValueUnsound
from podium.app.bulk_removal import BulkRemoval
from podium.v1 import listing_pb2 as pb

if TYPE_CHECKING:
    from podium.app.bulk_removal import Failed
    from podium.app.services import Services

LOG = logging.getLogger("podium.api")
FAULT: Final = "expected a workflow that can be removed, found a fault of the server"


class RemovalCalls:
    """One method."""

    def __init__(self, services: Services) -> None:
        self._removal = BulkRemoval(services)

    def served(self) -> dict[str, Served]:
        """By method name."""
        return {"RemoveByQuery": Served(self.remove_by_query, pb.RemoveByQueryRequest)}

    async def remove_by_query(
        self, request: pb.RemoveByQueryRequest, context: Context
    ) -> pb.RemoveByQueryResponse:
        """Without a confirmation nothing is removed."""
        del context
        if not request.HasField("filter"):
            raise ValueUnsound("filter: expected one, found none; an empty one means everything")
        asked = filter_of(request.filter)
        if not request.confirmation:
            run = await self._removal.dry_run(asked, archive=request.archive)
            return pb.RemoveByQueryResponse(
                remaining=run.count,
                sample=[summary(each) for each in run.sample],
                confirmation=run.confirmation if run.count else "",
            )
        removed = await self._removal.remove(
            asked,
            archive=request.archive,
            confirmation=request.confirmation,
            limit=request.limit,
        )
        return pb.RemoveByQueryResponse(
            remaining=removed.remaining,
            confirmation=removed.confirmation,
            removed=removed.count,
            failures=[_failure_of(each) for each in removed.failures],
        )


def _failure_of(failed: Failed) -> pb.RemovalFailure:
    """Items stand for themselves: what one failed of is told beside its id."""
    status = status_of(failed.error)
    if status is None:
        noted = {"event": "item_failed", "workflow_id": failed.workflow_id}
        LOG.error("an execution was not removed", extra=noted, exc_info=failed.error)
        status = grpc.StatusCode.INTERNAL, FAULT
    code: int = status[0].value[0]
    return pb.RemovalFailure(workflow_id=failed.workflow_id, code=code, message=status[1])

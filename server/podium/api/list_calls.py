"""podium.v1.WorkflowService.List: pages of summaries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.api.filter_in import filter_of
from podium.api.method_table import Context, Served
from podium.api.off_loop import convert
from podium.api.summary_out import summaries_size, summary
from podium.v1 import listing_pb2 as pb

if TYPE_CHECKING:
    from podium.app.listing import Listing


class ListCalls:
    """One method."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing

    def served(self) -> dict[str, Served]:
        """By method name."""
        return {"List": Served(self.list_workflows, pb.ListRequest)}

    async def list_workflows(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:
        del context
        listed = await self._listing.page(
            filter_of(request.filter),
            size=request.page_size,
            token=request.page_token,
            counted=request.count_total,
            payloads=request.include_payloads,
        )
        size = summaries_size(listed.documents)
        workflows = await convert(size, lambda: [summary(each) for each in listed.documents])
        return pb.ListResponse(
            workflows=workflows, next_page_token=listed.next_token, total=listed.total
        )

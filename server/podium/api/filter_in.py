"""podium.v1's filter of executions into the one that operations know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.app.listing import Filter, Window

if TYPE_CHECKING:
    from podium.v1 import listing_pb2 as pb


def filter_of(message: pb.WorkflowFilter) -> Filter:
    """Not judged yet."""
    return Filter(
        names=tuple(message.names),
        version=message.version,
        statuses=tuple(message.statuses),
        correlation_ids=tuple(message.correlation_ids),
        started=Window(message.started_from_ms, message.started_before_ms),
        ended=Window(message.ended_from_ms, message.ended_before_ms),
        query=message.query,
        free_text=message.free_text,
    )

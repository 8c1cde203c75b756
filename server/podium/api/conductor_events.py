"""Conductor's EventService: known by name, not served by this version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.api.method_table import service_handler
from podium.conductor import event_service_pb2 as pb

if TYPE_CHECKING:
    import grpc


def event_handler() -> grpc.GenericRpcHandler:
    """For the server: every method says that it is not served."""
    return service_handler(pb.DESCRIPTOR.services_by_name["EventService"], {})

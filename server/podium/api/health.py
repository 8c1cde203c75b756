"""grpc.health.v1.Health: SERVING from the first call on; NOT_SERVING while the store is away, and
once the server drains.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2 as pb

from podium.api.errors import Refused
from podium.api.method_table import Context, Served, service_handler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

SERVICE = pb.DESCRIPTOR.services_by_name["Health"]


class Health:
    """One per server; the composition root calls `stop` when it begins to drain, and `look` when
    the store has become `reachable` or has ceased to be.
    """

    def __init__(self, reachable: Callable[[], bool] = lambda: True) -> None:
        self._reachable = reachable
        self.stopping = asyncio.Event()
        """Set when the server begins to drain."""
        self._news = asyncio.Event()
        """Set by `look`, which then begins another."""
        self._names = frozenset[str]()

    def handler(self, services: Iterable[str]) -> grpc.GenericRpcHandler:
        """For the server, which serves these services by name; "" stands for all of it."""
        self._names = frozenset(("", *services))
        return service_handler(
            SERVICE,  # pyright: ignore[reportArgumentType] - the same class by another name
            {
                "Check": Served(self.check, pb.HealthCheckRequest),
                "Watch": Served(self.watch, pb.HealthCheckRequest),
            },
        )

    def stop(self) -> None:
        """Tell everybody to go elsewhere."""
        self.stopping.set()
        self.look()

    def look(self) -> None:
        """The status may have changed."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def check(
        self, request: pb.HealthCheckRequest, context: Context
    ) -> pb.HealthCheckResponse:
        del context
        if request.service not in self._names:
            raise Refused(
                grpc.StatusCode.NOT_FOUND,
                f"expected the name of a service, found {request.service[:80]}",
            )
        return self._status()

    async def watch(
        self, request: pb.HealthCheckRequest, context: Context
    ) -> AsyncIterator[pb.HealthCheckResponse]:
        del context
        if request.service not in self._names:
            yield pb.HealthCheckResponse(status=pb.HealthCheckResponse.SERVICE_UNKNOWN)
            await self.stopping.wait()
            return
        told = None
        while True:
            news, found = self._news, self._status()
            if found != told:
                told = found
                yield found  # the server may begin to drain while this is written
            elif self.stopping.is_set():
                return
            else:
                await news.wait()

    def _status(self) -> pb.HealthCheckResponse:
        if self.stopping.is_set() or not self._reachable():
            return pb.HealthCheckResponse(status=pb.HealthCheckResponse.NOT_SERVING)
        return pb.HealthCheckResponse(status=pb.HealthCheckResponse.SERVING)

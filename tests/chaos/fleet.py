"""Several servers over one store, with the load around them.

Each server goes to each node through a proxy of its own, also to those it is told of by a Sentinel
or the cluster.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from podium.runtime.clock import SystemClock
from podium.store.redis.address import read_address
from podium.store.redis.store import RedisStore
from tests.chaos.machine import Machine
from tests.dynomite.standin import StandIn
from tests.store.nodes import DURABLE, Cluster, Node, Watched

if TYPE_CHECKING:
    from pathlib import Path

SERVERS = 2


class Fleet:
    """Two servers over the store at `url`."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url
        self.stack = AsyncExitStack()
        self.servers: list[Machine] = []

    async def _begin(self) -> list[int]:
        """Start the store; the ports that servers go to."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        ports = await self._begin()
        for number in range(SERVERS):
            server = Machine(self._folder, self._url, name=f"machine{number}", ports=ports)
            self.servers.append(await self.stack.enter_async_context(server))
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.stack.aclose()

    @property
    def targets(self) -> list[str]:
        return [each.target for each in self.servers]

    def store(self) -> RedisStore:
        """Not opened; past what stands in between."""
        return RedisStore(read_address(self._url), SystemClock().now_ms)


class NodesFleet(Fleet):
    """Over nodes that nobody replaces."""

    def nodes(self) -> list[Node]:
        """What may be killed."""
        raise NotImplementedError


class NodeFleet(NodesFleet):
    """One Redis."""

    def __init__(self, folder: Path) -> None:
        self.node = Node(folder / "redis", *DURABLE)
        super().__init__(folder, self.node.url)

    async def _begin(self) -> list[int]:
        await asyncio.to_thread(self.stack.enter_context, self.node)
        return [self.node.port]

    def nodes(self) -> list[Node]:
        return [self.node]


class DynomiteFleet(NodesFleet):
    """The stand-in, with two nodes behind it."""

    def __init__(self, folder: Path) -> None:
        self._standin = StandIn(folder / "dynomite")
        super().__init__(folder, "")

    async def _begin(self) -> list[int]:
        await asyncio.to_thread(self.stack.enter_context, self._standin)
        self._url = self._standin.url
        return [int(self._url.rpartition(":")[2])]

    def nodes(self) -> list[Node]:
        return self._standin.nodes


class SentinelFleet(Fleet):
    """A master, a replica and a Sentinel."""

    def __init__(self, folder: Path) -> None:
        self.watched = Watched(folder)
        super().__init__(folder, self.watched.url)

    async def _begin(self) -> list[int]:
        await asyncio.to_thread(self.stack.enter_context, self.watched)
        nodes = (self.watched.master, self.watched.replica, self.watched.sentinel)
        return [each.port for each in nodes]


class ClusterFleet(Fleet):
    """Three masters, a replica for each."""

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster(folder, *DURABLE)
        super().__init__(folder, self.cluster.url)

    async def _begin(self) -> list[int]:
        await asyncio.to_thread(self.stack.enter_context, self.cluster)
        return [each.port for each in self.cluster.nodes]

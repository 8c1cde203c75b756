"""Several servers over one store, with the load around them.

Over a single Redis each server has a proxy of its own in between; under Sentinel and in a cluster
it is told the nodes' true addresses and goes there itself.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from podium.runtime.clock import SystemClock
from podium.store.redis.address import read_address
from podium.store.redis.store import RedisStore
from tests.chaos.proxy import Proxy
from tests.chaos.victim import Victim
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
        self.servers: list[Victim] = []

    async def _begin(self) -> list[str]:
        """Start the store; a URL for each server."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        for url in await self._begin():
            self.servers.append(await self.stack.enter_async_context(Victim(self._folder, url)))
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.stack.aclose()

    @property
    def targets(self) -> list[str]:
        return [each.target for each in self.servers]

    def store(self) -> RedisStore:
        """Not opened; past what stands in between."""
        return RedisStore(read_address(self._url), SystemClock().now_ms)


class NodeFleet(Fleet):
    """One Redis, a proxy before it for each server."""

    def __init__(self, folder: Path) -> None:
        self.node = Node(folder / "redis", *DURABLE)
        self.proxies: list[Proxy] = []
        super().__init__(folder, self.node.url)

    async def _begin(self) -> list[str]:
        await asyncio.to_thread(self.stack.enter_context, self.node)
        for _ in range(SERVERS):
            self.proxies.append(await self.stack.enter_async_context(Proxy(self.node.port)))
        return [f"redis://127.0.0.1:{proxy.port}" for proxy in self.proxies]

    async def __aexit__(self, *failure: object) -> None:
        for proxy in self.proxies:
            proxy.go()
        await super().__aexit__(*failure)

    async def start_node(self) -> None:
        await asyncio.to_thread(self.node.start)


class SentinelFleet(Fleet):
    """A master, a replica and a Sentinel."""

    def __init__(self, folder: Path) -> None:
        self.watched = Watched(folder)
        super().__init__(folder, self.watched.url)

    async def _begin(self) -> list[str]:
        await asyncio.to_thread(self.stack.enter_context, self.watched)
        return [self._url] * SERVERS


class ClusterFleet(Fleet):
    """Three masters, a replica for each."""

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster(folder, *DURABLE)
        super().__init__(folder, self.cluster.url)

    async def _begin(self) -> list[str]:
        await asyncio.to_thread(self.stack.enter_context, self.cluster)
        return [self._url] * SERVERS

"""Several servers over one Redis, each behind a proxy of its own, with the load around them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from podium.runtime.clock import SystemClock
from podium.store.redis.address import read_address
from podium.store.redis.store import RedisStore
from tests.chaos.proxy import Proxy
from tests.chaos.victim import Victim
from tests.store.nodes import DURABLE, Node

if TYPE_CHECKING:
    from pathlib import Path

SERVERS = 2


class Fleet:
    """Two servers, their proxies, the node. `up` = the servers that live and are not stopped."""

    def __init__(self, folder: Path) -> None:
        self.node = Node(folder / "redis", *DURABLE)
        self._folder = folder
        self._stack = AsyncExitStack()
        self.proxies: list[Proxy] = []
        self.servers: list[Victim] = []

    async def __aenter__(self) -> Self:
        self._stack.enter_context(self.node)
        for _ in range(SERVERS):
            proxy = await self._stack.enter_async_context(Proxy(self.node.port))
            self.proxies.append(proxy)
            url = f"redis://127.0.0.1:{proxy.port}"
            self.servers.append(await self._stack.enter_async_context(Victim(self._folder, url)))
        return self

    async def __aexit__(self, *failure: object) -> None:
        for proxy in self.proxies:
            proxy.go()
        await self._stack.aclose()

    @property
    def targets(self) -> list[str]:
        return [each.target for each in self.servers]

    def store(self) -> RedisStore:
        """Not opened; past the proxies."""
        return RedisStore(read_address(self.node.url), SystemClock().now_ms)

    async def start_node(self) -> None:
        await asyncio.to_thread(self.node.start)

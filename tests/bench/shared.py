"""Servers over one Redis for the benchmark, and what is read of it: scripts, commands, CPU."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from redis.asyncio import Redis

from tests.bench.definitions import register
from tests.bench.processes import serving
from tests.bench.waits import cpu_s
from tests.store.nodes import DURABLE, Node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.bench.processes import Server

SCRIPTS: Final = ("cmdstat_evalsha", "cmdstat_eval")
OF_A_SCRIPT: Final = "lua"
"""Who sent a command that MONITOR shows, where a script did."""


@dataclass(frozen=True, slots=True)
class Shared:
    """`node` and the servers over it."""

    node: Node
    servers: list[Server]

    @property
    def cpu_s(self) -> float:
        """Of all of them so far."""
        ids = [self.node.process_id, *(each.process_id for each in self.servers)]
        return sum(map(cpu_s, ids))

    def scripts(self) -> int:
        """Scripts that ran so far."""
        stats = self.node.ask("INFO", "commandstats")
        return sum(stats[name]["calls"] for name in SCRIPTS if name in stats)

    def memory(self) -> int:
        """Bytes that the node uses."""
        return int(self.node.ask("INFO", "memory")["used_memory"])


def command(url: str) -> tuple[str, ...]:
    """A server over the store of this URL."""
    podium = str(Path(sys.executable).parent / "podium")
    places = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
    return (podium, "serve", *places, "--store", url)


@asynccontextmanager
async def shared(count: int) -> AsyncIterator[Shared]:
    """`count` servers over a fresh Redis (AOF everysec), with the definitions registered."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="podium-bench-"))
        node = Node(Path(folder), *DURABLE)
        await asyncio.to_thread(node.start)
        stack.callback(node.kill)
        servers = [
            await stack.enter_async_context(serving(*command(node.url))) for _ in range(count)
        ]
        await register(servers[0].target)
        yield Shared(node, servers)


async def commands_per_s(node: Node, window_ms: int) -> float:
    """Commands that clients sent within the window; those within scripts are not counted."""
    count = 0
    client = Redis(port=node.port, protocol=2)
    try:
        async with client.monitor() as monitor:
            end_s = time.monotonic() + window_ms / 1000
            while (left_s := end_s - time.monotonic()) > 0:
                try:
                    async with asyncio.timeout(left_s):
                        heard = await monitor.next_command()
                except TimeoutError:
                    break
                count += heard["client_type"] != OF_A_SCRIPT
    finally:
        await client.aclose()
    return count / window_ms * 1000

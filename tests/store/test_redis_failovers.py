"""Twenty failovers under load: what was acknowledged and is lost, by durability."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Final

import pytest

from podium.runtime.clock import SystemClock
from podium.store.conformance.subject import WORKFLOW, first
from podium.store.port import Committed, StoreError, StoreUnavailable
from podium.store.redis.address import read_address
from podium.store.redis.durability import Durability
from podium.store.redis.store import RedisStore
from tests.store.nodes import AT_ONCE, DURABLE, KeepingNode, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.store.nodes import Node

pytestmark = [pytest.mark.part("redis-server"), pytest.mark.timeout(400)]

FAILOVERS: Final = 20
APART_S: Final = 0.1
"""How long the master goes on alone, after the replica parted from it and before its own death."""


@pytest.mark.parametrize("level", ["local", "replica"])
async def test_twenty_failovers_lose_nothing_with_replica(level: str, tmp_path: Path) -> None:
    durability = Durability("replica", wait_ms=300) if level == "replica" else Durability()
    master, replica = (KeepingNode(tmp_path / each, *DURABLE, *AT_ONCE) for each in "ab")
    acknowledged: list[str] = []
    numbers = itertools.count()
    with master, replica:
        for _ in range(FAILOVERS):
            await asyncio.to_thread(follow, replica, master)
            store = opened(master, durability)
            await begin(store)
            async with asyncio.TaskGroup() as group:
                group.create_task(load(store, numbers, acknowledged))
                await asyncio.sleep(APART_S)
                replica.ask("REPLICAOF", "NO", "ONE")
                await asyncio.sleep(APART_S)
                master.kill()
            await asyncio.to_thread(master.start)
            master, replica = replica, master
        lost = await missing(master, acknowledged)
    print(f"{level}: {len(lost)} of {len(acknowledged)} acknowledged starts lost")
    assert len(acknowledged) > FAILOVERS
    # The same faults take from `local` what they can't take from `replica`.
    assert bool(lost) is (level == "local"), lost


def follow(replica: Node, master: Node) -> None:
    replica.ask("REPLICAOF", "127.0.0.1", master.port)
    until(master.has_replica, "a replica that keeps up")


async def begin(store: RedisStore) -> None:
    """As soon as the replica has read its first copy: it is online before that."""
    async with asyncio.timeout(60):
        while True:
            try:
                await store.open()
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def load(store: RedisStore, numbers: itertools.count[int], acknowledged: list[str]) -> None:
    """Starts, one after the other, until the node is gone."""
    try:
        while True:
            workflow_id = f"{next(numbers):08x}{WORKFLOW[8:]}"
            (result,) = await store.commit([first(workflow_id)])
            assert isinstance(result, Committed)
            acknowledged.append(workflow_id)
    except StoreError:
        await store.close()


async def missing(node: Node, workflow_ids: list[str]) -> list[str]:
    store = opened(node, Durability())
    await store.open()
    found = [await store.load(each, None) for each in workflow_ids]
    await store.close()
    return [each for each, loaded in zip(workflow_ids, found, strict=True) if loaded is None]


def opened(node: Node, durability: Durability) -> RedisStore:
    return RedisStore(read_address(node.url), SystemClock().now_ms, durability=durability)

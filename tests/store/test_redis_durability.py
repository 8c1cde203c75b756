"""Durability `fsync` and `replica`: what is refused, and what is acknowledged without replicas."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest
from redis.crc import key_slot

from podium.config_store import Store as StoreSettings
from podium.runtime.clock import SystemClock
from podium.store.conformance.subject import WORKFLOW, first
from podium.store.port import (
    Commit,
    Committed,
    DefinitionRow,
    StoreUnavailable,
    Unreplicated,
)
from podium.store.port_starts import Idempotency
from podium.store.redis.address import read_address
from podium.store.redis.durability import Durability
from podium.store.redis.store import RedisStore
from podium.stores import StoreUnknown, open_store
from tests.store.nodes import DURABLE, MASTERS, SLOTS, Cluster, Replicated, one_node, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.part("redis-server")

FSYNC = Durability("fsync")
REPLICA = Durability("replica", wait_ms=300)
PATIENT = Durability("replica", wait_ms=4_000)
"""Where replicas shall have it, on a machine that has much else to do."""
OPEN_S = 60
KEY = Idempotency("orders", "k", "RETURN_EXISTING")


def store_of(url: str, durability: Durability, *, volatile_allowed: bool = False) -> RedisStore:
    now_ms = SystemClock().now_ms
    address = read_address(url)
    return RedisStore(address, now_ms, durability=durability, volatile_allowed=volatile_allowed)


async def refused(url: str, durability: Durability) -> str:
    store = store_of(url, durability)
    with pytest.raises(StoreUnavailable) as refusal:
        await store.open()
    return str(refusal.value)


async def unsuitable_nodes(url: str, durability: Durability) -> int:
    """Of a store that was opened although."""
    store = store_of(url, durability, volatile_allowed=True)
    await store.open()
    await store.close()
    return store.unsuitable_nodes


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[Replicated]:
    with Replicated(tmp_path) as nodes:
        yield nodes


async def test_fsync_refuses_a_node_that_syncs_later(tmp_path: Path) -> None:
    with one_node(tmp_path) as node:
        words = await refused(node.url, FSYNC)
        assert "expected appendfsync always, found everysec" in words
        assert "CONFIG SET appendfsync always" in words
        assert "store.volatile" in words
        assert await unsuitable_nodes(node.url, FSYNC) == 1
        node.ask("CONFIG", "SET", "appendfsync", "always")
        assert await unsuitable_nodes(node.url, FSYNC) == 0


async def test_fsync_refuses_a_node_that_does_not_tell(tmp_path: Path) -> None:
    with one_node(tmp_path) as node:
        node.ask("ACL", "SETUSER", "default", "-config")
        words = await refused(node.url, FSYNC)
    assert "expected appendfsync always, found that CONFIG GET is refused" in words


async def test_fsync_looks_at_every_node_of_a_cluster(tmp_path: Path) -> None:
    with Cluster(tmp_path, *DURABLE) as cluster:
        for each in cluster.nodes[: MASTERS - 1]:
            each.ask("CONFIG", "SET", "appendfsync", "always")
        assert f":{cluster.nodes[MASTERS - 1].port}: " in await refused(cluster.url, FSYNC)
        assert await unsuitable_nodes(cluster.url, FSYNC) == 1


async def test_replica_refuses_a_node_without_replicas(tmp_path: Path) -> None:
    with one_node(tmp_path) as node:
        words = await refused(node.url, REPLICA)
        assert "expected 1 replicas online (store.replicas), found 0" in words
        assert "replicaof HOST PORT" in words
        assert await unsuitable_nodes(node.url, REPLICA) == 1


async def test_replica_refuses_replicas_that_are_stalled(replicated: Replicated) -> None:
    replicated.replica.signal(signal.SIGSTOP)
    words = await refused(replicated.url, REPLICA)
    assert "expected 1 replicas to have it within 300 ms, found 0" in words
    assert "store.replica_ms" in words
    replicated.replica.signal(signal.SIGCONT)
    store = await opened(replicated.url, REPLICA)
    await store.close()


async def opened(url: str, durability: Durability) -> RedisStore:
    """As soon as the replica keeps up."""
    store = store_of(url, durability)
    async with asyncio.timeout(OPEN_S):
        while True:
            try:
                await store.open()
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                return store


async def test_nothing_is_acknowledged_while_the_replica_is_stalled(
    replicated: Replicated,
) -> None:
    store, other = [await opened(replicated.url, REPLICA) for _ in range(2)]
    replicated.replica.signal(signal.SIGSTOP)
    start = Commit(workflow_id=WORKFLOW, version=0, fields={"h": b"1"}, idempotency=KEY)
    with pytest.raises(Unreplicated):
        await store.commit([start])
    # It is there, yet nobody is told so as a fact: neither who asks again nor who comes second.
    assert await other.load(WORKFLOW, None) is not None
    twin = Commit(workflow_id=f"{WORKFLOW[:-1]}9", version=0, idempotency=KEY)
    for call in (store.kept(WORKFLOW, 1), other.kept(WORKFLOW, 1), other.commit([twin])):
        with pytest.raises(Unreplicated):
            await call
    with pytest.raises(Unreplicated):
        await other.recorded(twin.workflow_id, KEY)
    with pytest.raises(Unreplicated):
        await other.put_definition(DefinitionRow("workflow", "w", 1, b"{}"), overwrite=True)
    # What is no acknowledgement goes on.
    assert "server" in (await store.heartbeat("server")).members
    replicated.replica.signal(signal.SIGCONT)
    async with asyncio.timeout(60):
        assert await kept(other, WORKFLOW)
    assert await other.recorded(twin.workflow_id, KEY) == WORKFLOW
    await store.close()
    await other.close()


async def kept(store: RedisStore, workflow_id: str) -> bool:
    """As soon as it is known."""
    while True:
        try:
            return await store.kept(workflow_id, 1)
        except Unreplicated:
            continue


async def test_what_is_acknowledged_survives_a_failover(replicated: Replicated) -> None:
    store = await opened(replicated.url, PATIENT)
    workflow_ids = [f"{number:08x}{WORKFLOW[8:]}" for number in range(200)]
    await store.commit([first(each) for each in workflow_ids])
    replicated.master.kill()
    await store.close()
    replicated.replica.ask("REPLICAOF", "NO", "ONE")
    after = store_of(replicated.replica.url, Durability())
    await after.open()
    for each in workflow_ids:
        assert await after.load(each, None) is not None, each
    await after.close()


async def test_a_node_that_refuses_writes_without_replicas_wrote_nothing(
    replicated: Replicated,
) -> None:
    store = await opened(replicated.url, PATIENT)
    master, replica = replicated.master, replicated.replica
    master.ask("CONFIG", "SET", "min-replicas-to-write", 1)
    replica.kill()
    until(lambda: not master.has_replica(), "a master that misses its replica")
    with pytest.raises(Unreplicated):
        await store.commit([first()])
    assert await store.load(WORKFLOW, None) is None
    replica.start()
    until(master.has_replica, "a replica that came back")
    async with asyncio.timeout(60):
        await committed(store)
    await store.close()


async def committed(store: RedisStore) -> None:
    """As soon as the node takes writes: before that it writes nothing."""
    while True:
        try:
            (result,) = await store.commit([first()])
        except Unreplicated:
            assert not await store.load(WORKFLOW, None)
            await asyncio.sleep(0.05)
        else:
            assert isinstance(result, Committed)
            return


async def test_in_a_cluster_each_node_answers_for_its_own(tmp_path: Path) -> None:
    with Cluster(tmp_path, *DURABLE) as cluster:
        store = await opened(cluster.url, PATIENT)
        place = place_of(store, WORKFLOW)
        numbered = (f"{number:02x}{WORKFLOW[2:]}" for number in range(256))
        apart = next(each for each in numbered if place_of(store, each) != place)
        replica = cluster.nodes[MASTERS + place]
        replica.signal(signal.SIGSTOP)
        await store.commit([first(apart)])
        with pytest.raises(Unreplicated):
            await store.commit([first(WORKFLOW)])
        with pytest.raises(Unreplicated):
            await store.commit([first(WORKFLOW), first(apart)])
        replica.signal(signal.SIGCONT)
        async with asyncio.timeout(60):
            assert await kept(store, WORKFLOW)
        await store.close()


def place_of(store: RedisStore, workflow_id: str) -> int:
    """Which of the masters has it."""
    slot = key_slot(store.keys.part_of(workflow_id, "ids").encode())
    return next(n for n in range(MASTERS) if slot < SLOTS * (n + 1) // MASTERS)


@pytest.mark.parametrize("url", ["memory://", "sqlite:////tmp/never.db", "dynomite://a"])
def test_other_stores_have_one_durability(url: str) -> None:
    settings = StoreSettings(url=url, durability="replica")
    with pytest.raises(StoreUnknown, match=r"store\.durability"):
        open_store(settings, SystemClock().now_ms)

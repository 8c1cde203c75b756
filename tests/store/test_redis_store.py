"""The Redis store: what it refuses, what it sends, what its URL may be."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from podium.model.queue import UNLIMITED, Queue, Ready
from podium.runtime.clock import SystemClock
from podium.store.conformance.subject import (
    OTHER,
    QUEUE,
    WORKFLOW,
    claimed,
    first,
    lease,
    make_ready,
    ready,
    task,
    want,
)
from podium.store.port import CLAIM_MS, PARTITIONS, Commit, Settle, StoreFull, StoreUnavailable
from podium.store.redis.address import AddressInvalid, read_address
from podium.store.redis.store import RedisStore
from tests.store.nodes import DURABLE, READY_S, Cluster, Node, one_node, until
from tests.store.subjects import distant

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.part("redis-server")


def store_of(url: str, *, volatile_allowed: bool = False) -> RedisStore:
    now_ms = SystemClock().now_ms
    return RedisStore(read_address(url), now_ms, volatile_allowed=volatile_allowed)


async def refused(url: str) -> str:
    store = store_of(url)
    with pytest.raises(StoreUnavailable) as refusal:
        await store.open()
    return str(refusal.value)


async def test_a_node_that_forgets_is_refused(tmp_path: Path) -> None:
    with Node(tmp_path, "--save", "") as node:
        words = await refused(node.url)
        assert "expected appendonly yes, found no" in words
        assert "CONFIG SET appendonly yes" in words
        store = store_of(node.url, volatile_allowed=True)
        await store.open()
        await store.close()


async def test_a_node_that_evicts_is_refused(tmp_path: Path) -> None:
    with one_node(tmp_path, "--maxmemory-policy", "allkeys-lru") as node:
        words = await refused(node.url)
    assert "expected maxmemory-policy noeviction, found allkeys-lru" in words


async def test_a_wrong_password_is_refused_without_being_told(tmp_path: Path) -> None:
    with one_node(tmp_path, "--requirepass", "correct") as node:
        node_url = node.url.replace("://", "://:wrong-one@")
        words = await refused(node_url)
        assert "expected a user and password that it takes" in words
        assert "wrong-one" not in words
        store = store_of(node.url.replace("://", "://:correct@"))
        await store.open()
        await store.close()


async def test_an_address_where_nobody_listens_is_refused(tmp_path: Path) -> None:
    with one_node(tmp_path) as node:
        url = node.url
    words = await refused(url)
    assert f"{url}: expected a node that answers" in words


async def test_a_cluster_without_all_slots_is_refused(tmp_path: Path) -> None:
    with Node(tmp_path, *DURABLE, "--cluster-enabled", "yes") as node:
        words = await refused(node.url.replace("redis:", "redis+cluster:"))
    assert "expected a cluster with all slots" in words


async def test_a_store_of_a_newer_podium_is_refused(tmp_path: Path) -> None:
    with one_node(tmp_path) as node:
        node.ask("SET", "podium:{reg}format", 3)
        words = await refused(node.url)
    assert "expected a store of format 2 or older, found 3" in words


async def test_a_store_from_before_any_release_is_refused(tmp_path: Path) -> None:
    with one_node(tmp_path) as node:
        node.ask("SET", "podium:{reg}format", 1)
        words = await refused(node.url)
    assert "expected a store of format 2 or later, found 1" in words


async def test_full_memory_writes_nothing_and_goes_on_with_space(tmp_path: Path) -> None:
    with one_node(tmp_path) as node:
        store = store_of(node.url)
        await store.open()
        node.ask("CONFIG", "SET", "maxmemory", 1)
        with pytest.raises(StoreFull):
            await store.commit([first()])
        assert await store.load(WORKFLOW, None) is None
        node.ask("CONFIG", "SET", "maxmemory", 0)
        await store.commit([first()])
        await store.close()


async def test_scripts_that_a_node_forgot_are_sent_again(tmp_path: Path) -> None:
    with one_node(tmp_path) as node:
        store = store_of(node.url)
        await store.open()
        await store.commit([first()])
        node.ask("SCRIPT", "FLUSH")
        await store.commit([Commit(workflow_id=WORKFLOW, version=1)])
        loaded = await store.load(WORKFLOW, None)
        assert loaded is not None
        assert loaded.version == 2
        await store.close()


async def test_a_killed_node_is_unavailable_and_keeps_what_was_acknowledged(
    tmp_path: Path,
) -> None:
    with one_node(tmp_path) as node:
        store = store_of(node.url)
        await store.open()
        await store.commit([first()])
        node.kill()
        with pytest.raises(StoreUnavailable):
            await store.load(WORKFLOW, None)
        node.start()
        loaded = await store.load(WORKFLOW, None)
        assert loaded is not None
        await store.close()


async def test_a_slot_released_before_it_was_settled_is_not_kept(
    url_of: Callable[[str], str],
) -> None:
    queue = Queue("limited")
    async with distant(url_of("redis")) as subject:
        store = subject.store
        await store.commit([first()])
        await store.push_assign([Ready(task(0), queue, 1)])
        await store.settle([Settle(task(0), queue, hold=True)])
        assert isinstance(store, RedisStore)
        counted = await store.link.one(("ZCARD", store.keys.type("limited", "f")))
        assert counted == 0


async def test_keys_of_one_execution_share_a_slot_whatever_users_name_them(tmp_path: Path) -> None:
    """A cluster refuses a script whose keys lie in several slots."""
    odd = Queue("a}{b\x1f c", "{eu}\n")
    with Cluster(tmp_path, *DURABLE) as cluster:
        store = store_of(cluster.url)
        await store.open()
        workflow_id = "order {1} ü"
        start = Commit(
            workflow_id=workflow_id, version=0, ready=(Ready(f"{workflow_id}.a.1", odd, 5),)
        )
        await store.commit([start])
        await store.push_assign([Ready(f"{workflow_id}.a.1", odd, 5)])
        assert await store.queue_size(odd) == 1
        await store.close()


async def test_a_cluster_without_a_master_is_unavailable_until_it_is_whole(tmp_path: Path) -> None:
    """CLUSTERDOWN is an answer of the nodes that are left, and no fault of ours."""
    with Cluster(tmp_path, *DURABLE) as cluster:
        store = store_of(cluster.url)
        await store.open()
        await store.commit([first()])
        pair = next(pair for pair in cluster.pairs() if pair[0] is cluster.nodes[1])
        for each in pair:
            each.kill()
        left = cluster.nodes[0]
        until(
            lambda: b"cluster_state:fail" in left.ask("CLUSTER", "INFO"), "a cluster that is down"
        )
        with pytest.raises(StoreUnavailable):
            await store.ready(range(PARTITIONS))
        for each in pair:
            each.start()
        cluster.wait()
        async with asyncio.timeout(READY_S):
            while not await found(store):  # noqa: ASYNC110 - nodes may be away for one call more
                await asyncio.sleep(0.1)
        await store.close()


async def found(store: RedisStore) -> bool:
    with suppress(StoreUnavailable):
        return await store.load(WORKFLOW, None) is not None
    return False


async def test_one_script_per_commit_and_per_push(url_of: Callable[[str], str]) -> None:
    async with distant(url_of("redis")) as subject:
        store = subject.store
        assert isinstance(store, RedisStore)
        before = store.link.scripts_count
        await store.commit([first()])
        await store.push_assign([ready(0)])
        assert store.link.scripts_count - before == 2


async def test_a_late_end_of_a_claim_leaves_the_next_claim_alone(
    url_of: Callable[[str], str],
) -> None:
    """Its caller was stopped on the way, and the task was ready and claimed again meanwhile."""
    async with distant(url_of("redis")) as subject:
        store = subject.store
        assert isinstance(store, RedisStore)
        await make_ready(subject, ready(0))
        assert claimed(await want(subject, 1)) == [task(0)]
        late = dict(store._claimants)
        await lease(subject, task(0))
        await store.settle([Settle(task(0), QUEUE)])
        await make_ready(subject, ready(0))
        assert claimed(await want(subject, 1, OTHER)) == [task(0)]
        store._claimants.update(late)
        await store.settle([Settle(task(0), QUEUE)])
        store._claimants.update(late)
        await store.unclaim(task(0), QUEUE)
        assert (await store.queue_state(QUEUE, UNLIMITED)).claimed == 1
        await subject.advance(CLAIM_MS)
        assert claimed(await want(subject, 1)) == [task(0)]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://", "expected HOST:PORT, found ''"),
        ("redis://a:b", "expected HOST:PORT, found 'a:b'"),
        ("redis://a,b", "expected one host, found 2"),
        ("redis://a/x", "expected the number of a database, found 'x'"),
        ("redis+sentinel://a", "expected the name of the service after the hosts, found none"),
        ("redis+cluster://a/1", "expected no database for cluster, found '1'"),
        ("dynomite://:p@a", "expected no user and no password for Dynomite, found one"),
        ("redis://a?prefix={x}", "prefix: expected text without braces, found '{x}'"),
        ("redis://a?color=red", "found color"),
        ("redis+cluster://a?tls=yes", "tls: expected 0 or 1, found 'yes'"),
    ],
)
def test_a_bad_url_is_refused(url: str, words: str) -> None:
    with pytest.raises(AddressInvalid) as refusal:
        read_address(url)
    assert words in str(refusal.value)


def test_a_url_says_all_it_can() -> None:
    address = read_address("redis+sentinel://me:p%40ss@a:1,[::1]:2/main/3?prefix=p:&tls=1")
    assert address.hosts == (("a", 1), ("::1", 2))
    assert (address.user, address.password) == ("me", "p@ss")
    assert (address.service, address.database, address.prefix, address.tls) == (
        "main",
        3,
        "p:",
        True,
    )
    assert address.shown == "redis+sentinel://a:1,::1:2"

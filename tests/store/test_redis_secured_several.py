"""Sentinel and Redis Cluster over TLS with ACL users: what is refused at the start, and how."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from podium.store.redis.durability import Durability
from tests.store.nodes import MASTERS, until
from tests.store.opening import closed, opens, refused
from tests.store.secured import USER, SecuredCluster, SecuredMember, SecuredWatched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

NODES = 2 * MASTERS

pytestmark = [pytest.mark.part("redis-server"), pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredCluster]:
    with SecuredCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredWatched]:
    with SecuredWatched(tmp_path_factory.mktemp("watched")) as watched:
        yield watched


@pytest.fixture(autouse=True)
async def settle() -> AsyncIterator[None]:
    yield
    await closed()


def member(cluster: SecuredCluster, number: int) -> SecuredMember:
    node = cluster.nodes[number]
    assert isinstance(node, SecuredMember)
    return node


def nodes_told(cluster: SecuredCluster) -> int:
    """Without those that are gone."""
    return sum(len(places) for _, _, *places in cluster.nodes[0].ask("CLUSTER", "SLOTS"))


async def whole(cluster: SecuredCluster) -> None:
    """It tells of all its nodes: on a busy machine a replica joins late."""
    await asyncio.to_thread(until, lambda: nodes_told(cluster) == NODES, "all nodes")


# The first three are masters.
@pytest.mark.parametrize(
    ("number", "right"),
    [(0, "zadd"), (1, "subscribe"), (2, "time"), (2, "command"), (4, "hget")],
)
async def test_the_node_of_a_cluster_that_refuses_is_told(
    cluster: SecuredCluster, number: int, right: str
) -> None:
    node = member(cluster, number)
    await whole(cluster)
    node.grant(f"-{right}")
    try:
        # Only what a client asks for at its beginning may be refused before: by the first node.
        words = await refused(cluster.url)
    finally:
        node.grant(f"+{right}")
    if f"that may {right.upper()}" not in words:
        assert f"found that +{right} lacks at 127.0.0.1:{node.port};" in words
    assert words.endswith(f"ACL SETUSER {USER} +{right}")
    await opens(cluster.url)


async def test_what_lacks_at_two_nodes_is_told_in_one_line(cluster: SecuredCluster) -> None:
    first, second = member(cluster, 0), member(cluster, 2)
    first.grant("-hget")
    second.grant("-lpop")
    try:
        words = await refused(cluster.url)
    finally:
        first.grant("+hget")
        second.grant("+lpop")
    assert words.endswith(f"grant it there with ACL SETUSER {USER} +hget +lpop")
    assert f"127.0.0.1:{first.port}" in words
    assert f"127.0.0.1:{second.port}" in words


async def test_the_wait_is_tried_at_each_node(cluster: SecuredCluster) -> None:
    await whole(cluster)
    replicated = Durability("replica", wait_ms=4_000)
    words = await refused(cluster.url, replicated)
    assert words.endswith(f"grant it there with ACL SETUSER {USER} +wait")
    for number in range(len(cluster.nodes)):
        assert f"127.0.0.1:{cluster.nodes[number].port}" in words
        member(cluster, number).grant("+wait")
    try:
        await opens(cluster.url, replicated)
    finally:
        for number in range(len(cluster.nodes)):
            member(cluster, number).grant("-wait")


async def test_a_user_that_may_not_look_for_the_nodes_is_refused(cluster: SecuredCluster) -> None:
    everyone = [member(cluster, number) for number in range(len(cluster.nodes))]
    for node in everyone:
        node.grant("-cluster|slots")
    try:
        words = await refused(cluster.url)
    finally:
        for node in everyone:
            node.grant("+cluster|slots")
    assert "expected a user that may CLUSTER SLOTS, found that it may not" in words
    assert words.endswith(f"grant it with ACL SETUSER {USER} +cluster|slots")


async def test_a_replica_that_is_gone_keeps_no_server_from_its_start(
    cluster: SecuredCluster,
) -> None:
    replica = cluster.nodes[-1]
    replica.kill()
    try:
        await opens(cluster.url)
    finally:
        await asyncio.to_thread(replica.start)
        member(cluster, len(cluster.nodes) - 1).admit()
        await whole(cluster)


async def test_a_wrong_password_of_the_sentinels_is_refused(watched: SecuredWatched) -> None:
    words = await refused(watched.url_of("wrong-one"))
    assert "expected a Sentinel that answers and knows 'podium', found none" in words
    assert "logins of the Sentinels" in words
    assert "wrong-one" not in words
    await opens(watched.url)


async def test_a_certificate_is_needed_of_sentinels_and_clusters(
    watched: SecuredWatched, cluster: SecuredCluster
) -> None:
    for url in (watched.url, cluster.url):
        parts = url.split("&")
        without = "&".join(each for each in parts if not each.startswith(("tls_cert", "tls_key")))
        assert without != url
        assert await refused(without)


async def test_a_right_that_lacks_at_the_master_is_told(watched: SecuredWatched) -> None:
    master = watched.master
    master.ask("ACL", "SETUSER", USER, "-zadd")
    try:
        words = await refused(watched.url)
    finally:
        master.ask("ACL", "SETUSER", USER, "+zadd")
    assert words.endswith(f"found that +zadd lacks; grant it with ACL SETUSER {USER} +zadd")

"""Faults of stores that are more than one node: failovers, moved slots, nodes that are away.

A failover is a planned one here: no write is under way when the replica takes over, as operators do
it, so nothing may be lost. What a crash of a master loses that its replica has not got is the
matter of durability, not of these runs: a killed master comes back before it is replaced.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from redis import Redis, exceptions

from tests.chaos.faults import SERVER_FAULTS, Fault
from tests.store.nodes import SERVICE, until

if TYPE_CHECKING:
    from random import Random

    from tests.chaos.fleet import ClusterFleet, SentinelFleet
    from tests.store.nodes import Cluster, Node, Watched

AWAY_S = 0.8
"""Less than a Sentinel or a cluster's node waits before it replaces a master (2 s)."""
PAUSE_MS = 60_000
SLOTS_MOVED_MAX = 10
KEYS_AT_ONCE = 100
MIGRATE_MS = 5_000


async def replace_master(fleet: SentinelFleet, random: Random) -> None:
    """The replica takes over, when it has everything."""
    del random
    await asyncio.to_thread(hand_over, fleet.watched)


def hand_over(watched: Watched) -> None:
    master, replica = watched.roles()
    master.ask("CLIENT", "PAUSE", PAUSE_MS, "WRITE")
    until(lambda: offset(replica) >= offset(master), "a replica that has everything")
    watched.sentinel.ask("SENTINEL", "FAILOVER", SERVICE)
    until(lambda: role(replica) == "master", "a new master")
    # The Sentinel itself would take 10 s to tell the old one, which takes writes until then.
    master.ask("REPLICAOF", "127.0.0.1", replica.port)
    master.ask("CONFIG", "REWRITE")
    master.ask("CLIENT", "UNPAUSE")
    until(lambda: role(master) == "slave", "an old master that follows")
    until(lambda: watched.roles() == (replica, master), "a Sentinel that knows")


async def kill_master(fleet: SentinelFleet, random: Random) -> None:
    master, _ = fleet.watched.roles()
    master.kill()
    await asyncio.sleep(random.uniform(0, AWAY_S))
    await asyncio.to_thread(master.start)


async def kill_sentinel(fleet: SentinelFleet, random: Random) -> None:
    """Whoever knows the master goes on with it."""
    fleet.watched.sentinel.kill()
    await asyncio.sleep(random.uniform(0, 4))
    await asyncio.to_thread(fleet.watched.sentinel.start)


async def replace_one(fleet: ClusterFleet, random: Random) -> None:
    """A replica asks its master to hand over."""
    master, replica = random.choice(fleet.cluster.pairs())
    await asyncio.to_thread(promote, master, replica)


def promote(master: Node, replica: Node) -> None:
    def asked() -> bool:
        if role(replica) == "master":
            return True
        try:
            replica.ask("CLUSTER", "FAILOVER")
        except exceptions.ResponseError:  # its link to the master is not up yet
            return False
        return role(replica) == "master"

    until(asked, "a replica that took over")
    until(lambda: role(master) == "slave", "a master that follows")


async def kill_node(fleet: ClusterFleet, random: Random) -> None:
    """A master is away for less than it takes to be replaced."""
    master, _ = random.choice(fleet.cluster.pairs())
    master.kill()
    await asyncio.sleep(random.uniform(0, AWAY_S))
    await asyncio.to_thread(master.start)


async def kill_pair(fleet: ClusterFleet, random: Random) -> None:
    """A master and its replica: a third of the slots is served by nobody (CLUSTERDOWN)."""
    pair = random.choice(fleet.cluster.pairs())
    for each in reversed(pair):
        each.kill()
    await asyncio.sleep(random.uniform(0, 4))
    for each in pair:
        await asyncio.to_thread(each.start)
    await asyncio.to_thread(fleet.cluster.wait)


async def move_slots(fleet: ClusterFleet, random: Random) -> None:
    """Slots with keys go from one master to another, key by key (MOVED, ASK, TRYAGAIN)."""
    (source, _), (target, _) = random.sample(fleet.cluster.pairs(), 2)
    await asyncio.to_thread(move, fleet.cluster, source, target, random)
    await asyncio.to_thread(fleet.cluster.wait)


def move(cluster: Cluster, source: Node, target: Node, random: Random) -> None:
    from_id, to_id = (each.ask("CLUSTER", "MYID") for each in (source, target))
    with Redis(port=source.port, protocol=2) as here, Redis(port=target.port, protocol=2) as there:
        slots = cluster.slots_of(source)
        random.shuffle(slots)
        used = (slot for slot in slots if here.cluster("COUNTKEYSINSLOT", slot))
        for slot in itertools.islice(used, SLOTS_MOVED_MAX):
            there.cluster("SETSLOT", slot, "IMPORTING", from_id)
            here.cluster("SETSLOT", slot, "MIGRATING", to_id)
            while keys := here.cluster("GETKEYSINSLOT", slot, KEYS_AT_ONCE):
                here.migrate("127.0.0.1", target.port, keys, 0, MIGRATE_MS)
            for each in (there, here):
                each.cluster("SETSLOT", slot, "NODE", to_id)


def offset(node: Node) -> int:
    return int(node.replication()["master_repl_offset"])


def role(node: Node) -> str:
    return node.replication()["role"]


SENTINEL_FAULTS: tuple[Fault[SentinelFleet], ...] = (
    *SERVER_FAULTS,
    Fault("replace_master", replace_master, outage=True),
    Fault("kill_master", kill_master, outage=True),
    Fault("kill_sentinel", kill_sentinel),
)
CLUSTER_FAULTS: tuple[Fault[ClusterFleet], ...] = (
    *SERVER_FAULTS,
    Fault("replace_one", replace_one),
    Fault("kill_node", kill_node, outage=True),
    Fault("kill_pair", kill_pair, outage=True),
    Fault("move_slots", move_slots),
)

"""What a node must be before it is used: durable as it is asked for, never evicting, of a format
that is known.

Failures: StoreUnavailable with the reason and the remedy. What a node does not tell (Dynomite, a
provider that hides CONFIG) is passed over with a warning, unless a durability was asked for.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, cast

from redis import exceptions

from podium.store.port import StoreUnavailable

if TYPE_CHECKING:
    from podium.store.redis.clients import Info
    from podium.store.redis.durability import Durability
    from podium.store.redis.keys import Keys
    from podium.store.redis.link import Link

LOG: Final = logging.getLogger("podium.store.redis")
FORMAT: Final = 2
"""Rises when older servers could not read what is written."""
FORMAT_MIN: Final = 2
"""1 kept histories as sorted sets, which took twice the memory."""
VERSION_MIN: Final = (6, 2)
PAIRS: Final = 20
"""Keys of a pair are apart half of the time where a ring of two has no tags."""
SPAN: Final = "cannot span multiple nodes"
UNSURE: Final = {"event": "store_unsure"}


async def inspect(link: Link, keys: Keys, durability: Durability, *, volatile_allowed: bool) -> int:
    """How many nodes were taken although they are not suitable. Raises StoreUnavailable; a store
    that is fresh is marked with the format.
    """
    if not link.abilities.places_all:
        await _check_tags(link, keys)
    nodes = await _told(link)
    for node, info in nodes:
        _check_version(node, info)
    found = [(node, each) for node, info in nodes for each in _problems(info, durability)]
    if durability.level == "fsync":
        found += await _unsynced(link)
    for node, problem in found:
        if not volatile_allowed:
            raise StoreUnavailable(f"{node}: {problem}, or allow it with store.volatile")
        LOG.warning("%s", problem, extra={**UNSURE, "node": node})
    await _check_format(link, keys)
    return len({node for node, _ in found})


async def _check_tags(link: Link, keys: Keys) -> None:
    """Dynomite places keys by all their letters unless it is told otherwise. A single node of it
    shows nothing, and needs nothing.
    """
    pairs = [keys.pair(number) for number in range(PAIRS)]
    answers = await link.answers([("EVAL", "return 1", 2, *pair) for pair in pairs])
    if any(isinstance(each, exceptions.ResponseError) and SPAN in str(each) for each in answers):
        raise StoreUnavailable(
            f'{link.shown}: expected hash_tag "{{}}" on every node of Dynomite, found that keys of'
            " one tag lie on several nodes: set it in each node's file and start them anew"
        )


async def _check_format(link: Link, keys: Keys) -> None:
    await link.one(("SET", keys.format, FORMAT, "NX"))
    found = int(cast("bytes", await link.one(("GET", keys.format))))
    if found > FORMAT:
        raise StoreUnavailable(
            f"expected a store of format {FORMAT} or older, found {found}: a newer Podium made it."
            " Start that version or a newer one"
        )
    if found < FORMAT_MIN:
        raise StoreUnavailable(
            f"expected a store of format {FORMAT_MIN} or later, found {found}: a Podium before any"
            " release made it, and this one cannot read it. Use another Redis, database or prefix"
        )


async def _told(link: Link) -> list[tuple[str, Info]]:
    """INFO of each node that takes writes; of Dynomite none, since it hides them."""
    if not link.abilities.tells:
        LOG.warning("Dynomite does not tell whether its nodes persist: see to it", extra=UNSURE)
        return []
    try:
        return await link.told("INFO")
    except exceptions.ResponseError:
        LOG.warning("INFO is refused, so nobody knows whether it persists: see to it", extra=UNSURE)
        return []


def _check_version(node: str, info: Info) -> None:
    text = str(info.get("redis_version", "0"))
    found = tuple(int(each) for each in text.split(".")[:2] if each.isdigit())
    if found < VERSION_MIN:
        wanted = ".".join(str(each) for each in VERSION_MIN)
        raise StoreUnavailable(f"{node}: expected Redis {wanted} or later, found {text}")


def _problems(info: Info, durability: Durability) -> list[str]:
    problems: list[str] = []
    if not info.get("aof_enabled", 1):
        problems.append(
            "expected appendonly yes, found no: acknowledged work would be lost with the process;"
            " set it with CONFIG SET appendonly yes and in redis.conf"
        )
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        problems.append(
            f"expected maxmemory-policy noeviction, found {policy}: Redis would drop executions;"
            " set it with CONFIG SET maxmemory-policy noeviction and in redis.conf"
        )
    online = _online(info)
    if durability.level == "replica" and online < durability.replicas:
        problems.append(
            f"expected {durability.replicas} replicas online (store.replicas), found {online}:"
            " nothing would be acknowledged; start more with replicaof HOST PORT, or ask for less"
            " with store.replicas or store.durability"
        )
    return problems


def _online(info: Info) -> int:
    """Replicas that are past their first copy."""
    count = int(str(info.get("connected_slaves", 0)))
    told = [cast("Info", info.get(f"slave{number}", {})) for number in range(count)]
    return sum(each.get("state") == "online" for each in told)


async def _unsynced(link: Link) -> list[tuple[str, str]]:
    """Nodes that acknowledge before their disk has it, or that do not say."""
    remedy = (
        "set it with CONFIG SET appendfsync always and in redis.conf, or ask for less with"
        " store.durability"
    )
    try:
        nodes = await link.told("CONFIG GET", "appendfsync")
    except exceptions.ResponseError:
        nobody = "expected appendfsync always, found that CONFIG GET is refused: allow it, or"
        return [(link.shown, f"{nobody} ask for less with store.durability")]
    found = [(node, str(told.get("appendfsync", "nothing"))) for node, told in nodes]
    lost = f"acknowledged work would be lost with the machine; {remedy}"
    return [
        (node, f"expected appendfsync always, found {policy}: {lost}")
        for node, policy in found
        if policy != "always"
    ]

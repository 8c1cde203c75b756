"""Whether the user may do all that the store does: tried at the start, so that a right that lacks
is told to the operator and not to a client, in the middle of some commit.

Each command is tried once, on keys that nobody reads and that are gone afterwards; scripts have the
rights of their caller. Of a cluster every node is tried, since each has users of its own; one that
does not serve the keys says so only after it has looked at the rights.

Failures: StoreUnavailable with what lacks, and how it is granted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from redis import exceptions

from podium.store.port import StoreUnavailable

if TYPE_CHECKING:
    from podium.store.redis.address import Address
    from podium.store.redis.clients import Command
    from podium.store.redis.link import Link

TRIED: Final[dict[str, tuple[tuple[str | int, ...], ...]]] = {
    "string": (
        ("SET", ""),
        ("GET",),
        ("DEL",),
        ("INCR",),
        ("EXISTS",),
        ("PEXPIRE", 60_000),
        ("PEXPIREAT", 1),
    ),
    "hash": (
        ("HSET", "a", 1),
        ("HMSET", "a", 1),
        ("HINCRBY", "a", 1),
        ("HGET", "a"),
        ("HMGET", "a"),
        ("HGETALL",),
        ("HEXISTS", "a"),
        ("HKEYS",),
        ("HVALS",),
        ("HDEL", "a"),
    ),
    "list": (
        ("RPUSH", "a"),
        ("LLEN",),
        ("LINDEX", 0),
        ("LRANGE", 0, 0),
        ("LTRIM", 0, 0),
        ("LPOP",),
    ),
    "set": (
        ("SADD", "a"),
        ("SCARD",),
        ("SISMEMBER", "a"),
        ("SMEMBERS",),
        ("SREM", "a"),
    ),
    "sorted": (
        ("ZADD", 0, "a"),
        ("ZCARD",),
        ("ZCOUNT", 0, 0),
        ("ZSCORE", "a"),
        ("ZRANGE", 0, 0),
        ("ZREVRANGE", 0, 0),
        ("ZRANGEBYLEX", "-", "+"),
        ("ZRANGEBYSCORE", 0, 0),
        ("ZREVRANGEBYSCORE", 0, 0),
        ("ZREMRANGEBYRANK", 0, 0),
        ("ZREMRANGEBYSCORE", 0, 0),
        ("ZREM", "a"),
    ),
}
"""Kind of value → its commands, without their key."""
NAMES: Final = frozenset(
    {str(command[0]) for commands in TRIED.values() for command in commands}
    | {"PING", "TIME", "EVAL", "EVALSHA", "PUBLISH", "SUBSCRIBE"}
)
"""All that are tried; INFO and CONFIG GET are of the suitability."""
OF_CLUSTERS: Final[dict[Command, str]] = {
    ("CLUSTER SLOTS",): "+cluster|slots",
    ("COMMAND COUNT",): "+command",
}
"""Of what redis-py asks any node of a cluster when it looks for its nodes: command → right.
redis-py parts the words.
"""
UNKNOWN: Final = "0" * 40
"""The digest of no script."""


async def check_rights(link: Link, address: Address, *, waits: bool) -> None:
    """`waits` = for replicas. Raises StoreUnavailable."""
    if not link.abilities.users:
        return
    channel = f"{address.prefix}bus:"
    tried = _commands(address.prefix, channel)
    if waits:
        tried.append(("WAIT", 0, 1))
    if address.kind == "cluster":
        tried += OF_CLUSTERS
    lacks: dict[str, set[str]] = {}
    for node, answers, refused in await link.tried(tried, channel):
        found = {
            _lack(address, command, answer)
            for command, answer in zip(tried, answers, strict=True)
            if isinstance(answer, exceptions.NoPermissionError)
        }
        if refused:
            found.add(_lack(address, ("SUBSCRIBE",), refused))
        if found:
            lacks[node] = found
    if lacks:
        wanted = " ".join(sorted(set[str]().union(*lacks.values())))
        at, there = (f" at {', '.join(lacks)}", " there") if address.kind == "cluster" else ("", "")
        raise StoreUnavailable(
            f"{address.shown}: expected a user that may do all that Podium does, found that"
            f" {wanted} lacks{at}; grant it{there} with"
            f" ACL SETUSER {address.user or 'default'} {wanted}"
        )


def _commands(prefix: str, channel: str) -> list[Command]:
    keys = {kind: f"{prefix}{{srv}}try:{kind}" for kind in TRIED}
    own: list[Command] = [
        (name, keys[kind], *arguments)
        for kind, commands in TRIED.items()
        for name, *arguments in commands
    ]
    first: list[Command] = [
        ("TIME",),
        ("EVAL", "return 1", 1, keys["string"]),
        ("EVALSHA", UNKNOWN, 1, keys["string"]),
    ]
    ends: list[Command] = [("DEL", each) for each in keys.values()]
    return [*first, *own, ("PUBLISH", channel, ""), *ends]


def _lack(address: Address, command: Command, error: exceptions.NoPermissionError) -> str:
    """As ACL SETUSER would grant it."""
    words = str(error)
    if " channel" in words:
        return f"&{address.prefix}*"
    if " key" in words:
        return f"~{address.prefix}*"
    return OF_CLUSTERS.get(command, f"+{str(command[0]).lower()}")

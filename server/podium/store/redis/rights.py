"""Whether the user may do all that the store does: tried at the start, so that a right that lacks
is told to the operator and not to a client, in the middle of some commit.

Each command is tried once, on keys that nobody reads and that are gone afterwards; scripts have the
rights of their caller. Of a cluster one node is tried.

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
UNKNOWN: Final = "0" * 40
"""The digest of no script."""
TELLS_TIME: Final = "return redis.pcall('TIME').err and 0 or 1"
"""By script: redis-py sends TIME to all nodes of a cluster, which its pipelines cannot."""


async def check_rights(link: Link, address: Address, *, waits: bool) -> None:
    """`waits` = for replicas. Raises StoreUnavailable."""
    if address.kind == "dynomite":  # it has no users
        return
    channel = f"{address.prefix}bus:"
    tried = _commands(address.prefix, channel)
    if waits and address.kind != "cluster":  # whose pipelines take no WAIT without a node
        tried.append(("WAIT", 0, 1))
    answers = await link.tried(tried)
    lacks = {
        _lack(address, str(command[0]), answer)
        for command, answer in zip(tried, answers, strict=True)
        if isinstance(answer, exceptions.NoPermissionError)
    }
    if 0 in [
        answer for command, answer in zip(tried, answers, strict=True) if TELLS_TIME in command
    ]:
        lacks.add("+time")
    if refused := await link.deaf(channel):
        lacks.add(_lack(address, "SUBSCRIBE", refused))
    if lacks:
        wanted = " ".join(sorted(lacks))
        raise StoreUnavailable(
            f"{address.shown}: expected a user that may do all that Podium does, found that"
            f" {wanted} lacks; grant it with ACL SETUSER {address.user or 'default'} {wanted}"
        )


def _commands(prefix: str, channel: str) -> list[Command]:
    """TELLS_TIME is the first."""
    keys = {kind: f"{prefix}{{srv}}try:{kind}" for kind in TRIED}
    own: list[Command] = [
        (name, keys[kind], *arguments)
        for kind, commands in TRIED.items()
        for name, *arguments in commands
    ]
    scripts: list[Command] = [
        ("EVAL", TELLS_TIME, 1, keys["string"]),
        ("EVALSHA", UNKNOWN, 1, keys["string"]),
    ]
    ends: list[Command] = [("DEL", each) for each in keys.values()]
    return [*scripts, *own, ("PUBLISH", channel, ""), *ends]


def _lack(address: Address, name: str, error: exceptions.NoPermissionError) -> str:
    """As ACL SETUSER would grant it."""
    words = str(error)
    if " channel" in words:
        return f"&{address.prefix}*"
    if " key" in words:
        return f"~{address.prefix}*"
    return f"+{name.lower()}"

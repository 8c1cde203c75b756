"""Which commands Dynomite takes, in which forms: contract/dynomite.md §2 as a table.

What is not in it is closed: the connection ends, and nothing is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Arguments: TypeAlias = "Sequence[bytes]"
Form: TypeAlias = "Callable[[Arguments], bool]"
"""Whether arguments, without the command's name, are of a form that it takes."""

KEY_BYTES_MAX: Final = 16_379
"""One more, and the connection is reset."""
SPLIT_BYTES_MAX: Final = 16 * 1024
"""Of a whole MSET, and of a whole answer to MGET."""
PING, QUIT = "PING", "QUIT"
SPLIT: Final = frozenset({"DEL", "EXISTS", "MGET", "MSET"})
"""Cut up by key, each part sent to its node."""
SCRIPTS: Final = frozenset({"EVAL", "EVALSHA"})
OWN: Final = frozenset({"SCAN", "KEYS", "INFO", "CONFIG"})
"""Answered by the redis of the node that is asked; they have no key."""
EVERYWHERE: Final = "SCRIPT"


def _any(_arguments: Arguments) -> bool:
    return True


def _exactly(*counts: int) -> Form:
    return lambda arguments: len(arguments) in counts


def _with_keys(arguments: Arguments) -> bool:
    """EVAL and EVALSHA: at least one key."""
    return len(arguments) >= 3 and arguments[1].isdigit() and int(arguments[1]) >= 1


def _script(arguments: Arguments) -> bool:
    known = {b"LOAD": 2, b"EXISTS": 2, b"FLUSH": 1, b"KILL": 1}
    return bool(arguments) and known.get(arguments[0].upper()) == len(arguments)


def _config(arguments: Arguments) -> bool:
    return len(arguments) == 2 and arguments[0].upper() == b"GET"


def _tiny(arguments: Arguments) -> bool:
    return sum(map(len, arguments)) <= SPLIT_BYTES_MAX


PLAIN: Final = """
SET GET GETSET SETNX SETEX PSETEX APPEND STRLEN GETRANGE SETRANGE INCR DECR INCRBY DECRBY
INCRBYFLOAT SETBIT GETBIT BITCOUNT DEL EXISTS PERSIST TTL PTTL TYPE DUMP
HSETNX HMSET HGET HMGET HDEL HINCRBY HINCRBYFLOAT HLEN HEXISTS HGETALL HKEYS HVALS HSCAN
SADD SREM SMEMBERS SISMEMBER SCARD SPOP SMOVE SINTER SUNION SDIFF SINTERSTORE SUNIONSTORE
SDIFFSTORE SSCAN
ZADD ZREM ZCARD ZCOUNT ZSCORE ZRANK ZREVRANK ZINCRBY ZRANGE ZREVRANGE ZRANGEBYSCORE
ZREVRANGEBYSCORE ZRANGEBYLEX ZREVRANGEBYLEX ZLEXCOUNT ZREMRANGEBYRANK ZREMRANGEBYSCORE
ZREMRANGEBYLEX ZUNIONSTORE ZINTERSTORE ZSCAN
LPUSH RPUSH LPUSHX RPUSHX LLEN LRANGE LINDEX LINSERT LREM LSET LTRIM RPOPLPUSH SORT
SCAN KEYS INFO
"""
"""Taken in every form that Redis takes."""
FORMS: Final[dict[str, Form]] = {
    **dict.fromkeys(PLAIN.split(), _any),
    **dict.fromkeys(("EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"), _exactly(2)),
    **dict.fromkeys(SCRIPTS, _with_keys),
    "MGET": _any,
    "MSET": _tiny,
    "HSET": _exactly(3),
    **dict.fromkeys(("SRANDMEMBER", "LPOP", "RPOP"), _exactly(1)),
    "SCRIPT": _script,
    "CONFIG": _config,
    PING: _exactly(0),
    QUIT: _exactly(0),
}


def keys_of(name: str, arguments: Arguments) -> Arguments:
    """Those that Dynomite looks at: of most commands the first."""
    if name in SCRIPTS:
        return arguments[2 : 2 + int(arguments[1])]
    if name in OWN or name in {EVERYWHERE, PING, QUIT}:
        return ()
    if name == "MSET":
        return arguments[::2]
    return arguments if name in SPLIT else arguments[:1]


def takes(name: str, arguments: Arguments) -> bool:
    """Whether the parser lets it pass, but for the number of arguments, which Redis knows."""
    form = FORMS.get(name)
    return form is not None and form(arguments) and all(keys_of(name, arguments))

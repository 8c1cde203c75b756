"""Answers of Redis as they travel, and what Dynomite makes of several or of nested ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import StreamReader
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Reply:
    """`raw`: all of it. `items`: those of an array, None of anything else."""

    raw: bytes
    items: tuple[Reply, ...] | None = None

    @property
    def is_error(self) -> bool:
        return self.raw.startswith(b"-")


OK = Reply(b"+OK\r\n")
PONG = Reply(b"+PONG\r\n")
SPAN = Reply(b"-ERR Dynomite: Keys in the script cannot span multiple nodes\r\n")
DOWN = Reply(b"-ERR Storage: Datastore refused connection\r\n")


async def read_reply(reader: StreamReader) -> Reply:
    """The next one of a connection."""
    line = await reader.readuntil(b"\r\n")
    if line[:1] == b"$" and line[:3] != b"$-1":
        return Reply(line + await reader.readexactly(int(line[1:]) + 2))
    if line[:1] == b"*" and line[:3] != b"*-1":
        return array(tuple([await read_reply(reader) for _ in range(int(line[1:]))]))
    return Reply(line)


def array(items: Sequence[Reply]) -> Reply:
    return Reply(b"*%d\r\n" % len(items) + b"".join(each.raw for each in items), tuple(items))


def command(words: Sequence[bytes]) -> bytes:
    """As it is sent to a node."""
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%b\r\n" % (len(each), each) for each in words]
    return b"".join(parts)


def merged(name: str, replies: Sequence[Reply], order: Sequence[Sequence[int]]) -> Reply:
    """Of the parts of one command; `order` = the places of each part's keys."""
    if name in {"DEL", "EXISTS"}:
        return Reply(b":%d\r\n" % sum(int(each.raw[1:]) for each in replies))
    if name != "MGET":
        return replies[0]
    placed: dict[int, Reply] = {}
    for reply, places in zip(replies, order, strict=True):
        placed.update(zip(places, reply.items or (), strict=True))
    return array([placed[place] for place in sorted(placed)])


def cut_short(reply: Reply) -> tuple[bytes, bytes]:
    """What arrives of a script's answer, and the tail that goes to whoever asks next: all that is
    behind an array which is not the last item.
    """
    at = len(b"*%d\r\n" % len(reply.items or ()))
    for item in (reply.items or ())[:-1]:
        at += len(item.raw)
        if item.items is not None:
            return reply.raw[:at], reply.raw[at:]
    return reply.raw, b""

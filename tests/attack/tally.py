"""What an attack did, and how it goes on when it is sent away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tests.attack.wire import Connection, Gone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PAUSE_S: Final = 0.05
BURST: Final = 100
"""Frames or the like between two looks at the connection."""


class Tally:
    """`acts`: what was done; `sent_away`: connections that the server closed."""

    def __init__(self) -> None:
        self.acts = 0
        self.connections = 0
        self.sent_away = 0


async def again(
    address: str,
    tally: Tally,
    act: Callable[[Connection], Awaitable[None]],
    *,
    settings: dict[int, int] | None = None,
) -> None:
    """`act` on a connection, and on a new one when that is gone or `act` has done with it."""
    while True:
        try:
            connection = await Connection.open(address, settings=settings)
        except (OSError, TimeoutError):
            await asyncio.sleep(PAUSE_S)
            continue
        tally.connections += 1
        try:
            await act(connection)
        except Gone:
            tally.sent_away += 1
            await asyncio.sleep(0)
        finally:
            connection.close()

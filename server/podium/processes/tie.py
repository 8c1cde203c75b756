"""A process's side of the tie to its supervisor: lines of JSON on stdout and stdin.

It tells how many worker streams it has, and is told how many to send away. When the supervisor is
gone, stdin ends, and the process ends in good order: nobody would restart or stop it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium.runtime.clock import Clock

TELL_MS: Final = 1_000
"""How often the number of streams is looked at; told when it is another."""


class Told(msgspec.Struct, frozen=True):
    """A line of the supervisor."""

    away: int
    """So many streams are beyond this process's share."""


class Tie:
    """`streams` counts them, `send_away` takes a number of them, `over` is set at the end."""

    def __init__(
        self,
        *,
        clock: Clock,
        streams: Callable[[], int],
        send_away: Callable[[int], object],
        over: asyncio.Event,
    ) -> None:
        self._clock = clock
        self._streams = streams
        self._send_away = send_away
        self._over = over

    async def hold(self) -> None:
        """Until `over`."""
        async with asyncio.TaskGroup() as group:
            sides = (group.create_task(self._listen()), group.create_task(self._tell()))
            await self._over.wait()
            for each in sides:
                each.cancel()

    async def _listen(self) -> None:
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        async for line in reader:
            self._send_away(msgspec.json.decode(line, type=Told).away)
        self._over.set()

    async def _tell(self) -> None:
        told = 0
        while True:
            await self._clock.sleep(TELL_MS)
            found = self._streams()
            if found != told:
                announce(event="streams", streams=found)
                told = found


def announce(**event: object) -> None:
    """One line of JSON for whoever started this, at once."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()

"""The bus: one channel per server. It may lose anything, and keeps nothing.

A cluster carries a plain message to all its nodes, so any node will do for both sides. Where there
are no channels (Dynomite) each server has a list, at which it looks often while something comes.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, cast

from podium.store.port import StoreError
from podium.store.redis.link import NO_ANSWER, unavailable
from podium.store.redis.linked import Linked
from podium.store.redis.scripts import POST, TAKE

if TYPE_CHECKING:
    from podium.store.port import Deliver
    from podium.store.redis.clients import Message
    from podium.store.redis.keys import Keys
    from podium.store.redis.link import Link

LOG = logging.getLogger("podium.store.redis")
AGAIN_S: Final = 0.2
LOOK_S: Final = 5.0
"""How long one wait for a message lasts before the connection is looked at."""
MAIL_LOOK_S_MIN: Final = 0.005
MAIL_LOOK_S_MAX: Final = 0.25
"""Between looks at a list: the least after a message, twice as long after each look in vain."""
MAIL_MS: Final = 30_000
"""Nobody looks for so long but a server that is gone."""
MAIL_MAX: Final = 4_096
MAIL_PART: Final = 256


class Bus(Linked):
    """Part of the Redis store; see store/port.py."""

    def __init__(self, link: Link, keys: Keys) -> None:
        super().__init__(link, keys)
        self._deliver: dict[bytes, Deliver] = {}
        self._listening: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._away = False
        """It was told that nothing is heard."""
        self._ready = asyncio.Event()
        self._ready.set()

    def subscribe(self, server: str, deliver: Deliver | None) -> None:
        channel = self._address_of(server).encode()
        if deliver is None:
            self._deliver.pop(channel, None)
        else:
            self._deliver[channel] = deliver
            self._ready.clear()
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None
        if self._deliver:
            listening = asyncio.get_running_loop().create_task(self._listen())
            self._tasks.add(listening)
            listening.add_done_callback(self._tasks.discard)
            self._listening = listening
        else:
            self._ready.set()

    def _address_of(self, server: str) -> str:
        channels = self._link.abilities.channels
        return self._keys.channel(server) if channels else self._keys.mail(server)

    async def publish(self, server: str, message: bytes) -> None:
        """Own subscriptions that are under way are waited for, at most for a moment."""
        if not self._link.abilities.channels:
            keys = [self._address_of(server)]
            call = self._link.call(POST, keys, message, MAIL_MAX, MAIL_MS)
            await self._link.one(call)
            return
        try:
            await asyncio.wait_for(self._ready.wait(), AGAIN_S)
        except TimeoutError:
            LOG.debug("a message is sent before the subscription", extra={"event": "bus_early"})
        await self._link.one(("PUBLISH", self._keys.channel(server), message))

    async def stop(self) -> None:
        self._deliver.clear()
        self._listening = None
        for each in self._tasks:
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self) -> None:
        listen = self._hear if self._link.abilities.channels else self._look
        while True:
            try:
                await listen()
            except (*NO_ANSWER, StoreError) as error:
                if not self._away:
                    words = unavailable(error)
                    LOG.warning("the bus is away: %s", words, extra={"event": "bus_away"})
                self._away = True
            await asyncio.sleep(AGAIN_S)  # noqa: TID251 - the network's own time

    async def _look(self) -> None:
        self._ready.set()
        delay_s = MAIL_LOOK_S_MIN
        while True:
            calls = [self._link.call(TAKE, [each.decode()], MAIL_PART) for each in self._deliver]
            mail = list(self._deliver.values())
            answers = cast("list[list[bytes]]", await self._link.send(calls))
            for deliver, messages in zip(mail, answers, strict=True):
                for message in messages:
                    deliver(message)
            self._away = False
            delay_s = MAIL_LOOK_S_MIN if any(answers) else min(2 * delay_s, MAIL_LOOK_S_MAX)
            await asyncio.sleep(delay_s)  # noqa: TID251 - the network's own time

    async def _hear(self) -> None:
        client = self._link.node_client()
        if client is None:
            return
        heard = client.pubsub()
        try:
            await heard.subscribe(*self._deliver)
            missing = set(self._deliver)
            while True:
                message = await heard.get_message(timeout=LOOK_S)
                if message is not None:
                    self._take(message, missing)
        finally:
            await heard.aclose()
            if client is not self._link.client:
                await client.aclose()

    def _take(self, message: Message, missing: set[bytes]) -> None:
        """`missing` = channels of which it is not confirmed that they are heard."""
        if message["type"] == "subscribe":
            missing.discard(message["channel"])
            if not missing:
                self._away = False
                self._ready.set()
        elif message["type"] == "message":
            deliver = self._deliver.get(message["channel"])
            if deliver is not None:
                deliver(message["data"])

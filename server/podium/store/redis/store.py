"""The Redis store: the port's verbs, each one script or one command (distribution.md §2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.store.port import Capabilities, StoreUnavailable, Unreplicated
from podium.store.redis.bus import Bus
from podium.store.redis.changes import Changes
from podium.store.redis.durability import LOCAL
from podium.store.redis.entries import Entries
from podium.store.redis.executions import Executions
from podium.store.redis.keys import Keys
from podium.store.redis.link import Link
from podium.store.redis.registry import Definitions
from podium.store.redis.rights import check_rights
from podium.store.redis.suitability import inspect
from podium.store.redis.view import View

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium.store.redis.address import Address
    from podium.store.redis.durability import Durability


class RedisStore(Executions, Changes, Entries, View, Definitions, Bus):
    """See store/port.py."""

    def __init__(
        self,
        address: Address,
        now_ms: Callable[[], int],
        *,
        durability: Durability = LOCAL,
        volatile_allowed: bool = False,
        notes: bool = True,
    ) -> None:
        """`notes` = changes are noted for an index; without one they would only gather."""
        self._address = address
        self.link, self.keys = Link(address, durability), Keys(address.prefix)
        super().__init__(self.link, self.keys)
        self._marks = "1" if notes else "0"
        self._now_ms = now_ms
        self._durability = durability
        self._volatile_allowed = volatile_allowed
        self._unsuitable_nodes = 0

    @property
    def capabilities(self) -> Capabilities:
        replicated = self._durability.level == "replica"
        return Capabilities(shared=True, durable=True, replicated=replicated)

    @property
    def syncs(self) -> int:
        return 0

    @property
    def unsuitable_nodes(self) -> int:
        return self._unsuitable_nodes

    async def open(self) -> None:
        await self.link.open()
        try:
            waits = self._durability.level == "replica"
            await check_rights(self.link, self._address, waits=waits)
            self._unsuitable_nodes = await inspect(
                self.link, self._keys, self._durability, volatile_allowed=self._volatile_allowed
            )
            self._life = await self._begin()
        except StoreUnavailable:
            await self.link.close()
            raise

    async def _begin(self) -> str:
        """The first write, by which replicas show that they keep up."""
        try:
            life = await self.link.one(("INCR", self.keys.lives), kept=not self._volatile_allowed)
        except Unreplicated as problem:
            raise StoreUnavailable(
                f"{self.link.shown}: {problem}: see to replicas that are stalled, raise"
                " store.replica_ms, or allow it with store.volatile"
            ) from None
        return str(life)

    def now(self) -> str | int:
        """Dynomite's scripts must not ask for the time, and it hides its nodes' clocks."""
        return "" if self.link.abilities.clock else self._now_ms()

    async def close(self) -> None:
        await self.stop()
        await self.link.close()

"""What every part of the store has: the connections and the names of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podium.store.redis.keys import Keys
    from podium.store.redis.link import Link


class Linked:
    """Base of the parts; the store is all of them."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self._marks = "1"
        """Whether changes are noted for the index."""

    def now(self) -> str | int:
        """The time for scripts: "" = the store's own, else that of a server (Dynomite has none)."""
        return ""

"""Leases that this server stored for workers of other servers, and servers that are gone.

A queue may still hold the wish of a server that died or left, or get it late: what is granted to it
would be lost by nobody, since nobody looks at the leases of a server that is forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.protocol.frame import LeaseName

if TYPE_CHECKING:
    from podium.store.port import Heartbeat

DEAD_MS: Final = 3_000
"""A member without a heartbeat for so long is dead; one that was heard of lately is not forgotten
without a look at its leases.
"""


class Away:
    """Asked by the dispatcher, told by members.py."""

    def __init__(self) -> None:
        self.dead: frozenset[str] = frozenset()
        """On the list of members, and silent."""
        self._forgotten: set[str] = set()
        self._granted: dict[LeaseName, str] = {}

    def is_gone(self, server: str) -> bool:
        """Its wishes are nobody's."""
        return server in self.dead or server in self._forgotten

    @property
    def in_doubt(self) -> bool:
        """Whether a lease is stored for a server that was not seen alive since."""
        return bool(self._granted)

    def granted(self, task_id: str, lease_epoch: int, server: str) -> None:
        self._granted[LeaseName(task_id, lease_epoch)] = server

    def nobodys(self, beat: Heartbeat) -> list[LeaseName]:
        """Those whose server was forgotten; of one that was seen alive since, no more is to do."""
        self._forgotten -= beat.members.keys()
        found: list[LeaseName] = []
        for lease, server in list(self._granted.items()):
            seen_ms = beat.members.get(server)
            if seen_ms is None:
                self._forgotten.add(server)
                found.append(lease)
            if seen_ms is None or beat.now_ms - seen_ms < DEAD_MS:
                del self._granted[lease]
        return found

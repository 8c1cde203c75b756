"""What differs between the kinds of servers, as flags: nothing is tried and then done otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from podium.store.redis.address import Kind


class Abilities(msgspec.Struct, frozen=True):
    """What of it may be used."""

    digests: bool = True
    """Scripts by EVALSHA: the place of their keys is checked, and a node says what it lacks."""
    channels: bool = True
    """Messages by PUBLISH and SUBSCRIBE."""
    clock: bool = True
    """Scripts may ask for the time: one node runs them, and the others get what came of it."""
    users: bool = True
    """With rights of their own."""
    tells: bool = True
    """Each node tells how it is set up (INFO, CONFIG GET)."""
    places_all: bool = True
    """Keys of one tag share a node however it is set up."""


REDIS: Final = Abilities()
DYNOMITE: Final = Abilities(
    digests=False, channels=False, clock=False, users=False, tells=False, places_all=False
)
ABILITIES: Final[dict[Kind, Abilities]] = {
    "redis": REDIS,
    "sentinel": REDIS,
    "cluster": REDIS,
    "dynomite": DYNOMITE,
}

"""`[store]` of config.py: which store, and what an acknowledgement waits for."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from podium.config_protection import Count

WAIT_MS_MAX: Final = 4_000
"""Less than a node may be silent before it counts as gone (store/redis/link.py)."""


class Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[store]`. `url`: memory://, sqlite:///relative/path, sqlite:////absolute/path, or one of
    store/redis/address.py.
    """

    url: str = ""
    volatile: bool = False
    """Take a Redis that loses acknowledged work when it ends, or evicts it."""
    durability: Literal["local", "fsync", "replica"] = "local"
    """Of Redis: what has acknowledged work, see store/redis/durability.py."""
    replicas: Count = 1
    """With `replica`: so many replicas of a node have it, too ..."""
    replica_ms: Annotated[int, msgspec.Meta(ge=1, le=WAIT_MS_MAX)] = 1_000
    """... within this time, else the call ends and its outcome is unknown."""

"""The settings of retention: what becomes of executions that ended; config.py reads them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from podium.config_protection import Count

Seconds = Annotated[int, msgspec.Meta(ge=0)]


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[retention]` (docs/operations.md). Seconds count from an execution's end; 0 = for ever."""

    closed_seconds: Seconds = 0
    """An execution that ended is removed so long after."""
    archive: bool = False
    """Keep an archived copy of it, which can be read by its id."""
    archived_seconds: Seconds = 0
    """Archived copies, whoever made them, are removed so long after."""
    folder: str = ""
    """Where it is written as a line of JSON before it is removed; "" = nowhere."""
    removals_per_second: Count = 100
    """Of one server."""

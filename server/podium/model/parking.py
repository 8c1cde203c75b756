"""An execution that was set aside: stored under its id, apart from its own records."""

from __future__ import annotations

import msgspec


class ParkedRecord(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Why, since when (epoch ms), and where in Podium its last decision raised."""

    workflow_id: str
    parked_ms: int
    command: str
    error_type: str
    place: str

"""Which processes have clearly more than their share of the worker streams, and how many to move.

The kernel spreads connections by a hash, which is uneven for few of them, and gives none to a
process that came back. A stream that is sent away comes back over a new connection, anywhere: also
where it was. So what is moved in one round is the excess, and the next round looks again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MORE: Final = 1.2
"""Times its share is clear; a hash is never more even than that for long."""
ONE_IS_NO_EXCESS: Final = 0.5
"""A stream cannot be shared: beside that part of one nothing is even."""
ROUND_MAX: Final = 100
"""Streams that one process sends away at once: each of them costs a connection."""


def excess(streams: Sequence[int]) -> list[int]:
    """For each process how many of its streams to send away now."""
    share = sum(streams) / max(len(streams), 1)
    limit = share * MORE + ONE_IS_NO_EXCESS
    return [min(int(count - share), ROUND_MAX) if count > limit else 0 for count in streams]

"""What is counted: plain integers, in the hands of whoever does the work that they count.

Nothing here knows how they are shown (telemetry/). To add to a histogram costs a quarter of a
microsecond, so everything may be measured everywhere. Names come from users: how many are told
apart is bounded.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

OTHER: Final = "other"
"""Stands for all names beyond the first ones."""
NAMES_MAX: Final = 100

WAIT_MS_BOUNDS: Final = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000),
    *(30_000, 60_000, 300_000, 1_800_000, 7_200_000),
)
"""Of what may take a millisecond or hours."""
CALL_US_BOUNDS: Final = (
    *(250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000),
    *(125_000, 250_000, 500_000, 1_000_000, 5_000_000),
)
"""Of what takes milliseconds."""
SIZE_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Histogram:
    """How many values are at most each bound, and their sum; `counts` ends with those above."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[int, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0

    def add(self, value: int) -> None:
        """A negative value counts as 0: it comes of two clocks, or of a task that ended unready."""
        self.counts[bisect_left(self.bounds, value)] += 1
        if value > 0:
            self.total += value


class Named(Generic[T]):
    """A T per name, made when it is met first; from `names_max` names on OTHER has the rest."""

    __slots__ = ("_each", "_make", "_names_max")

    def __init__(self, make: Callable[[], T], names_max: int = NAMES_MAX) -> None:
        self._each: dict[str, T] = {}
        self._make = make
        self._names_max = names_max

    def of(self, name: str) -> T:
        found = self._each.get(name)
        if found is not None:
            return found
        if len(self._each) >= self._names_max:
            name = OTHER
        return self._each.setdefault(name, self._make())

    def __iter__(self) -> Iterator[tuple[str, T]]:
        return iter(self._each.items())

    def __len__(self) -> int:
        return len(self._each)


class Tally:
    """Events by kind. The kinds are the code's own, so they need no bound."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def add(self, kind: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1

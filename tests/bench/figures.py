"""Figures and their verdicts: what was measured, its bar, and the line that says so.

A figure that has no bar is a reference, printed and never judged. Knows nothing of how a figure
came about.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median

NAME_WIDTH = 46
VALUE_WIDTH = 10
UNIT_WIDTH = 12


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure must reach (`at_least`) or stay under."""

    limit: float
    at_least: bool

    def admits(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` is the judged one; `low` and `high` are the extremes of its `times` rounds."""

    name: str
    unit: str
    value: float
    low: float
    high: float
    times: int
    bar: Bar | None = None

    @property
    def met(self) -> bool:
        """True as well where there is no bar."""
        return self.bar is None or self.bar.admits(self.value)

    def line(self, cores: int) -> str:
        """Figure, bar, verdict, how often and on how many cores measured."""
        judged = "reference" if self.bar is None else f"bar {self.bar}"
        verdict = "" if self.bar is None else "met" if self.met else "MISSED"
        return (
            f"{self.name:<{NAME_WIDTH}}{self.value:>{VALUE_WIDTH}.4g} {self.unit:<{UNIT_WIDTH}}"
            f"{judged:<12}{verdict:<8}"
            f"median of {self.times} ({self.low:.4g} to {self.high:.4g}), {cores} cores"
        )


def figure(name: str, unit: str, rounds: Sequence[float], bar: Bar | None = None) -> Figure:
    """The median of the rounds."""
    return Figure(name, unit, median(rounds), min(rounds), max(rounds), len(rounds), bar)


def ratio(
    name: str, podium: Sequence[float], floor: Sequence[float], bar: Bar, unit: str = "x floor"
) -> Figure:
    """The ratio of the medians; the extremes are those of the single rounds' ratios.

    Round n of one was measured beside round n of the other.
    """
    each = [ours / theirs for ours, theirs in zip(podium, floor, strict=True)]
    value = median(podium) / median(floor)
    return Figure(name, unit, value, min(each), max(each), len(each), bar)


def percentile(samples: Sequence[float], percent: int) -> float:
    """The smallest sample that at least `percent` of all do not exceed."""
    assert samples, "a percentile needs samples"
    assert 0 < percent <= 100
    return sorted(samples)[ceil(len(samples) * percent / 100) - 1]

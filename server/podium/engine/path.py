"""Plain paths: the part of JSONPath that Podium reads, and nothing that costs more than one pass.

Names, quoted names, indexes (negative too), at most one `[*]` or `..name`, and at the end several
names at once and one of the functions below (S-501 to S-506). Everything here is iterative and
linear in the text and in the value. It knows nothing of workflows; what the first name means is
decided in scope.py. What is no plain path may be a search (search.py).
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from podium.model.payload import JsonValue

STEPS_LIMIT: Final = 64
PATH_CHARS_LIMIT: Final = 4096

FunctionName = Literal["length", "min", "max", "sum", "avg", "stddev", "keys"]


class Wild(msgspec.Struct, frozen=True):
    """`[*]`: every element of a list, every value of a map."""


class Scan(msgspec.Struct, frozen=True):
    """`..name`: the value under `name` in every map below, outer maps first."""

    name: str


class Pick(msgspec.Struct, frozen=True):
    """`['a','b']`: the map of those of the names that are there; only a function follows it."""

    names: tuple[str, ...]


class Call(msgspec.Struct, frozen=True):
    """`length()` and its like; always the last step."""

    function: FunctionName


Step: TypeAlias = str | int | Wild | Scan | Pick | Call


class Path(msgspec.Struct, frozen=True):
    """A parsed path. `definite` = one value or null; otherwise the result is a list (S-503)."""

    root: str
    steps: tuple[Step, ...]
    definite: bool


NAME: Final = r"[^\s.\[\]()'\"*]++"
QUOTED: Final = r"""(?:'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")"""
FUNCTION: Final = "|".join(get_args(FunctionName))
STEP_PATTERN: Final = re.compile(
    rf"""
      \.\.(?P<scan>{NAME})(?!\()
    | \.(?P<call>{FUNCTION})\(\s*+\)
    | \.(?P<name>{NAME})(?!\()
    | \.?\[\s*+(?P<index>-?[0-9]{{1,9}})\s*+\]
    | \.?\[\s*+(?P<quoted>{QUOTED})\s*+\]
    | \.?\[\s*+(?P<pick>{QUOTED}(?:\s*+,\s*+{QUOTED})++)\s*+\]
    | (?P<wild>\.?\[\s*+\*\s*+\]|\.\*)
    """,
    re.VERBOSE | re.DOTALL,
)
QUOTED_PATTERN: Final = re.compile(QUOTED, re.DOTALL)
ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def parse_path(text: str) -> Path | None:
    """The path that `text` spells, or None when it is not a plain path (it then reads as null).

    A leading `$.` may be there or not; surrounding spaces do not count.
    """
    return known_path(text) if len(text) <= PATH_CHARS_LIMIT else None


@lru_cache(maxsize=8192)
def known_path(text: str) -> Path | None:
    """`parse_path` of a text of usual length, remembered."""
    stripped = text.strip()
    steps = split_steps(stripped[1:] if stripped.startswith("$") else f".{stripped}")
    root, rest = (steps[0], steps[1:]) if steps else (None, [])
    if not isinstance(root, str):
        return None
    wide = sum(isinstance(step, Wild | Scan) for step in rest)
    if wide > 1 or not sound_end(rest):
        return None
    return Path(root, tuple(rest), definite=wide == 0)


def sound_end(steps: Sequence[Step]) -> bool:
    """Nothing follows a function, and nothing else a choice of names."""
    ends = bool(steps) and isinstance(steps[-1], Call)
    body = steps[:-1] if ends else steps
    misplaced = any(isinstance(step, Pick) for step in body[:-1])
    return not misplaced and not any(isinstance(step, Call) for step in body)


def split_steps(text: str) -> list[Step] | None:
    """The steps of `text`, root included; None at the first thing that is no step, or too many."""
    steps: list[Step] = []
    place = 0
    while place < len(text):
        match = STEP_PATTERN.match(text, place)
        if match is None or len(steps) == STEPS_LIMIT:
            return None
        steps.append(step_of(match))
        place = match.end()
    return steps


def step_of(match: re.Match[str]) -> Step:
    """One matched step as a value."""
    kind, found = match.lastgroup, match[match.lastindex or 0]
    if kind == "index":
        return int(found)
    if kind == "wild":
        return Wild()
    if kind == "scan":
        return Scan(found)
    if kind == "quoted":
        return unquoted(found)
    if kind == "pick":
        return Pick(names_in(found))
    if kind == "call":
        return Call(msgspec.convert(found, FunctionName))
    return found


def unquoted(text: str) -> str:
    """The name that a quoted one spells."""
    return ESCAPED.sub(r"\1", text[1:-1])


def names_in(text: str) -> tuple[str, ...]:
    """The names of a list of quoted ones, each once."""
    return tuple(dict.fromkeys(unquoted(each) for each in QUOTED_PATTERN.findall(text)))


def walk(value: JsonValue, steps: tuple[Step, ...]) -> JsonValue:
    """Follow the steps of a definite path. Whatever is not there is null (S-504)."""
    for step in steps:
        if isinstance(step, str):
            if not isinstance(value, dict):
                return None
            value = value.get(step)
        elif isinstance(step, int):
            if not isinstance(value, list) or not -len(value) <= step < len(value):
                return None
            value = value[step]
        elif isinstance(step, Call):
            value = apply(step, value)
        else:
            value = picked(value, step) if isinstance(step, Pick) else None
    return value


def walk_wide(value: JsonValue, steps: tuple[Step, ...]) -> JsonValue:
    """Follow the steps of an indefinite path: the list of all that is there, [] when nothing is.

    A function at its end takes that list.
    """
    return walk_all([value], steps)


def walk_all(values: list[JsonValue], steps: tuple[Step, ...]) -> JsonValue:
    """`walk_wide` from several values at once."""
    for step in steps:
        if isinstance(step, Call):
            return apply(step, values)
        values = spread(values, step)
    return values


def spread(values: list[JsonValue], step: str | int | Wild | Scan | Pick) -> list[JsonValue]:
    """One step from each of several values; those that lack it drop out."""
    if isinstance(step, str):
        return [each[step] for each in values if isinstance(each, dict) and step in each]
    if isinstance(step, int):
        return [
            each[step]
            for each in values
            if isinstance(each, list) and -len(each) <= step < len(each)
        ]
    if isinstance(step, Wild):
        return [child for each in values for child in children(each)]
    if isinstance(step, Pick):
        return [picked(each, step) for each in values if isinstance(each, dict)]
    return [found for each in values for found in scan(each, step.name)]


def picked(value: JsonValue, pick: Pick) -> JsonValue:
    """The entries of a map that are named; null where there is no map."""
    if not isinstance(value, dict):
        return None
    return {name: value[name] for name in pick.names if name in value}


def children(value: JsonValue) -> list[JsonValue]:
    """The values directly inside a map or list."""
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def scan(value: JsonValue, name: str) -> list[JsonValue]:
    """Values under `name` in `value` and everything below, in document order, outer map first."""
    found: list[JsonValue] = []
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict) and name in each:
            found.append(each[name])
        waiting.extend(reversed(children(each)))
    return found


def apply(call: Call, value: JsonValue) -> JsonValue:
    """A function's result; null where it has none. All but lengths and keys are doubles."""
    if call.function == "length":
        return len(value) if isinstance(value, list | dict) else None
    if call.function == "keys":
        return list(value) if isinstance(value, dict) else None
    return number_of(call.function, value)


def number_of(function: FunctionName, value: JsonValue) -> float | None:
    """What a function makes of the numbers in a list."""
    numbers = [
        float(each)
        for each in children(value)
        if isinstance(each, int | float) and not isinstance(each, bool)
    ]
    if not numbers or not isinstance(value, list):
        return None
    result = MEASURES[function](numbers)
    return result if math.isfinite(result) else None


def mean(numbers: list[float]) -> float:
    """Their mean."""
    return sum(numbers) / len(numbers)


def deviation(numbers: list[float]) -> float:
    """Their standard deviation, of all there are and not of a sample."""
    middle = mean(numbers)
    return math.sqrt(mean([(each - middle) * (each - middle) for each in numbers]))


MEASURES: Final[dict[str, Callable[[list[float]], float]]] = {
    "sum": sum,
    "avg": mean,
    "stddev": deviation,
    "min": min,
    "max": max,
}

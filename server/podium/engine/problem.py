"""What can be wrong with a name, a number or a value of a definition, each said in one sentence.

Checks here know single values only; places are given by the caller, and nothing is raised: all
problems of a definition are shown at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from podium.model.payload import JsonValue

NAME_CHARS_LIMIT: Final = 255
SHOWN_CHARS_LIMIT: Final = 80
DEPTH_LIMIT: Final = 30
"""Levels of JSON in any one parameter (architecture §9)."""
BRACES: Final = frozenset("{}")


class Problem(msgspec.Struct, frozen=True):
    """One fault of a definition: where, and what was expected and found there."""

    place: str
    message: str


def shown(value: object) -> str:
    """A found value for a message, cut where it is long."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= SHOWN_CHARS_LIMIT else f"{text[:SHOWN_CHARS_LIMIT]}…"


def check_name(place: str, name: str) -> Iterator[Problem]:
    """Names of workflows, tasks and references: 1 to 255 visible characters, no braces."""
    if not name.strip():
        yield Problem(place, "expected a name, found none")
    elif len(name) > NAME_CHARS_LIMIT:
        yield Problem(place, f"expected at most {NAME_CHARS_LIMIT} characters, found {len(name)}")
    elif any(ord(char) < ord(" ") or "\x7f" <= char <= "\x9f" for char in name):
        yield Problem(place, "expected a name without control characters, found one with them")
    elif not BRACES.isdisjoint(name):
        yield Problem(place, f"expected a name without {{ and }}, found {shown(name)}")


def check_least(place: str, value: int | None, least: int) -> Iterator[Problem]:
    """Whole numbers with a lower bound; None is left to its default."""
    if value is not None and value < least:
        yield Problem(place, f"expected {least} or more, found {value}")


def check_choice(place: str, value: str | None, choices: object) -> Iterator[Problem]:
    """A value of a Literal type that came another way than through its decoder."""
    names: tuple[str, ...] = get_args(choices)
    if value is not None and value not in names:
        yield Problem(place, f"expected one of {', '.join(names)}, found {shown(value)}")


def check_depth(place: str, value: JsonValue, limit: int = DEPTH_LIMIT) -> Iterator[Problem]:
    """JSON that is nested too deep."""
    if deeper_than(value, limit):
        yield Problem(place, f"expected at most {limit} levels of JSON, found more")


def deeper_than(value: JsonValue, limit: int) -> bool:
    """Whether maps and lists are nested more than `limit` deep; a scalar is level 0. Iterative."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        level = [inner for outer in level for inner in nested(outer)]
    return bool(level)


def nested(value: JsonValue) -> list[JsonValue]:
    """The maps and lists directly in a map or list."""
    if isinstance(value, dict):
        return [inner for inner in value.values() if isinstance(inner, dict | list)]
    assert isinstance(value, list), type(value)
    return [inner for inner in value if isinstance(inner, dict | list)]

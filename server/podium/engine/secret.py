"""Secrets in inputs: where a text names one, and the input as whoever works on it gets it.

`${workflow.secrets.NAME}` stays text when an input is made and stored (S-521). Beside the input
stands, as SecretMark, where a definition named which secret; only there is it replaced, and only
at hand-off. So data that happens to spell such a text names nothing: neither a client's input nor
what a worker or an HTTP server sent back can have a secret put in (S-495).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import orjson

from podium.engine.java_text import java_text
from podium.engine.path import parse_path, walk
from podium.engine.problem import DEPTH_LIMIT, deeper_than
from podium.engine.scope import WORKFLOW
from podium.model.execution import SecretMark
from podium.model.payload import json_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from podium.engine.path import Path
    from podium.model.payload import JsonObject, JsonValue

INPUT: Final = "input"
VARIABLES: Final = "variables"
"""What the path of an execution's mark begins with."""
SECRETS: Final = "secrets"
ENVIRONMENT: Final = "env"
JSON: Final = "json"
NAME_STEPS: Final = 2
"""`secrets` and the name; what follows is `json` and a path in the value."""


class OpenedTooLarge(Exception):
    """With its secrets in place a value would be larger than any input may be."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size: Final = size


def is_reference(path: Path) -> bool:
    """Whether a path below `workflow` names one value: `secrets.NAME`, `secrets.NAME.json.path`, or
    the same of `env`.
    """
    steps = path.steps
    named = len(steps) >= NAME_STEPS and isinstance(steps[1], str) and path.definite
    return named and (len(steps) == NAME_STEPS or steps[NAME_STEPS] == JSON)


def value_at(path: Path, values: Mapping[str, str]) -> JsonValue:
    """What a reference names: the text, or what a path finds in it as JSON; else null (S-520)."""
    name = path.steps[1]
    text = values.get(name) if isinstance(name, str) else None
    if text is None or len(path.steps) == NAME_STEPS:
        return text
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    found = walk(document, path.steps[NAME_STEPS + 1 :])
    return None if deeper_than(found, DEPTH_LIMIT) else found


def value_of(reference: str, secrets: Mapping[str, str]) -> JsonValue:
    """The secret that the text between `${` and `}` names; null where there is none."""
    path = parse_path(reference)
    if path is None or not is_reference(path):
        return None
    named = (path.root, path.steps[0]) == (WORKFLOW, SECRETS)
    return value_at(path, secrets) if named else None


def below(key: str | int, marks: Iterable[SecretMark]) -> list[SecretMark]:
    """The marks of a value that stands under a key."""
    return [SecretMark(path=(key, *mark.path), reference=mark.reference) for mark in marks]


def under(path: tuple[str | int, ...], marks: Iterable[SecretMark]) -> tuple[SecretMark, ...]:
    """The marks of what stands at `path`, as seen from there."""
    depth = len(path)
    return tuple(
        SecretMark(path=mark.path[depth:], reference=mark.reference)
        for mark in marks
        if mark.path[:depth] == path
    )


def opened(
    value: JsonObject, marks: Iterable[SecretMark], secrets: Mapping[str, str], limit: int
) -> JsonObject:
    """`value`, which is edited and given back, with the secrets in place that its marks name.

    A text that is nothing but a reference becomes the secret, null where it is unknown; inside a
    text an unknown one is "". Raises OpenedTooLarge where what is put in would pass `limit`
    characters.
    """
    references: dict[tuple[str | int, ...], set[str]] = {}
    for mark in marks:
        references.setdefault(mark.path, set()).add(mark.reference)
    for path, named in references.items():
        holder: JsonValue = value
        for key in path[:-1]:
            holder = child(holder, key)
        text = child(holder, path[-1]) if path else None
        if isinstance(text, str):
            put_in = opened_text(text, named, secrets, limit)
            limit -= json_bytes(put_in)
            put(holder, path[-1], put_in)
    return value


def child(holder: JsonValue, key: str | int) -> JsonValue:
    """What stands under a key, None where nothing does."""
    if isinstance(holder, dict) and isinstance(key, str):
        return holder.get(key)
    if isinstance(holder, list) and isinstance(key, int) and key < len(holder):
        return holder[key]
    return None


def put(holder: JsonValue, key: str | int, value: JsonValue) -> None:
    """Replace what stands under a key that is there."""
    assert isinstance(holder, dict | list), key
    holder[key] = value  # pyright: ignore[reportArgumentType, reportCallIssue] - its own key


def opened_text(
    text: str, named: Iterable[str], secrets: Mapping[str, str], limit: int
) -> JsonValue:
    """One text with these references replaced; what is put in is not looked at again."""
    known = {f"${{{reference}}}": reference for reference in named}
    if text in known:
        value = value_of(known[text], secrets)
        if json_bytes(value) > limit:
            raise OpenedTooLarge(json_bytes(value))
        return value
    found = {mark: shown(value_of(reference, secrets)) for mark, reference in known.items()}
    marks = re.compile("|".join(re.escape(mark) for mark in known))
    size = len(text) + sum(len(found[match[0]]) - len(match[0]) for match in marks.finditer(text))
    if size > limit:
        raise OpenedTooLarge(size)
    return marks.sub(lambda match: found[match[0]], text)


def shown(value: JsonValue) -> str:
    """A secret inside a text (S-521)."""
    return "" if value is None else java_text(value)

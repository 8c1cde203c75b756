"""Payload: the JSON object a task or workflow carries, kept in the bytes it came in.

Decoding is lazy and kept, so a task that only passes data on never decodes it. A payload is
immutable: the decoded value is shared, callers must not edit it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    JsonValue: TypeAlias = (
        "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
    )
else:
    JsonValue = Any  # msgspec cannot resolve a recursive alias; it checks JSON by itself.

JsonObject: TypeAlias = dict[str, JsonValue]


class Payload:
    """Immutable JSON object. Shape: `json` is UTF-8 JSON text whose top level is an object."""

    __slots__ = ("_value", "json")

    def __init__(self, json: bytes, value: JsonObject | None = None) -> None:
        self.json: Final = json
        self._value = value

    @classmethod
    def of(cls, value: Mapping[str, JsonValue]) -> Payload:
        """Encode a value that is known to be sound JSON (ints within 64 bits, finite floats)."""
        kept = dict(value)
        return cls(orjson.dumps(kept), kept) if kept else EMPTY

    @property
    def value(self) -> JsonObject:
        """The decoded object; decoded once, shared, not to be edited."""
        if self._value is None:
            self._value = orjson.loads(self.json)
        return self._value

    def __len__(self) -> int:
        return len(self.json)

    def __bool__(self) -> bool:
        return len(self.json) > len(b"{}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Payload) and other.json == self.json

    def __hash__(self) -> int:
        return hash(self.json)

    def __repr__(self) -> str:
        return f"Payload({len(self.json)} bytes)"


EMPTY: Final = Payload(b"{}", {})


def json_bytes(value: JsonValue) -> int:
    """Length of a value's JSON text."""
    return len(value) if isinstance(value, str) else len(orjson.dumps(value))

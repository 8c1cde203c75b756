"""A payload without the values that a definition hides (`maskedFields`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.model.payload import Payload

if TYPE_CHECKING:
    from collections.abc import Collection

    from podium.model.payload import JsonValue

MASK: Final = "***"


def masked_payload(payload: Payload, names: Collection[str]) -> Payload:
    """A copy in which no value stands under these names; the payload itself where none did."""
    top: list[JsonValue] = [payload.value]
    waiting: list[list[JsonValue] | dict[str, JsonValue]] = [top]
    found = False
    while waiting:
        outer = waiting.pop()
        for key, value in list(enumerate(outer) if isinstance(outer, list) else outer.items()):
            if isinstance(outer, dict) and key in names:
                outer[key] = MASK  # pyright: ignore[reportArgumentType] - its own key
                found = True
            elif isinstance(value, dict | list):
                inner = value.copy()
                outer[key] = inner  # pyright: ignore[reportArgumentType, reportCallIssue]
                waiting.append(inner)
    value = top[0]
    assert isinstance(value, dict), value
    return Payload.of(value) if found else payload

"""Values as text inside text, as Java's toString prints them; definitions rely on it (S-494)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from podium.model.payload import JsonValue

PLAIN_FROM: Final = 1e-3
PLAIN_BELOW: Final = 1e7


def java_text(value: JsonValue) -> str:
    """null, true, 1.0, {a=1, b=x}, [1, 2]; strings as they are. Iterative."""
    if not isinstance(value, dict | list):
        return scalar_text(value)
    out: list[str] = []
    waiting: list[JsonValue] = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting.extend(reversed(map_pieces(each)))
        elif isinstance(each, list):
            waiting.extend(reversed(list_pieces(each)))
        else:
            out.append(scalar_text(each))
    return "".join(out)


def map_pieces(value: dict[str, JsonValue]) -> list[JsonValue]:
    """The map cut into punctuation with keys, and values, in order."""
    pieces: list[JsonValue] = ["{"]
    for place, (key, inner) in enumerate(value.items()):
        pieces += [f", {key}=" if place else f"{key}=", inner]
    pieces.append("}")
    return pieces


def list_pieces(value: list[JsonValue]) -> list[JsonValue]:
    """The list cut into punctuation and values, in order."""
    pieces: list[JsonValue] = ["["]
    for place, inner in enumerate(value):
        pieces += [", ", inner] if place else [inner]
    pieces.append("]")
    return pieces


def scalar_text(value: str | float | None) -> str:
    """One scalar."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return double_text(value) if isinstance(value, float) else str(value)


def double_text(value: float) -> str:
    """A double as Java prints it: plain between 10^-3 and 10^7, else one digit, a point and E."""
    if value == 0 or PLAIN_FROM <= abs(value) < PLAIN_BELOW:
        return repr(value)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int), f"expected a finite number, found {value}"
    text = "".join(map(str, digits))
    power = exponent + len(text) - 1
    return f"{'-' if sign else ''}{text[0]}.{text[1:] or '0'}E{power}"

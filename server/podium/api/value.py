"""google.protobuf.Value on the wire ⇄ JSON values; twin messages hold Values as their bytes.

What the usual encoders write is read by hand, without an object per value; every other legal form
goes through protobuf. Nothing recurses, so depth costs nothing but its limit. Rules: a whole
number within 2^53 becomes an int, so that text made of it reads "1"; NaN and infinities are
refused, since JSON has none. Encoding never fails.
"""

from __future__ import annotations

from math import isfinite
from struct import Struct
from struct import error as StructError  # noqa: N812 - the library's name says too little here
from typing import TYPE_CHECKING, Final, TypeAlias

from google.protobuf import struct_pb2
from google.protobuf.message import DecodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podium.model.payload import JsonObject, JsonValue

Container: TypeAlias = "list[JsonValue] | dict[str, JsonValue]"

DEPTH_MAX: Final = 30
"""Levels of maps and lists in a payload, its own map counted."""
WHOLE_MAX: Final = 2.0**53
DOUBLE: Final = Struct("<d")
NULL: Final = b"\x08\x00"
FALSE: Final = b"\x20\x00"
TRUE: Final = b"\x20\x01"
SHORT: Final[Mapping[bytes, JsonValue]] = {NULL: None, FALSE: False, TRUE: True}
NUMBER_TAG: Final = 0x11
STRING_TAG: Final = 0x1A
STRUCT_TAG: Final = 0x2A
LIST_TAG: Final = 0x32
ENTRY_TAG: Final = 0x0A
"""Of a map's entries, an entry's key, and a list's elements."""
ENTRY_VALUE_TAG: Final = 0x12
NUMBER_BYTES: Final = 9
VARINT_MORE: Final = 0x80
VARINT_BITS: Final = 7
LENGTH_SHIFT_MAX: Final = 28
ONE_BYTE: Final = tuple(bytes((size,)) for size in range(VARINT_MORE))
SHOWN_CHARS: Final = 80
NESTED: Final[JsonValue] = ["a map or list"]
"""Told apart by identity: the value is a map or list."""


class ValueUnsound(Exception):
    """A value that JSON does not have, or that is nested too deep; the text names the place."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unusual(Exception):
    """Bytes of another form than the usual encoders write: protobuf shall judge."""


class NotFinite(Exception):
    """NaN or an infinity."""


class TooDeep(Exception):
    """Over DEPTH_MAX levels."""


def values_of(place: str, fields: Mapping[str, bytes]) -> JsonObject:
    """The JSON object of a `map<string, Value>`. Raises ValueUnsound."""
    return {name: value_of(place, name, data, 1) for name, data in fields.items()}


def value_of(place: str, name: str, data: bytes, depth: int = 0) -> JsonValue:
    """The JSON value of a Value; `depth` levels are around it already. Raises ValueUnsound."""
    try:
        found = _scalar(data, 0, len(data))
        if found is NESTED:
            found = _nested(data, depth)
        return found
    except NotFinite as problem:
        raise ValueUnsound(
            f"{place}.{name[:SHOWN_CHARS]}: expected finite numbers, found {problem}"
        ) from None
    except TooDeep:
        raise ValueUnsound(
            f"{place}.{name[:SHOWN_CHARS]}: expected at most {DEPTH_MAX} levels of JSON, found more"
        ) from None
    except (Unusual, IndexError, StructError, UnicodeDecodeError):
        return _by_protobuf(f"{place}.{name[:SHOWN_CHARS]}", data, depth)


def bytes_of_values(value: Mapping[str, JsonValue]) -> dict[str, bytes]:
    """The content of a `map<string, Value>`."""
    return {name: bytes_of(each) for name, each in value.items()}


def bytes_of(value: JsonValue) -> bytes:
    """The bytes of a Value. Values come out of JSON, whose parser bounds their depth."""
    if isinstance(value, str):
        text = value.encode()
        return b"\x1a" + _length(len(text)) + text
    if value is None:
        return NULL
    if isinstance(value, bool):
        return TRUE if value else FALSE
    if isinstance(value, int | float):
        return b"\x11" + DOUBLE.pack(value)
    if isinstance(value, list):
        body = b"".join([_field(b"\x0a", bytes_of(each)) for each in value])
        return _field(b"\x32", body)
    return _field(b"\x2a", b"".join([_entry(name, each) for name, each in value.items()]))


def _entry(name: str, value: JsonValue) -> bytes:
    return _field(b"\x0a", _field(b"\x0a", name.encode()) + _field(b"\x12", bytes_of(value)))


def _field(tag: bytes, body: bytes) -> bytes:
    return tag + _length(len(body)) + body


def _length(size: int) -> bytes:
    if size < VARINT_MORE:
        return ONE_BYTE[size]
    parts = bytearray()
    while size >= VARINT_MORE:
        parts.append(size & 0x7F | VARINT_MORE)
        size >>= VARINT_BITS
    parts.append(size)
    return bytes(parts)


def _scalar(data: bytes, start: int, end: int) -> JsonValue:
    """The value that fills data[start:end]; NESTED for a map or list."""
    if start == end:
        return None  # no kind is set
    tag = data[start]
    if tag == STRING_TAG:
        body = _filled(data, start + 1, end)
        return data[body:end].decode()
    if tag == NUMBER_TAG:
        if end - start != NUMBER_BYTES:
            raise Unusual
        return _number(DOUBLE.unpack_from(data, start + 1)[0])
    if tag in (STRUCT_TAG, LIST_TAG):
        return NESTED
    found = SHORT.get(data[start:end], NESTED)
    if found is NESTED:
        raise Unusual
    return found


def _number(value: float) -> JsonValue:
    if not isfinite(value):
        raise NotFinite(value)
    return int(value) if -WHOLE_MAX <= value <= WHOLE_MAX and value.is_integer() else value


def _nested(data: bytes, depth: int) -> JsonValue:
    """A map or list with all that is in it; each is filled from its own part of the bytes."""
    top = _container(data[0])
    waiting: list[tuple[Container, int, int, int]] = [(top, 0, len(data), depth + 1)]
    while waiting:
        container, start, end, level = waiting.pop()
        if level > DEPTH_MAX:
            raise TooDeep
        position = _filled(data, start + 1, end)
        while position < end:
            if data[position] != ENTRY_TAG:
                raise Unusual
            position, stop = _bounds(data, position + 1, end)
            name = ""
            if isinstance(container, dict):
                name, position = _name(data, position, stop)
            value = _scalar(data, position, stop)
            if value is NESTED:
                inner = _container(data[position])
                waiting.append((inner, position, stop, level + 1))
                value = inner
            if isinstance(container, dict):
                container[name] = value
            else:
                container.append(value)
            position = stop
    return top


def _container(tag: int) -> Container:
    return {} if tag == STRUCT_TAG else []


def _name(data: bytes, start: int, end: int) -> tuple[str, int]:
    """The key of a map entry, and where its value begins; the value must end with the entry."""
    if data[start] != ENTRY_TAG:
        raise Unusual
    begin, stop = _bounds(data, start + 1, end)
    if data[stop] != ENTRY_VALUE_TAG:
        raise Unusual
    return data[begin:stop].decode(), _filled(data, stop + 1, end)


def _filled(data: bytes, position: int, end: int) -> int:
    """Where a part begins that must reach to `end`."""
    begin, stop = _bounds(data, position, end)
    if stop != end:
        raise Unusual
    return begin


def _bounds(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Begin and end of a part whose length stands at `position`."""
    size = data[position]
    position += 1
    if size >= VARINT_MORE:
        size &= 0x7F
        shift = VARINT_BITS
        while True:
            byte = data[position]
            position += 1
            size |= (byte & 0x7F) << shift
            if byte < VARINT_MORE:
                break
            shift += VARINT_BITS
            if shift > LENGTH_SHIFT_MAX:
                raise Unusual
    if position + size > end:
        raise Unusual
    return position, position + size


def _by_protobuf(place: str, data: bytes, depth: int) -> JsonValue:
    """Any legal form of a Value: fields repeated, in another order, or unknown."""
    try:
        message = struct_pb2.Value.FromString(data)
    except DecodeError:
        raise ValueUnsound(
            f"{place}: expected a google.protobuf.Value of at most {DEPTH_MAX} levels of JSON, "
            "found bytes that are none"
        ) from None
    top: list[JsonValue] = []
    waiting: list[tuple[Container, str, struct_pb2.Value, int]] = [(top, "", message, depth)]
    while waiting:
        outer, name, each, level = waiting.pop()
        value = _plain(place, each)
        if value is NESTED:
            if level >= DEPTH_MAX:
                raise ValueUnsound(
                    f"{place}: expected at most {DEPTH_MAX} levels of JSON, found more"
                )
            inner, below = _opened(each)
            waiting += [(inner, key, child, level + 1) for key, child in below]
            value = inner
        if isinstance(outer, dict):
            outer[name] = value
        else:
            outer.append(value)
    return top[0]


def _opened(message: struct_pb2.Value) -> tuple[Container, list[tuple[str, struct_pb2.Value]]]:
    """An empty map or list and what belongs into it, last first."""
    if message.HasField("struct_value"):
        fields = message.struct_value.fields
        return dict.fromkeys(fields), list(fields.items())
    return [], [("", each) for each in reversed(message.list_value.values)]


def _plain(place: str, message: struct_pb2.Value) -> JsonValue:
    kind = message.WhichOneof("kind")
    if kind == "string_value":
        return message.string_value
    if kind == "number_value":
        try:
            return _number(message.number_value)
        except NotFinite as problem:
            raise ValueUnsound(f"{place}: expected finite numbers, found {problem}") from None
    if kind == "bool_value":
        return message.bool_value
    return NESTED if kind in ("struct_value", "list_value") else None

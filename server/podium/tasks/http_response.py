"""The answer of an HTTP server read into the JSON value that a task's output carries.

Rules: pure; bytes of a stranger come in, and what goes out can always be written as JSON again. How
many bytes there may be is counted where they arrive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from podium.engine.problem import DEPTH_LIMIT, deeper_than

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium.model.payload import JsonObject, JsonValue

# Encodings that decode in linear time and never yield half a surrogate pair; others of Python's
# (punycode, unicode_escape, utf-7) do not keep that, so they are read as UTF-8.
CHARSETS: Final = frozenset(
    {
        "ascii", "us-ascii", "iso-8859-1", "iso-8859-2", "iso-8859-15", "latin-1", "windows-1250",
        "windows-1251", "windows-1252", "koi8-r", "utf-16", "utf-16le", "utf-16be", "shift_jis",
        "euc-jp", "euc-kr", "gbk", "gb2312", "gb18030", "big5",
    }
)  # fmt: skip


def read_response(
    *,
    status: int,
    phrase: str | None,
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
    charset: str | None,
) -> JsonObject:
    """Shape: {body, headers: {name: [text, …]}, statusCode, reasonPhrase} (S-446)."""
    return {
        "body": read_body(body, charset),
        "headers": read_headers(headers),
        "statusCode": status,
        "reasonPhrase": sound_text(phrase or ""),
    }


def read_headers(found: Iterable[tuple[bytes, bytes]]) -> dict[str, JsonValue]:
    """Name to all its values in order; the first spelling of a name stands for the others."""
    spellings: dict[str, str] = {}
    values: dict[str, list[JsonValue]] = {}
    for raw_name, raw_value in found:
        name = raw_name.decode(errors="replace")
        spelling = spellings.setdefault(name.lower(), name)
        values.setdefault(spelling, []).append(raw_value.decode(errors="replace"))
    return dict(values)


def read_body(body: bytes, charset: str | None) -> JsonValue:
    """The value of a body (S-447), whatever media type it claims.

    Shape: JSON maps, lists and numbers are themselves, and an integer stays one, where S-447 has a
    double; other JSON scalars are text; what is no JSON or is nested too deep is the text as it
    came; nothing is None.
    """
    if not body:
        return None
    text = decoded(body, charset)
    try:
        value: JsonValue = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    if isinstance(value, bool) or value is None:
        return text.strip()
    return text if deeper_than(value, DEPTH_LIMIT) else value


def decoded(body: bytes, charset: str | None) -> str:
    """The text of a body; a byte that its encoding does not know becomes U+FFFD."""
    name = (charset or "").lower()
    encoding = name if name in CHARSETS else "utf-8-sig"
    return body.decode(encoding, errors="replace")


def sound_text(text: str) -> str:
    """Text whose undecodable bytes (lone surrogates) are replaced, so that JSON can hold it."""
    return text.encode("utf-8", "surrogateescape").decode(errors="replace")

"""The input of an HTTP task read into a request that is safe to write to a socket.

Rules: nothing here sends or looks up; all text that reaches the wire (method, target, headers) is
checked here and nowhere else. Whether the host may be reached is decided when the socket is made.

Failures: Unsendable; `is_final` where the input breaks a rule of this server, which no retry mends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import orjson
from yarl import URL

from podium.engine.problem import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podium.model.payload import JsonValue

TIMEOUT_MS_DEFAULT: Final = 3_000
MEDIA_TYPE_DEFAULT: Final = "application/json"
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
SCHEMES: Final = ("http", "https")

# What common servers accept; beyond them only a mistake or an attack grows.
URI_CHARS_LIMIT: Final = 8_192
HOST_CHARS_LIMIT: Final = 253
HEADERS_LIMIT: Final = 100
HEADER_CHARS_LIMIT: Final = 16_384

# The client writes these itself: they name the server, frame the message or rule the connection.
HEADERS_REFUSED: Final = frozenset(
    {
        "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer",
        "upgrade", "expect", "proxy-authenticate", "proxy-authorization", "proxy-connection",
        "http2-settings",
    }
)  # fmt: skip

TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+*-]+/[A-Za-z0-9!#$&^_.+*-]+(?:\s*;.*)?")
HOST: Final = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
MILLISECONDS: Final = re.compile(r"[0-9]{1,9}")
CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
# Everything that may stand in a request line stays as written, `%` and braces too.
AS_WRITTEN: Final = "".join(map(chr, range(0x21, 0x7F)))


class Unsendable(Exception):
    """A request that fails: `reason` for the client, `is_final` where retries are useless."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason: Final = reason
        self.is_final: Final = is_final


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. `url` is written to the wire as it is; `host` and `port` are what it asks for.

    `place` is the URL for messages: without user, password, query and fragment.
    """

    method: str
    url: URL
    host: str
    port: int
    place: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    connect_ms: int
    read_ms: int


def read_request(input_: Mapping[str, JsonValue]) -> HttpRequest:
    """Read the fields of `http_request`, or of the whole input where that is absent (S-439).

    A timeout of null counts as absent and gets the same default, unlike S-440: an expression that
    found nothing should not shorten a wait thirtyfold. 0 leaves the wait to the limit of the task.

    Raises:
        Unsendable: a field is missing, of the wrong kind, or not allowed on the wire.
    """
    fields = input_.get("http_request")
    if fields is None:
        fields = input_
    elif not isinstance(fields, dict):
        raise Unsendable("expected http_request to be an object, found another value")
    url = read_url(fields.get("uri"))
    assert url.host is not None
    assert url.port is not None
    headers = read_headers(fields)
    if url.raw_user is not None and "authorization" in {name.lower() for name, _ in headers}:
        raise Unsendable("expected credentials in the uri or in Authorization, found both")
    return HttpRequest(
        method=read_method(fields.get("method")),
        url=url,
        host=url.raw_host or "",
        port=url.port,
        place=f"{url.scheme}://{url.host_port_subcomponent}{url.raw_path}",
        headers=headers,
        body=read_body(fields.get("body"), content_type(headers)),
        connect_ms=read_timeout("connectionTimeOut", fields),
        read_ms=read_timeout("readTimeOut", fields),
    )


def read_method(found: JsonValue) -> str:
    """A known method in upper case. CONNECT is none: it would make a tunnel of the task."""
    if found is None or found == "":
        raise Unsendable("expected http_request.method, found none")
    method = found.upper() if isinstance(found, str) else ""
    if method not in METHODS:
        raise Unsendable(f"expected a method of {', '.join(METHODS)}, found {shown(found)}")
    return method


def read_url(found: JsonValue) -> URL:
    """The URL with a canonical host. Path and query go out as written, where S-443 encodes `%`
    again and fails on braces; only what cannot stand in a request line is percent-encoded.
    """
    if found is None or found == "":
        raise Unsendable("expected http_request.uri, found none")
    if not isinstance(found, str) or len(found) > URI_CHARS_LIMIT or CONTROL.search(found):
        expected = f"a text of at most {URI_CHARS_LIMIT} characters without control characters"
        raise Unsendable(f"expected http_request.uri to be {expected}, found something else")
    try:
        parts = urlsplit(found.strip())
        if parts.scheme not in SCHEMES:
            scheme = shown(parts.scheme) or "none"
            raise Unsendable(f"expected a uri of http or https, found {scheme}", is_final=True)
        origin = URL(f"{parts.scheme}://{parts.netloc}")
    except ValueError:
        # The found text is left out: it may carry a password.
        raise Unsendable("expected a uri with a host, found one that cannot be read") from None
    host = origin.raw_host or ""
    if len(host) > HOST_CHARS_LIMIT or HOST.fullmatch(host) is None or not origin.port:
        raise Unsendable("expected a host name or an address in the uri, found something else")
    path, query = quote(parts.path, AS_WRITTEN) or "/", quote(parts.query, AS_WRITTEN)
    target = f"{path}?{query}" if query else path
    return URL(f"{parts.scheme}://{origin.raw_authority}{target}", encoded=True)


def read_headers(fields: Mapping[str, JsonValue]) -> tuple[tuple[str, str], ...]:
    """The headers given, then Accept and Content-Type unless the headers have them."""
    found = fields.get("headers") or {}
    if not isinstance(found, dict):
        # Not shown: it may be a token that was put in the wrong place.
        raise Unsendable("expected http_request.headers to be an object, found another value")
    headers = [
        (name.strip(), header_text(name, value))
        for name, value in found.items()
        if value is not None
    ]
    names = {name.lower() for name, _ in headers}
    for name, field in (("Accept", "accept"), ("Content-Type", "contentType")):
        if name.lower() not in names:
            headers.append((name, read_media_types(field, fields.get(field))))
    if len(headers) > HEADERS_LIMIT:
        raise Unsendable(f"expected at most {HEADERS_LIMIT} headers, found {len(headers)}")
    return tuple(headers)


def header_text(name: str, value: JsonValue) -> str:
    """The value of a header as text; the value is never shown, it may be a secret."""
    if TOKEN.fullmatch(name.strip()) is None:
        raise Unsendable(f"expected a header name, found {shown(name)!r}", is_final=True)
    if name.strip().lower() in HEADERS_REFUSED:
        expected = "a header that a task may set"
        raise Unsendable(f"expected {expected}, found {shown(name.strip())}", is_final=True)
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool | int | float):
        text = orjson.dumps(value).decode()
    else:
        raise Unsendable(f"expected header {shown(name)} to be text, found a list or an object")
    if CONTROL.search(text) is not None or len(text) > HEADER_CHARS_LIMIT:
        expected = f"at most {HEADER_CHARS_LIMIT} characters without line ends"
        raise Unsendable(
            f"expected header {shown(name)} to have {expected}, found something else", is_final=True
        )
    return text.strip()


def read_media_types(field: str, found: JsonValue) -> str:
    """`accept` (text or list) or `contentType` (text) as the value of its header."""
    if found is None:
        return MEDIA_TYPE_DEFAULT
    listed = found if isinstance(found, list) and field == "accept" else [found]
    texts = [each.strip() for each in listed if isinstance(each, str)]
    if len(texts) != len(listed) or not texts:
        raise Unsendable(f"expected http_request.{field} to be a media type, found {shown(found)}")
    # A text may itself be a list in the way of the header: "text/html, application/json;q=0.9".
    for each in ",".join(texts).split(","):
        if MEDIA_TYPE.fullmatch(each.strip()) is None or CONTROL.search(each):
            raise Unsendable(
                f"expected http_request.{field} to be a media type, found {shown(each)!r}"
            )
    return ", ".join(texts)


def content_type(headers: tuple[tuple[str, str], ...]) -> str:
    """The media type that will be sent, in lower case and without parameters."""
    found = next(value for name, value in headers if name.lower() == "content-type")
    return found.partition(";")[0].strip().lower()


def read_body(found: JsonValue, media_type: str) -> bytes | None:
    """The bytes of the body: text as it is, other values as JSON where the type is JSON (S-445)."""
    if found is None:
        return None
    try:
        if isinstance(found, str):
            return found.encode()
        if media_type == "application/json" or media_type.endswith("+json"):
            return orjson.dumps(found)
    except (UnicodeEncodeError, orjson.JSONEncodeError):
        raise Unsendable("expected a body that UTF-8 JSON can hold, found another") from None
    kind = type(found).__name__
    raise Unsendable(f"expected a text as body of type {shown(media_type)}, found a value ({kind})")


def read_timeout(field: str, fields: Mapping[str, JsonValue]) -> int:
    """Milliseconds, a number or its digits."""
    found = fields.get(field)
    if found is None:
        return TIMEOUT_MS_DEFAULT
    if isinstance(found, str) and MILLISECONDS.fullmatch(found):
        return int(found)
    if isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found < 10**9:
        return int(found)
    raise Unsendable(
        f"expected http_request.{field} to be a number of milliseconds, found {shown(found)}"
    )

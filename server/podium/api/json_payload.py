"""podium.v1.Payload as a Payload: JSON text stays in the bytes it came in, once it is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from podium.api.value import DEPTH_MAX, ValueUnsound
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.engine.problem import deeper_than
from podium.model.payload import EMPTY, Payload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podium.model.payload import JsonValue
    from podium.v1 import worker_pb2

KINDS: Final[Mapping[type, str]] = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def payload_of(
    place: str, message: worker_pb2.Payload, *, bytes_limit: int = PAYLOAD_BYTES_LIMIT
) -> Payload:
    """Not set = {}. Raises ValueUnsound."""
    if message.HasField("message"):
        raise ValueUnsound(f"{place}: expected JSON in `json`, found a typed `message`")
    text = message.json
    if not text:
        return EMPTY
    if len(text) > bytes_limit:
        raise ValueUnsound(f"{place}.json: expected at most {bytes_limit} bytes, found {len(text)}")
    value: JsonValue
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueUnsound(
            f"{place}.json: expected UTF-8 text of one JSON object with finite numbers, "
            f"found an error in line {error.lineno}, column {error.colno}"
        ) from None
    if not isinstance(value, dict):
        raise ValueUnsound(f"{place}.json: expected a JSON object, found {KINDS[type(value)]}")
    brackets = text.count(b"{") + text.count(b"[")  # few of them settle it without a walk
    if brackets > DEPTH_MAX and deeper_than(value, DEPTH_MAX):
        raise ValueUnsound(f"{place}.json: expected at most {DEPTH_MAX} levels of JSON, found more")
    return Payload(text, value)

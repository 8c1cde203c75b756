"""podium.v1.Payload as a Payload: JSON text stays in the bytes it came in, once it is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from podium.api.value import DEPTH_MAX, ValueUnsound
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.engine.problem import deeper_than
from podium.model.payload import EMPTY, Payload

if TYPE_CHECKING:
    from podium.model.payload import JsonValue
    from podium.v1 import worker_pb2

SHOWN_CHARS: Final = 80


def payload_of(place: str, message: worker_pb2.Payload) -> Payload:
    """Not set = {}. Raises ValueUnsound."""
    if message.HasField("message"):
        raise ValueUnsound(f"{place}: expected JSON in `json`, found a typed `message`")
    text = message.json
    if not text:
        return EMPTY
    if len(text) > PAYLOAD_BYTES_LIMIT:
        raise ValueUnsound(
            f"{place}.json: expected at most {PAYLOAD_BYTES_LIMIT} bytes, found {len(text)}"
        )
    value: JsonValue
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueUnsound(
            f"{place}.json: expected UTF-8 text of one JSON object with finite numbers, "
            f"found an error in line {error.lineno}, column {error.colno}"
        ) from None
    if not isinstance(value, dict):
        shown = orjson.dumps(value).decode()[:SHOWN_CHARS]
        raise ValueUnsound(f"{place}.json: expected a JSON object, found {shown}")
    if deeper_than(value, DEPTH_MAX):
        raise ValueUnsound(f"{place}.json: expected at most {DEPTH_MAX} levels of JSON, found more")
    return Payload(text, value)

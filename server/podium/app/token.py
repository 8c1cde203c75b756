"""Tokens that clients give back: a place in a list, a dry run. They are no secrets."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final, TypeVar

import msgspec

from podium.app.failure import RequestUnsound, shown

CHARS_MAX: Final = 2_000

Token = TypeVar("Token", bound=msgspec.Struct)


def encode_token(token: msgspec.Struct) -> str:
    """As text that a client gives back."""
    return urlsafe_b64encode(msgspec.msgpack.encode(token)).decode()


def decode_token(place: str, text: str, kind: type[Token]) -> Token:
    """Raises RequestUnsound."""
    try:
        return msgspec.msgpack.decode(urlsafe_b64decode(text[:CHARS_MAX].encode()), type=kind)
    except (ValueError, msgspec.MsgspecError):
        raise RequestUnsound(
            f"{place}: expected a token of an answer, found {shown(text)}"
        ) from None

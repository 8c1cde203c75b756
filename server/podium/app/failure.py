"""What operations refuse. The texts are for clients: expected, found, names and places."""

from __future__ import annotations

from typing import Final

SHOWN_CHARS: Final = 80


class Refusal(Exception):
    """Base; `message` may be shown to the client. Nothing was changed."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RequestUnsound(Refusal):
    """The request itself is wrong, whatever is stored."""


class NotFound(Refusal):
    """What the request names does not exist."""


class KeyUsed(Refusal):
    """The idempotency key of a start belongs to another execution."""


class StorageMissing(Refusal):
    """An external payload is named, and no external storage is configured."""


class Busy(Refusal):
    """It would be done if it were not for something that goes on; it may be tried again."""


class TooMuch(Refusal):
    """The answer would be over a limit, or take too long: it must be asked for in parts."""


class Overtaken(Refusal):
    """What was confirmed is not what is there any more."""


def shown(text: str) -> str:
    """A client's text within a message, cut where it is long."""
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"

"""The one failure of whoever reads a search: it cannot be understood."""

from __future__ import annotations

from typing import Final

VALUE_CHARS_MAX: Final = 1_000
SHOWN_CHARS: Final = 40


class QueryUnsound(Exception):
    """The text is no query. `message` = where, what was expected, what was found."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def shown(text: str) -> str:
    """A piece of the client's text within a message."""
    return repr(text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…")

"""The one failure of the protocol: the worker said what the contract does not allow.

Drawn as a tree: ProtocolError -> code (a gRPC status name) + text ("expected X, found Y"). The text
goes to the worker, so it holds nothing but what the worker sent and what the contract says.
"""

from __future__ import annotations

from typing import Final, Literal

EndCode = Literal[
    "OK",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "UNAVAILABLE",
    "INTERNAL",
]
"""How a stream can end by the server's will; names of gRPC statuses."""

QUOTE_CHARACTERS: Final = 80


class ProtocolError(Exception):
    """Ends the stream: the worker must not reconnect unchanged."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code: EndCode = "INVALID_ARGUMENT"
        self.text = text


def quoted(text: str) -> str:
    """The worker's own words in an error text: cut, so that no text grows with its input."""
    short = text if len(text) <= QUOTE_CHARACTERS else f"{text[:QUOTE_CHARACTERS]}..."
    return repr(short)

"""What the server and its script child say to each other over a socket: one request, one answer.

Request: two lengths, a head in JSON, the input as JSON text. Answer: one letter, a length, a text.
The child is started by path, without the package on its search path: this module imports nothing
of Podium, and both sides load it.
"""

from __future__ import annotations

import struct
from typing import Final, Literal, TypeAlias, TypedDict

Language: TypeAlias = Literal["javascript", "jq", "jsonpath", "jsonschema"]

REQUEST: Final = struct.Struct(">II")
"""Bytes of the head, bytes of the input."""
ANSWER: Final = struct.Struct(">cI")
"""What it is, and its bytes."""
READY: Final = b"r"
"""The child has loaded everything and given up what it does not need."""
VALUE: Final = b"v"
"""JSON text follows."""
ERROR: Final = b"e"
"""Words for the client follow."""
LATE: Final = b"t"
"""The program was stopped for its time; words follow."""
RESULT_BYTES_LIMIT: Final = 1024 * 1024
CPU_MS_LIMIT: Final = 100
"""CPU time of one JavaScript program."""
ERROR_CHARS_LIMIT: Final = 500


class Head(TypedDict):
    """Of a request. `parse`: say only whether the program can be understood."""

    language: Language
    program: str
    parse: bool
    now_ms: int
    seed: str


class Failure(Exception):
    """A program gave no value; the text is for the client."""

    def __init__(self, text: str, kind: bytes = ERROR) -> None:
        super().__init__(text)
        self.kind: Final = kind


def cut(text: str) -> str:
    """The text at its greatest length."""
    limit = ERROR_CHARS_LIMIT
    return text if len(text) <= limit else f"{text[:limit]}…"

"""Cutting a string into plain text and expressions: one pass, balanced braces, no recursion.

`${` opens an expression and the brace that balances it closes it (S-491); `$${` is the text `${`
(S-495); what never closes is text. Expressions nest up to NESTING_LIMIT. `read` says what the text
of an expression means.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from podium.engine.reading import Fixed, Nested, Node, Text, Uses, node_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Read: TypeAlias = "Callable[[str], Node]"

NESTING_LIMIT: Final = 8
MARKS: Final = re.compile(r"\$\$\{|\$\{|[{}]")
OPEN: Final = "${"


class Frame:
    """An expression that is still open; the bottom one is the string itself."""

    __slots__ = ("braces", "height", "parts")

    def __init__(self) -> None:
        self.parts: Final[list[str | Node]] = []
        self.braces = 0
        self.height = 0
        """How deep the expressions inside are nested."""


def cut(text: str, read: Read = node_of) -> str | Node:
    """The string, compiled: itself where it holds no expression, else the node that yields it."""
    frames = [Frame()]
    place = 0
    for match in MARKS.finditer(text):
        if match.start() > place:
            frames[-1].parts.append(text[place : match.start()])
        place = match.end()
        take(match[0], frames, read)
    frames[-1].parts.append(text[place:])
    return closed_string(frames)


def take(mark: str, frames: list[Frame], read: Read) -> None:
    """Act on one mark."""
    top = frames[-1]
    if mark == OPEN:
        frames.append(Frame())
        return
    if len(frames) == 1:
        top.parts.append(mark if mark != "$${" else OPEN)
        return
    if mark == "}" and top.braces == 0:
        close(frames, read)
        return
    top.braces += -1 if mark == "}" else 1
    top.parts.append(mark if mark != "$${" else OPEN)


def close(frames: list[Frame], read: Read) -> None:
    """Turn the topmost frame into a part of the one below."""
    done, below = frames.pop(), frames[-1]
    height = done.height + 1
    if height > NESTING_LIMIT:
        node: Node = Fixed(None, Uses(unsupported=(f"expressions nested {height} deep",)))
    else:
        node = expression_of(done.parts, read)
        below.height = max(below.height, height)
    below.parts.append(node)


def expression_of(parts: Sequence[str | Node], read: Read) -> Node:
    """The node of one closed expression."""
    fixed = [part for part in parts if isinstance(part, str)]
    return read("".join(fixed)) if len(fixed) == len(parts) else Nested(Text(parts))


def closed_string(frames: list[Frame]) -> str | Node:
    """Give frames that never closed back as text, and join what there is."""
    parts = list(frames[0].parts)
    for frame in frames[1:]:
        parts.append(OPEN)
        parts.extend(frame.parts)
    kept = [part for part in parts if part != ""]
    fixed = [part for part in kept if isinstance(part, str)]
    if len(fixed) == len(kept):
        return "".join(fixed)
    only = kept[0]
    return only if len(kept) == 1 and isinstance(only, Node) else Text(kept)

"""Trace context as W3C has it: which trace an execution belongs to, and whose span is above it.

Span ids are derived from what the span is of, so that every server, and every life of one, gives a
task the same place in the trace, and nothing of it has to be stored but what the client sent.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

import msgspec

PARENT: Final = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
STATE_CHARACTERS_MAX: Final = 512
SAMPLED: Final = 1


class TraceContext(msgspec.Struct, frozen=True):
    """`parent`: a traceparent of version 00, `state`: a tracestate; both empty = in no trace."""

    parent: str = ""
    state: str = ""


NO_TRACE: Final = TraceContext()


class Place(msgspec.Struct, frozen=True):
    """What a sound traceparent says, in lower-case hex."""

    trace: str
    span: str
    flags: str

    @property
    def sampled(self) -> bool:
        return bool(int(self.flags, 16) & SAMPLED)

    def above(self, span: str) -> str:
        """The traceparent for what stands under another span of the same trace."""
        return f"00-{self.trace}-{span}-{self.flags}"


def place_of(parent: str) -> Place | None:
    """None where it is not what W3C says; then it counts as absent, as W3C says too."""
    found = PARENT.fullmatch(parent)
    if found is None or found["version"] == "ff" or (found["version"] == "00" and found["more"]):
        return None
    if not int(found["trace"], 16) or not int(found["span"], 16):
        return None
    return Place(found["trace"], found["span"], found["flags"])


def context_of(parent: str, state: str) -> TraceContext:
    """What a client sent, as far as it is sound."""
    place = place_of(parent)
    if place is None:
        return NO_TRACE
    sound = len(state) <= STATE_CHARACTERS_MAX and state.isascii() and state.isprintable()
    return TraceContext(place.above(place.span), state if sound else "")


def span_of(*names: str) -> str:
    """The id of a span, from what it is of."""
    return blake2b("\0".join(names).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def trace_of(workflow_id: str) -> str:
    """The trace that an execution begins itself."""
    return blake2b(workflow_id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

"""The trace that the current call belongs to: known from the edge on, for what the call starts.

A call runs in a task of its own, so what is noted for one is never seen by another.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from podium.model.trace import NO_TRACE, TraceContext

CURRENT: Final[ContextVar[TraceContext]] = ContextVar("trace", default=NO_TRACE)


def note_trace(trace: TraceContext) -> None:
    """What follows in this call belongs to it."""
    CURRENT.set(trace)


def current_trace() -> TraceContext:
    """Of this call."""
    return CURRENT.get()

"""W3C trace context in the metadata of calls: `traceparent` and `tracestate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from podium.app.trace import note_trace
from podium.model.trace import NO_TRACE, context_of

if TYPE_CHECKING:
    from collections.abc import Iterable

TRACE_PARENT: Final = "traceparent"
TRACE_STATE: Final = "tracestate"
KEYS: Final = frozenset({TRACE_PARENT, TRACE_STATE})


class Call(Protocol):
    """A call with metadata."""

    def set_trailing_metadata(self, trailing_metadata: tuple[tuple[str, str], ...], /) -> None: ...

    def invocation_metadata(self) -> Iterable[tuple[str, str | bytes]] | None: ...


def note_trace_of(call: Call) -> None:
    """What the call starts belongs to the trace that its client names. An unsound one is none."""
    found = {name: text for name, text in call.invocation_metadata() or () if name in KEYS}
    parent, state = found.get(TRACE_PARENT, ""), found.get(TRACE_STATE, "")
    if isinstance(parent, str) and isinstance(state, str) and parent:
        note_trace(context_of(parent, state))
    else:
        note_trace(NO_TRACE)


def tell_trace(call: Call, parent: str, state: str) -> None:
    """The trace of the task that answers a Poll, whose message has no place for it. BatchPoll
    answers with several, so it tells none.
    """
    if parent:
        told = ((TRACE_PARENT, parent), (TRACE_STATE, state))
        call.set_trailing_metadata(tuple(each for each in told if each[1]))

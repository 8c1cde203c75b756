"""Calls by method and status, with their durations: plain counters of the guard.

Methods are those that the server has, statuses those of gRPC, so neither needs a bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import grpc
import grpc.aio

from podium.runtime.measure import CALL_US_BOUNDS, Histogram, Tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


CANCELLED: Final = grpc.StatusCode.CANCELLED


class Coded(Protocol):
    """A call that knows the status it was aborted with."""

    def code(self) -> object: ...


class MethodCalls:
    """Of one method: those in flight, and those that ended (streams at their end)."""

    __slots__ = ("by_status", "duration_us", "open")

    def __init__(self) -> None:
        self.open = 0
        self.by_status = Tally()
        """By the name of the gRPC status."""
        self.duration_us = Histogram(CALL_US_BOUNDS)


class Measured:
    """Counts one call, as a context around all that is done for it. What fails inside has aborted
    the call, or was cancelled.
    """

    __slots__ = ("_began_us", "_call", "_calls", "_now_us")

    def __init__(self, calls: MethodCalls, call: Coded, now_us: Callable[[], int]) -> None:
        self._calls = calls
        self._call = call
        self._now_us = now_us
        self._began_us = now_us()

    def __enter__(self) -> None:
        self._calls.open += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        status = "OK"
        if kind is not None:
            code = self._call.code() if issubclass(kind, grpc.aio.AbortError) else CANCELLED
            status = code.name if isinstance(code, grpc.StatusCode) else "UNKNOWN"
        calls = self._calls
        calls.open -= 1
        calls.by_status.add(status)
        calls.duration_us.add(self._now_us() - self._began_us)


class CallCounts:
    """Of one server. `now_us` as of runtime/clock.py."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self.methods: dict[str, MethodCalls] = {}
        self.refused = Tally()
        """Calls that were not let in, by what there were too many of."""

    def measured(self, method: str, call: Coded) -> Measured:
        """For a `with` around the call."""
        calls = self.methods.get(method)
        if calls is None:
            calls = self.methods[method] = MethodCalls()
        return Measured(calls, call, self._now_us)

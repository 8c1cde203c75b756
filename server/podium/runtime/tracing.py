"""What the runtime tells of executions that belong to a trace, and the place of tasks in it.

A server that exports spans (telemetry/spans.py) puts each task under its own span; one that exports
none passes on what the client sent, so that workers continue the client's span.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from podium.model.trace import NO_TRACE, TraceContext

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium.engine.transition import Transition
    from podium.model.execution import ExecutionHeader
    from podium.protocol.frame import LeaseName


class Tracer(Protocol):
    """Told of what happens to executions in a trace."""

    def began(self, workflow_id: str) -> TraceContext:
        """For an execution whose start names no trace."""
        ...

    def under(self, trace_parent: str, *names: str) -> str:
        """The traceparent for what happens within the span of these names (span_of)."""
        ...

    def committed(self, before: ExecutionHeader | None, transition: Transition) -> None:
        """A commit is durable; `before` = the header it was decided on."""
        ...

    def received(self, leases: Iterable[LeaseName]) -> None:
        """A worker said that it has them."""
        ...


class PassOn:
    """No spans are exported here."""

    def began(self, workflow_id: str) -> TraceContext:
        del workflow_id
        return NO_TRACE

    def under(self, trace_parent: str, *names: str) -> str:
        del names
        return trace_parent

    def committed(self, before: ExecutionHeader | None, transition: Transition) -> None:
        """Nothing is told."""

    def received(self, leases: Iterable[LeaseName]) -> None:
        """Nothing is told."""

"""The trace that a task belongs to, continued in its handler: a span of its own around it.

Only where the server says that the task is in a trace and OpenTelemetry is installed; else nothing
is imported. The program sets up OpenTelemetry (provider, exporter) as it likes.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from podium.v1 import worker_pb2 as pb


@contextmanager
def continued(task: pb.Task) -> Generator[None]:
    """Run the handler inside. Of what it raises the span tells the type, not the text."""
    if not task.trace_parent:
        yield
        return
    try:
        from opentelemetry import trace  # noqa: PLC0415 - optional, and costly to load
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - as above
            TraceContextTextMapPropagator,
        )
    except ImportError:
        yield
        return
    carrier = {"traceparent": task.trace_parent, "tracestate": task.trace_state}
    with trace.get_tracer("podium_worker").start_as_current_span(
        f"run {task.task_type}",
        context=TraceContextTextMapPropagator().extract(carrier),
        kind=trace.SpanKind.CONSUMER,
        attributes={"podium.task_id": task.task_id, "podium.workflow_id": task.workflow_id},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except BaseException as error:
            span.set_status(trace.Status(trace.StatusCode.ERROR, type(error).__name__))
            raise

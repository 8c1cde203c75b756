"""Whether spans are exported: OpenTelemetry is an extra, loaded only where an endpoint is set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.place import CannotServe

if TYPE_CHECKING:
    from podium.config import Trace
    from podium.runtime.clock import Clock
    from podium.telemetry.spans import SpanTracer


def tracer_of(settings: Trace, clock: Clock, server: str) -> SpanTracer | None:
    """None where no endpoint is set. Raises CannotServe."""
    if not settings.endpoint:
        return None
    try:
        from podium.telemetry.spans import otlp_tracer  # noqa: PLC0415 - see above
    except ModuleNotFoundError as absent:
        raise CannotServe(
            "trace.endpoint: expected OpenTelemetry's libraries, found no"
            f" {absent.name}: pip install 'podium[otel]'"
        ) from None
    return otlp_tracer(settings, clock, server)

"""Spans of executions, by OpenTelemetry: loaded only where an endpoint is set.

A span is made once, when what it is of has ended, from the times of the record; its id is derived
(model/trace.py), so that workers, children and later lives of the server agree on it. An execution
has: `start` (until it is durable), `workflow` (until it has ended), under that a `task` per
attempt, with events for hand-out and arrival. No payloads, no reasons: those may quote anybody.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from podium.model.execution import TaskStatus
from podium.model.trace import NO_TRACE, TraceContext, place_of, span_of, trace_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk.trace import SpanProcessor

    from podium.config import Trace
    from podium.engine.transition import Transition
    from podium.model.execution import ExecutionHeader, TaskRecord
    from podium.model.trace import Place
    from podium.protocol.frame import LeaseName
    from podium.runtime.clock import Clock

NS_PER_MS: Final = 1_000_000
EXPORT_S: Final = 5
"""A batch that is not taken within this is lost: spans are never worth a task."""
STOP_MS: Final = 3_000
QUEUE_SPANS_MAX: Final = 20_000
"""Spans that wait for export; more are dropped."""
ARRIVALS_MAX: Final = 10_000
ENDS: Final = frozenset(status.value for status in TaskStatus if status.terminal)


def otlp_tracer(settings: Trace, clock: Clock, server: str) -> SpanTracer:
    """Exports in batches, from a thread."""
    exporter = OTLPSpanExporter(endpoint=settings.endpoint, timeout=EXPORT_S)
    processor = BatchSpanProcessor(
        exporter, max_queue_size=QUEUE_SPANS_MAX, schedule_delay_millis=settings.delay_ms
    )
    return SpanTracer(processor, clock=clock, percent=settings.percent, server=server)


class SpanTracer:
    """A runtime.tracing.Tracer. `percent` of the executions that come without a trace begin one."""

    def __init__(
        self, processor: SpanProcessor, *, clock: Clock, percent: int, server: str
    ) -> None:
        self._processor = processor
        self._clock = clock
        self._percent = percent
        about = {"service.name": "podium", "service.instance.id": server}
        self._resource = Resource.create(about)
        self._arrivals: dict[str, int] = {}
        """Task id → epoch ms of the last word that it is there."""

    async def stop(self) -> None:
        """Export what waits, and end."""
        await asyncio.to_thread(self._processor.force_flush, STOP_MS)
        await asyncio.to_thread(self._processor.shutdown)

    def began(self, workflow_id: str) -> TraceContext:
        trace = trace_of(workflow_id)
        if int(trace[:8], 16) % 100 >= self._percent:
            return NO_TRACE
        return TraceContext(f"00-{trace}-{span_of(workflow_id)}-01")

    def under(self, trace_parent: str, *names: str) -> str:
        place = place_of(trace_parent)
        return "" if place is None else place.above(span_of(*names))

    def received(self, leases: Iterable[LeaseName]) -> None:
        now_ms = self._clock.now_ms()
        for lease in leases:
            self._arrivals[lease.task_id] = now_ms
            if len(self._arrivals) > ARRIVALS_MAX:
                del self._arrivals[next(iter(self._arrivals))]

    def committed(self, before: ExecutionHeader | None, transition: Transition) -> None:
        header = transition.header
        place = place_of(header.trace_parent)
        if place is None or not place.sampled:
            return
        if transition.created:
            self._start(header, place)
        for change in transition.history.changes if transition.history else ():
            if change.status_to in ENDS and change.status_from != change.status_to:
                task = transition.tasks.get(change.key)
                if task is None or task.attempt != change.attempt:
                    task = transition.attempts.get((change.key, change.attempt))
                if task is not None:
                    self._task(header, place, task)
        was_over = before is not None and before.status.terminal
        if header.status.terminal and not was_over:
            self._workflow(header, place)

    def _start(self, header: ExecutionHeader, place: Place) -> None:
        self._emit(
            f"start {header.name}",
            place,
            header.trace_state,
            names=("start", header.id),
            above=_above(header, place),
            times_ms=(header.created_ms, self._clock.now_ms()),
            kind=SpanKind.SERVER,
            about=_about(header),
        )

    def _workflow(self, header: ExecutionHeader, place: Place) -> None:
        self._emit(
            f"workflow {header.name}",
            place,
            header.trace_state,
            names=(header.id,),
            above=_above(header, place),
            times_ms=(header.created_ms, header.ended_ms),
            about={**_about(header), "podium.status": header.status.value},
            failed=header.status.value != "COMPLETED",
        )

    def _task(self, header: ExecutionHeader, place: Place, task: TaskRecord) -> None:
        events: list[tuple[str, int]] = []
        if task.start_ms and task.queue is not None:
            events.append(("handed out", task.start_ms))
        arrived_ms = self._arrivals.pop(task.id, 0)
        if arrived_ms:
            events.append(("received", arrived_ms))
        about: dict[str, str | int] = {
            **_about(header),
            "podium.task_id": task.id,
            "podium.reference": task.ref,
            "podium.status": task.status.value,
            "podium.retry_count": task.retry_count,
        }
        self._emit(
            f"task {task.task_type}",
            place,
            header.trace_state,
            names=(task.id,),
            above=span_of(header.id),
            times_ms=(task.scheduled_ms, task.end_ms),
            events=events,
            about=about if task.worker_id is None else {**about, "podium.worker": task.worker_id},
            failed=not task.status.successful,
        )

    def _emit(  # noqa: PLR0913 - all but three by name, each a part of a span
        self,
        name: str,
        place: Place,
        state: str,
        *,
        names: tuple[str, ...],
        above: str,
        times_ms: tuple[int, int],
        about: dict[str, str | int],
        kind: SpanKind = SpanKind.INTERNAL,
        events: Iterable[tuple[str, int]] = (),
        failed: bool = False,
    ) -> None:
        start_ms, end_ms = times_ms
        status = Status(StatusCode.ERROR) if failed else Status(StatusCode.UNSET)
        span = ReadableSpan(
            name,
            context=_context(place, span_of(*names), state),
            parent=_context(place, above, state) if above else None,
            resource=self._resource,
            attributes=about,
            events=[Event(each, timestamp=at_ms * NS_PER_MS) for each, at_ms in events],
            kind=kind,
            status=status,
            start_time=start_ms * NS_PER_MS,
            end_time=max(start_ms, end_ms) * NS_PER_MS,
        )
        self._processor.on_end(span)


def _above(header: ExecutionHeader, place: Place) -> str:
    """The span that the client, or the execution above, named; "" = the trace begins here."""
    return "" if place.span == span_of(header.id) else place.span


def _context(place: Place, span: str, state: str) -> SpanContext:
    return SpanContext(
        trace_id=int(place.trace, 16),
        span_id=int(span, 16),
        is_remote=False,
        trace_flags=TraceFlags(int(place.flags, 16)),
        trace_state=TraceState.from_header([state]) if state else None,
    )


def _about(header: ExecutionHeader) -> dict[str, str | int]:
    return {
        "podium.workflow_id": header.id,
        "podium.workflow": header.name,
        "podium.workflow_version": header.version,
    }

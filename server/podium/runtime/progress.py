"""How tasks and executions go on, counted as it is committed: latencies, ends by status.

Told of every durable commit, hand-out and answer of this server; decides nothing. Times are those
of the records, so a task counts the same whichever servers it went through; it counts where it
ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.engine.command import Outcome, ReportResult
from podium.engine.timing import ready_ms_of
from podium.model.execution import TaskStatus
from podium.runtime.measure import WAIT_MS_BOUNDS, Histogram, Named, Tally
from podium.runtime.tracing import PassOn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.engine.command import Command, Rejected
    from podium.engine.transition import Transition
    from podium.model.execution import ExecutionHeader, TaskChange, TaskRecord
    from podium.model.queue import LeaseKind
    from podium.protocol.frame import LeaseName
    from podium.runtime.clock import Clock
    from podium.runtime.tracing import Tracer

ENDS: Final = frozenset(status.value for status in TaskStatus if status.terminal)
FLYING_MAX: Final = 20_000
"""Hand-outs whose arrival is awaited; beyond, the oldest are not measured."""
REJECTED: Final = "rejected"


class TypeProgress:
    """Tasks of one type. Each time begins when the task was ready, but for `received`."""

    __slots__ = ("ended", "finished", "granted", "handed_out", "held", "received")

    def __init__(self) -> None:
        self.granted = Tally()
        """Leases, by kind."""
        self.handed_out = Histogram(WAIT_MS_BOUNDS)
        """Ready → the lease is durable and on its way."""
        self.received = Histogram(WAIT_MS_BOUNDS)
        """Handed out → the worker said that it has it (streams only)."""
        self.held = Histogram(WAIT_MS_BOUNDS)
        """Handed out first → ended."""
        self.finished = Histogram(WAIT_MS_BOUNDS)
        """Ready → ended."""
        self.ended = Tally()
        """By status."""


class WorkflowProgress:
    """Executions of one workflow."""

    __slots__ = ("ended", "lasted", "reopened", "started")

    def __init__(self) -> None:
        self.started = 0
        self.reopened = 0
        """Ended executions that run again: retried, restarted, rerun."""
        self.ended = Tally()
        """By status."""
        self.lasted = Histogram(WAIT_MS_BOUNDS)
        """Created → ended, reopened or not."""


class Progress:
    """Of one server."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._flying: dict[tuple[str, int], tuple[int, TypeProgress]] = {}
        self.tracer: Tracer = PassOn()
        self.types = Named(TypeProgress)
        self.workflows = Named(WorkflowProgress)
        self.results = Tally()
        """Results of workers, by what became of them."""

    def handed_out(self, task: TaskRecord, kind: LeaseKind) -> None:
        """A durable lease goes to its worker."""
        now_ms = self._clock.now_ms()
        progress = self.types.of(task.task_type)
        progress.granted.add(kind)
        progress.handed_out.add(now_ms - ready_ms_of(task))
        if kind == "stream":
            self._flying[task.id, task.lease_epoch] = now_ms, progress
            if len(self._flying) > FLYING_MAX:
                del self._flying[next(iter(self._flying))]

    def received(self, leases: Sequence[LeaseName]) -> None:
        """A worker said that it has them."""
        self.tracer.received(leases)
        now_ms = self._clock.now_ms()
        for lease in leases:
            flight = self._flying.pop((lease.task_id, lease.lease_epoch), None)
            if flight is not None:
                flight[1].received.add(now_ms - flight[0])

    def answered(self, command: Command, outcome: Outcome | Rejected) -> None:
        """What became of a command."""
        if isinstance(command, ReportResult):
            self.results.add(outcome.verdict if isinstance(outcome, Outcome) else REJECTED)

    def unreadable(self, count: int) -> None:
        """Results that could not even be read."""
        for _ in range(count):
            self.results.add(REJECTED)

    def committed(self, before: ExecutionHeader | None, transition: Transition) -> None:
        """A commit is durable; `before` = the header it was decided on."""
        header = transition.header
        if header.trace_parent:
            self.tracer.committed(before, transition)
        if transition.created:
            self.workflows.of(header.name).started += 1
        was_over = before is not None and before.status.terminal
        if header.status.terminal != was_over:
            self._turned(header)
        if transition.history is not None:
            for change in transition.history.changes:
                if change.status_to in ENDS and change.status_from != change.status_to:
                    self._ended(change, transition)

    def _turned(self, header: ExecutionHeader) -> None:
        workflow = self.workflows.of(header.name)
        if header.status.terminal:
            workflow.ended.add(header.status)
            workflow.lasted.add(header.ended_ms - header.created_ms)
        else:
            workflow.reopened += 1

    def _ended(self, change: TaskChange, transition: Transition) -> None:
        task = transition.tasks.get(change.key)
        if task is None or task.attempt != change.attempt:
            task = transition.attempts.get((change.key, change.attempt))
        if task is None:  # removed in the same commit
            return
        progress = self.types.of(task.task_type)
        progress.ended.add(task.status)
        if task.queue is None:
            return
        end_ms, start_ms = task.end_ms, task.start_ms
        progress.finished.add(end_ms - ready_ms_of(task))
        if start_ms:
            progress.held.add(end_ms - start_ms)
            self._flying.pop((task.id, task.lease_epoch), None)

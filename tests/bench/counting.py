"""What it costs to count: `python -m tests.bench.counting` prints ns per event, and per workflow.

CPU time of the counters alone, with what a one-task workflow makes them count: two calls, a task.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from podium.api.call_counts import CallCounts
from podium.engine.command import Outcome, ReportResult, Verdict
from podium.engine.transition import Transition
from podium.model.execution import (
    ExecutionHeader,
    HistoryRow,
    TaskChange,
    TaskRecord,
    TaskStatus,
    WorkflowStatus,
)
from podium.model.queue import Queue
from podium.runtime.clock import SystemClock
from podium.runtime.measure import CALL_US_BOUNDS, Histogram
from podium.runtime.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS: Final = 100_000
TASK: Final = TaskRecord(
    id="3f0e8400-e29b-41d4-a716-446655440000.a.1",
    key="a",
    attempt=1,
    seq=1,
    ref="a",
    node=0,
    task_type="resize",
    def_name="resize",
    status=TaskStatus.COMPLETED,
    queue=Queue("resize"),
    score=1_000,
    start_ms=1_002,
    end_ms=1_010,
    lease_epoch=1,
)
RUNNING: Final = ExecutionHeader(
    id="3f0e8400-e29b-41d4-a716-446655440000",
    name="flow",
    version=1,
    digest="d",
    status=WorkflowStatus.RUNNING,
    created_ms=1_000,
    updated_ms=1_000,
)


class OpenCall:
    """A call that ends well."""

    def code(self) -> object:
        return None


def main() -> None:
    """Print a line per event; the last sums up a one-task workflow."""
    clock = SystemClock()
    progress, calls = Progress(clock), CallCounts(clock.now_us)
    histogram = Histogram(CALL_US_BOUNDS)
    report = ReportResult(task_id=TASK.id, status=TaskStatus.COMPLETED, lease_epoch=1)
    answer = Outcome(Verdict.OK)

    def call() -> None:
        with calls.measured("/a.B/C", OpenCall()):
            pass

    costs = {
        "a value into a histogram": per_event(lambda: histogram.add(3_000)),
        "a start committed": per_event(lambda: progress.committed(None, began())),
        "a hand-out": per_event(lambda: progress.handed_out(TASK, "stream")),
        "a result answered": per_event(lambda: progress.answered(report, answer)),
        "an end committed": per_event(lambda: progress.committed(RUNNING, ended())),
        "a gRPC call": per_event(call),
    }
    for name, cost_ns in costs.items():
        print(f"{name}: {cost_ns} ns")
    print(f"a one-task workflow: {(sum(costs.values()) + costs['a gRPC call']) / 1000:.1f} us")


def began() -> Transition:
    return BEGAN


def ended() -> Transition:
    return ENDED


def per_event(event: Callable[[], None]) -> int:
    """The best of five rounds, in ns."""
    best = 0
    for _ in range(5):
        began_ns = time.process_time_ns()
        for _ in range(ROUNDS // 5):
            event()
        spent = (time.process_time_ns() - began_ns) // (ROUNDS // 5)
        best = min(best or spent, spent)
    return best


def transition(header: ExecutionHeader, *changes: TaskChange, created: bool) -> Transition:
    """As decide gives it, as far as it is counted."""
    row = HistoryRow(1, 1_000, ("Start",), "bench", header.status, changes)
    return Transition(header=header, created=created, tasks={"a": TASK}, history=row)


BEGAN: Final = transition(
    RUNNING, TaskChange("a", "a", 1, 0, "", "SCHEDULED", 0, TASK.id), created=True
)
ENDED: Final = transition(
    ExecutionHeader(
        id=RUNNING.id,
        name="flow",
        version=1,
        digest="d",
        status=WorkflowStatus.COMPLETED,
        created_ms=1_000,
        updated_ms=1_010,
        ended_ms=1_010,
    ),
    TaskChange("a", "a", 1, 0, "IN_PROGRESS", "COMPLETED", 1, TASK.id),
    created=False,
)

if __name__ == "__main__":
    main()

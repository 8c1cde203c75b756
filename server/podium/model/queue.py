"""Names of queues, deadlines and leases: the vocabulary between engine, store and dispatcher."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

DeadlineKind = Literal["response", "poll", "timeout", "total", "retry", "workflow", "wait"]
LeaseKind = Literal["stream", "poll"]

PRIORITY_MAX: Final = 99
SCORE_CLASS_SPAN: Final = 10**13
"""One priority class spans 10^13 ms; class = 99 - priority, so a higher priority sorts first."""


class Queue(msgspec.Struct, frozen=True, array_like=True):
    """Tasks of one type and domain. `task_type` = task definition name, or the system task type."""

    task_type: str
    domain: str = ""


GATES: Final = "gate\x1f"
"""How the names of gates' queues begin (S-047); no task has a name with a control character."""


def gate_queue(workflow: str, key: str) -> Queue:
    """Where executions of a workflow wait whose evaluated rateLimitKey is `key`."""
    return Queue(f"{GATES}{workflow}\x1f{key}")


def key_in(queue: Queue) -> str:
    """The key of a gate's queue."""
    return queue.task_type.rpartition("\x1f")[2]


class Limits(msgspec.Struct, frozen=True, array_like=True):
    """Admission limits of a task type; 0 = none (S-559, S-560)."""

    concurrent: int = 0
    rate: int = 0
    rate_window_ms: int = 0

    @property
    def limited(self) -> bool:
        """Whether hand-outs need admission by the queue, so no direct hand-off."""
        return self.concurrent > 0 or self.rate > 0


UNLIMITED: Final = Limits()


class Ready(msgspec.Struct, frozen=True, array_like=True):
    """A task that may run now. `score` = class * 10^13 + ready ms; lower is handed out first."""

    task_id: str
    queue: Queue
    score: int
    limits: Limits = UNLIMITED


class Outstanding(msgspec.Struct, frozen=True, array_like=True):
    """Where a task of a queue is that is neither ready nor ended: with whom it was handed out to
    ("leased"), behind a delay ("delayed"), or somebody completes it from outside ("awaited").
    """

    queue: Queue
    state: Literal["leased", "delayed", "awaited"]


class Deadline(msgspec.Struct, frozen=True, array_like=True):
    """One armed deadline; `task_id` is empty for the workflow's own."""

    task_id: str
    kind: DeadlineKind
    at_ms: int


def ready_score(priority: int, ready_ms: int) -> int:
    """The place in a queue: priority first, then age."""
    assert 0 <= priority <= PRIORITY_MAX, priority
    return (PRIORITY_MAX - priority) * SCORE_CLASS_SPAN + ready_ms

"""What is shown of worker streams and parked polls: snapshots, nothing that can be changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from podium.model.queue import LeaseKind, Queue
from podium.runtime.gates import is_gate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium.runtime.seats import QueueState


class QueueCredit(msgspec.Struct, frozen=True):
    """One queue that a worker serves, and how many tasks it would take now."""

    queue: Queue
    credit: int


class StreamView(msgspec.Struct, frozen=True, kw_only=True):
    """One connected worker. `leases`: (task id, epoch), of those whose credit has not come back."""

    worker_id: str
    session: str
    sdk: str
    state: str
    connected_ms: int
    heard_ms: int
    queues: tuple[QueueCredit, ...]
    leases: tuple[tuple[str, int], ...]


class WaitingView(msgspec.Struct, frozen=True, kw_only=True):
    """Those without a stream that wait at one queue here: parked polls, tasks of the server."""

    queue: Queue
    kind: LeaseKind
    worker_ids: tuple[str, ...]
    credit: int


def waiting_of(known: Iterable[QueueState], sessions: frozenset[str]) -> list[WaitingView]:
    """By queue and kind; `sessions` are the streams', which have views of their own."""
    found: list[WaitingView] = []
    for state in known:
        kinds: tuple[LeaseKind, ...] = () if is_gate(state.queue) else ("stream", "poll")
        for kind in kinds:
            others = [
                worker
                for worker in state.workers
                if worker.kind == kind and worker.session not in sessions
            ]
            if others:
                found.append(
                    WaitingView(
                        queue=state.queue,
                        kind=kind,
                        worker_ids=tuple(each.worker_id for each in others),
                        credit=sum(each.credit(state.queue) for each in others),
                    )
                )
    return sorted(found, key=lambda each: (each.queue.task_type, each.queue.domain, each.kind))

"""What is told of a queue in memory to those who look (store/inspection.py). Pure."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from podium.store.inspection import QueueState
from podium.store.queues import DomainQueue

if TYPE_CHECKING:
    from podium.model.queue import Limits, Queue
    from podium.store.queues import Queues

SLOT_HOLDERS_TOLD: Final = 10


def state_of(queues: Queues, queue: Queue, limits: Limits, now_ms: int) -> QueueState:
    """The queue as it is; none is made by asking."""
    of = queues.find(queue.task_type)
    if of is None:
        return QueueState()
    of.expire(now_ms)
    here = of.domains.get(queue.domain) or DomainQueue()
    blocked = of.blocked_until(limits, now_ms)
    return QueueState(
        ready=len(here.places),
        claimed=here.flying,
        wanted=sum(here.wishes.values()),
        slots=of.taken,
        slot_holders=tuple(islice(of.slots, SLOT_HOLDERS_TOLD)),
        starts=sum(start.until_ms > now_ms for start in of.starts),
        admits_ms=-1 if blocked is None else blocked,
    )


def is_queued(queues: Queues, task_id: str, queue: Queue) -> bool:
    """Whether the task is in that queue, in its place or claimed."""
    of = queues.find(queue.task_type)
    if of is None:
        return False
    flight = of.flights.get(task_id)
    if flight is not None:
        return flight.domain == queue.domain
    here = of.domains.get(queue.domain)
    return here is not None and task_id in here.places

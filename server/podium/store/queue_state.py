"""What is told of a queue in memory to those who look (store/inspection.py). Pure."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from podium.model.queue import Queue
from podium.store.domain_queue import DomainQueue
from podium.store.inspection import QueueState
from podium.store.queue_view import QueueCount, Want

if TYPE_CHECKING:
    from podium.model.queue import Limits
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


def counts_of(queues: Queues, task_type: str, now_ms: int) -> list[QueueCount]:
    """Of each domain of a type that is used, in order."""
    of = queues.find(task_type)
    if of is None:
        return []
    of.expire(now_ms)
    return [
        QueueCount(
            queue=Queue(task_type, name),
            ready=len(each.places),
            claimed=each.flying,
            oldest_ms=each.oldest_ms(),
            wants=tuple(sorted(Want(*wish, count) for wish, count in each.wishes.items())),
        )
        for name, each in sorted(of.used())
    ]


def places_of(queues: Queues, task_type: str) -> list[tuple[str, Queue]]:
    """Tasks in their places, claimed ones not among them."""
    of = queues.find(task_type)
    domains = {} if of is None else of.domains
    return [(each, Queue(task_type, name)) for name in domains for each in domains[name].places]

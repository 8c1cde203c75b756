"""Queues in memory: ready tasks by score, claims that expire, waiting servers, limits (distribution §1).

A queue is a cache of the `ready` and `slot` entries and can be made anew from them; the memory and
sqlite stores share this. All domains of a task type stand together, since its limits count over
them. Pure: the caller gives the time.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from podium.model.queue import Queue
from podium.store.port import CLAIM_MS, Assigned, Claim, Waiting, WantResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium.model.queue import LeaseKind, Limits, Ready
    from podium.store.port import PushResult

Wish = tuple[str, "LeaseKind"]
"""(server, kind)."""


class Flight:
    """A claimed task: invisible until its lease is settled or the claim ends."""

    __slots__ = ("domain", "score", "until_ms")

    def __init__(self, domain: str, score: int, until_ms: int) -> None:
        self.domain = domain
        self.score = score
        self.until_ms = until_ms


class TypeQueue:
    """All queues of one task type."""

    def __init__(self, task_type: str) -> None:
        self.task_type = task_type
        self.places: dict[str, tuple[str, int]] = {}
        """Ready tasks: task id → (domain, score)."""
        self.heaps: dict[str, list[tuple[int, str]]] = {}
        """By domain; entries that no longer match `places` are dropped when met."""
        self.flights: dict[str, Flight] = {}
        self.slots: dict[str, None] = {}
        self.wishes: dict[str, OrderedDict[Wish, int]] = {}
        self.starts: deque[int] = deque()
        self._ends: list[tuple[int, str]] = []

    def expire(self, now_ms: int) -> None:
        """Return ended claims to their places, with their old score."""
        while self._ends and self._ends[0][0] <= now_ms:
            until_ms, task_id = heapq.heappop(self._ends)
            flight = self.flights.get(task_id)
            if flight is not None and flight.until_ms == until_ms:
                del self.flights[task_id]
                self.place(task_id, flight.domain, flight.score)

    def place(self, task_id: str, domain: str, score: int) -> None:
        if self.places.get(task_id) != (domain, score):
            self.places[task_id] = (domain, score)
            heapq.heappush(self.heaps.setdefault(domain, []), (score, task_id))

    def head(self, domain: str) -> tuple[int, str] | None:
        """(score, task id) of the first ready task of a domain."""
        heap = self.heaps.get(domain)
        while heap:
            score, task_id = heap[0]
            if self.places.get(task_id) == (domain, score):
                return score, task_id
            heapq.heappop(heap)
        return None

    def fly(self, task_id: str, domain: str, score: int, now_ms: int) -> None:
        """Claim a placed task."""
        del self.places[task_id]
        self.flights[task_id] = Flight(domain, score, now_ms + CLAIM_MS)
        heapq.heappush(self._ends, (now_ms + CLAIM_MS, task_id))

    def drop(self, task_id: str) -> None:
        """The task is no longer queued in any way (its slot stays)."""
        self.places.pop(task_id, None)
        self.flights.pop(task_id, None)

    def blocked_until(self, limits: Limits, now_ms: int) -> int | None:
        """None = a hand-out is admitted; else when it will be (0 = when a slot is released)."""
        if limits.concurrent > 0:
            taken = len(self.slots) + sum(1 for each in self.flights if each not in self.slots)
            if taken >= limits.concurrent:
                return self.flight_end()
        if limits.rate > 0:
            while self.starts and self.starts[0] <= now_ms - limits.rate_window_ms:
                self.starts.popleft()
            if len(self.starts) >= limits.rate:
                return self.starts[len(self.starts) - limits.rate] + limits.rate_window_ms
        return None

    def flight_end(self) -> int:
        """When the first claim ends; 0 without claims."""
        return min((flight.until_ms for flight in self.flights.values()), default=0)


class Queues:
    """Queues by task type."""

    def __init__(self) -> None:
        self._types: dict[str, TypeQueue] = {}

    def rebuild(self, ready: Iterable[Ready], slots: Iterable[tuple[str, Queue]]) -> None:
        """Make everything anew from the truth; wishes are told again by their servers."""
        self._types.clear()
        for each in ready:
            self._of(each.queue).place(each.task_id, each.queue.domain, each.score)
        for task_id, queue in slots:
            self._of(queue).slots[task_id] = None

    def push_assign(self, ready: Ready, now_ms: int) -> PushResult:
        of = self._of(ready.queue)
        of.expire(now_ms)
        flight = of.flights.get(ready.task_id)
        if flight is not None:
            return Waiting("in_flight", flight.until_ms)
        of.place(ready.task_id, ready.queue.domain, ready.score)
        return self._assign(of, ready.queue.domain, ready.limits, now_ms)

    def want(  # noqa: PLR0913 - the verb's arguments and the time
        self,
        server: str,
        queue: Queue,
        count: int,
        *,
        kind: LeaseKind,
        limits: Limits,
        now_ms: int,
    ) -> WantResult:
        of = self._of(queue)
        of.expire(now_ms)
        wishes = of.wishes.setdefault(queue.domain, OrderedDict())
        wishes.pop((server, kind), None)
        claims: list[Claim] = []
        blocked: int | None = None
        while len(claims) < count and (head := of.head(queue.domain)) is not None:
            blocked = of.blocked_until(limits, now_ms)
            if blocked is not None:
                break
            score, task_id = head
            self._start(of, task_id, queue.domain, score, now_ms, limits)
            claims.append(Claim(task_id, score))
        if len(claims) < count:
            wishes[server, kind] = count - len(claims)
        if blocked is None and len(claims) < count:
            blocked = of.flight_end() if not claims else 0
        more = of.head(queue.domain) is not None
        return WantResult(tuple(claims), backlog=more, at_ms=blocked or 0)

    def settle(self, task_id: str, queue: Queue, *, hold: bool) -> None:
        of = self._of(queue)
        of.drop(task_id)
        if hold:
            of.slots[task_id] = None

    def unclaim(self, task_id: str, queue: Queue) -> None:
        self._of(queue).drop(task_id)

    def release(self, task_id: str, queue: Queue, limits: Limits, now_ms: int) -> PushResult | None:
        of = self._of(queue)
        of.expire(now_ms)
        of.slots.pop(task_id, None)
        heads = [(head, domain) for domain in list(of.heaps) if (head := of.head(domain))]
        for _, domain in sorted(heads):
            if of.wishes.get(domain):
                return self._assign(of, domain, limits, now_ms)
        return Waiting("backlog") if heads else None

    def forget_server(self, server: str) -> None:
        """A member that left waits for nothing."""
        for of in self._types.values():
            for wishes in of.wishes.values():
                for kind in ("stream", "poll"):
                    wishes.pop((server, kind), None)

    def size(self, queue: Queue) -> int:
        """Ready and claimed tasks of one queue."""
        of = self._of(queue)
        placed = sum(1 for domain, _ in of.places.values() if domain == queue.domain)
        return placed + sum(1 for each in of.flights.values() if each.domain == queue.domain)

    def placed(self) -> dict[str, Queue]:
        """Every ready or claimed task with its queue (checkers compare it with the truth)."""
        found: dict[str, Queue] = {}
        for of in self._types.values():
            for task_id, (domain, _) in of.places.items():
                found[task_id] = Queue(of.task_type, domain)
            for task_id, flight in of.flights.items():
                found[task_id] = Queue(of.task_type, flight.domain)
        return found

    def slots(self) -> set[str]:
        """Tasks that occupy a limited slot."""
        return {task_id for of in self._types.values() for task_id in of.slots}

    def _of(self, queue: Queue) -> TypeQueue:
        of = self._types.get(queue.task_type)
        if of is None:
            of = self._types[queue.task_type] = TypeQueue(queue.task_type)
        return of

    def _assign(self, of: TypeQueue, domain: str, limits: Limits, now_ms: int) -> PushResult:
        """Hand the head of a domain to the server that was served longest ago."""
        wishes = of.wishes.get(domain)
        head = of.head(domain)
        if not wishes or head is None:
            return Waiting("backlog")
        blocked = of.blocked_until(limits, now_ms)
        if blocked is not None:
            return Waiting("limited", blocked)
        (server, kind), count = next(iter(wishes.items()))
        del wishes[server, kind]
        if count > 1:
            wishes[server, kind] = count - 1
        score, task_id = head
        self._start(of, task_id, domain, score, now_ms, limits)
        return Assigned(task_id, Queue(of.task_type, domain), server, kind, score)

    def _start(  # noqa: PLR0913 - one claim's facts
        self,
        of: TypeQueue,
        task_id: str,
        domain: str,
        score: int,
        now_ms: int,
        limits: Limits,
    ) -> None:
        of.fly(task_id, domain, score, now_ms)
        if limits.rate > 0:
            of.starts.append(now_ms)

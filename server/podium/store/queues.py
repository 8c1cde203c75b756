"""Queues in memory: ready tasks by score, claims that expire, waiting servers, limits.

A cache (distribution.md §1) of the stored `ready` and `slot` entries that can be made anew from
them; the memory and sqlite stores share it. All domains of a task type stand together, since limits
count over them. Every operation is O(log n): heaps whose outdated entries are dropped when they
reach the top. Pure: the caller gives the time.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from podium.model.queue import Queue
from podium.store.domain_queue import DomainQueue
from podium.store.port import CLAIM_MS, Assigned, Claim, Waiting, WantResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium.model.queue import Limits, Ready
    from podium.store.domain_queue import Wish
    from podium.store.port import PushResult


class Start(NamedTuple):
    """A hand-out of a rate-limited type; it counts until `until_ms`."""

    task_type: str
    at_ms: int
    until_ms: int


class Flight:
    """A claimed task: invisible until its lease is stored, it is dropped, or the claim ends."""

    __slots__ = ("domain", "score", "until_ms")

    def __init__(self, domain: str, score: int | None, until_ms: int) -> None:
        self.domain = domain
        self.score = score
        """None = it is in no queue: nothing returns when the claim ends."""
        self.until_ms = until_ms


class TypeQueue:
    """All queues of one task type, with what its limits count."""

    def __init__(self, task_type: str) -> None:
        self.task_type = task_type
        self.domains: dict[str, DomainQueue] = {}
        self.flights: dict[str, Flight] = {}
        self.slots: dict[str, Queue] = {}
        self.starts: deque[Start] = deque()
        self._flying_slots = 0
        """Claimed tasks that occupy a slot already, so that none is counted twice."""
        self._ends: list[tuple[int, str]] = []

    def domain(self, name: str) -> DomainQueue:
        found = self.domains.get(name)
        if found is None:
            found = self.domains[name] = DomainQueue()
        return found

    def expire(self, now_ms: int) -> None:
        """Return ended claims to their places, with their old score."""
        while (end := self._first_end()) is not None and end[0] <= now_ms:
            flight = self.land(end[1])
            assert flight is not None
            if flight.score is not None:
                self.domain(flight.domain).place(end[1], flight.score)

    def fly(self, task_id: str, domain: str, now_ms: int) -> int:
        """Claim a placed task; answers its score."""
        queue = self.domain(domain)
        score = queue.places[task_id]
        queue.drop(task_id)
        self.take_off(task_id, domain, score, now_ms)
        return score

    def take_off(self, task_id: str, domain: str, score: int | None, now_ms: int) -> None:
        """Begin a claim; of a task that is in no queue without a score."""
        self.domain(domain).flying += 1
        self.flights[task_id] = Flight(domain, score, now_ms + CLAIM_MS)
        self._flying_slots += task_id in self.slots
        heapq.heappush(self._ends, (now_ms + CLAIM_MS, task_id))

    def land(self, task_id: str) -> Flight | None:
        """End a claim."""
        flight = self.flights.pop(task_id, None)
        if flight is not None:
            self.domain(flight.domain).flying -= 1
            self._flying_slots -= task_id in self.slots
        return flight

    def hold(self, task_id: str, queue: Queue) -> None:
        if task_id not in self.slots:
            self.slots[task_id] = queue
            self._flying_slots += task_id in self.flights

    def free(self, task_id: str) -> None:
        if self.slots.pop(task_id, None) is not None:
            self._flying_slots -= task_id in self.flights

    @property
    def idle(self) -> bool:
        """Nothing is in it, counts or is waited for."""
        busy = self.flights or self.slots or self.starts
        return not busy and not any(each.places or each.wishes for each in self.domains.values())

    @property
    def taken(self) -> int:
        """Slots in use by leases and claims."""
        return len(self.slots) + len(self.flights) - self._flying_slots

    def used(self) -> Iterable[tuple[str, DomainQueue]]:
        """Domains in which something is queued, claimed or waited for."""
        return (
            (name, each)
            for name, each in self.domains.items()
            if each.places or each.flying or each.wishes
        )

    def flight_end(self) -> int:
        """When the first claim ends; 0 without claims."""
        end = self._first_end()
        return 0 if end is None else end[0]

    def blocked_until(self, limits: Limits, now_ms: int) -> int | None:
        """None = a hand-out is admitted; else when it may be (0 = when a slot is released)."""
        if limits.concurrent > 0 and self.taken >= limits.concurrent:
            return self.flight_end()
        if limits.rate > 0:
            return self._rate_until(limits, now_ms)
        return None

    def _rate_until(self, limits: Limits, now_ms: int) -> int | None:
        """Exact over every window (S-559): the start `rate` ago must have left the window."""
        starts = self.starts
        while starts and starts[0].until_ms <= now_ms:
            starts.popleft()
        if len(starts) < limits.rate:
            return None
        free_ms = starts[len(starts) - limits.rate].at_ms + limits.rate_window_ms
        return free_ms if free_ms > now_ms else None

    def _first_end(self) -> tuple[int, str] | None:
        while self._ends:
            until_ms, task_id = self._ends[0]
            flight = self.flights.get(task_id)
            if flight is not None and flight.until_ms == until_ms:
                return self._ends[0]
            heapq.heappop(self._ends)
        return None


class Queues:
    """Queues by task type."""

    def __init__(self) -> None:
        self._types: dict[str, TypeQueue] = {}
        self.started: list[Start] = []
        """Starts of rate-limited types since the owner of this list emptied it."""

    def rebuild(
        self,
        ready: Iterable[Ready],
        slots: Iterable[tuple[str, Queue]],
        starts: Iterable[Start] = (),
    ) -> None:
        """Make everything anew from the truth; wishes are told again by their servers."""
        self._types.clear()
        self.started.clear()
        for each in ready:
            self._of(each.queue).domain(each.queue.domain).place(each.task_id, each.score)
        for task_id, queue in slots:
            self._of(queue).hold(task_id, queue)
        for start in starts:
            self._of(Queue(start.task_type)).starts.append(start)

    def push_assign(self, ready: Ready, now_ms: int) -> PushResult:
        of = self._of(ready.queue)
        of.expire(now_ms)
        flight = of.flights.get(ready.task_id)
        if flight is not None:
            return Waiting("in_flight", flight.until_ms)
        queue = of.domain(ready.queue.domain)
        queue.place(ready.task_id, ready.score)
        return self._assign(of, ready.queue, ready.limits, now_ms)

    def want(
        self, wish: Wish, queue: Queue, count: int, *, limits: Limits, now_ms: int
    ) -> WantResult:
        of = self._of(queue)
        of.expire(now_ms)
        waiting = of.domain(queue.domain)
        claims: list[Claim] = []
        blocked: int | None = None
        while len(claims) < count and (head := waiting.head()) is not None:
            blocked = of.blocked_until(limits, now_ms)
            if blocked is not None:
                break
            claims.append(Claim(head[1], self._start(of, head[1], queue, limits, now_ms)))
        if claims:
            waiting.serve(wish)
        if len(claims) < count:
            waiting.wishes[wish] = count - len(claims)
        else:
            waiting.wishes.pop(wish, None)
        if blocked is None and count > 0 and not claims:
            blocked = of.flight_end()
        if count == 0 and of.idle:
            del self._types[of.task_type]
        return WantResult(tuple(claims), waiting.head() is not None, blocked or 0)

    def admit(self, task_id: str, queue: Queue, limits: Limits, now_ms: int) -> bool:
        """Claim a slot for what is in no queue; see the port."""
        of = self._of(queue)
        of.expire(now_ms)
        if task_id in of.flights or task_id in of.slots:
            return True
        if of.domain(queue.domain).places:
            return False
        if of.blocked_until(limits, now_ms) is not None:
            return False
        of.take_off(task_id, queue.domain, None, now_ms)
        return True

    def place(self, ready: Ready) -> None:
        """Into its place, without handing anything out."""
        self._of(ready.queue).domain(ready.queue.domain).place(ready.task_id, ready.score)

    def land(self, task_id: str, queue: Queue) -> None:
        """The task is no longer claimed; it does not go back to its place."""
        self._of(queue).land(task_id)

    def drop(self, task_id: str, queue: Queue) -> None:
        """The task is no longer queued or claimed (its slot stays)."""
        of = self._of(queue)
        of.land(task_id)
        of.domain(queue.domain).drop(task_id)

    def hold(self, task_id: str, queue: Queue) -> None:
        """The task occupies a limited slot."""
        self._of(queue).hold(task_id, queue)

    def free(self, task_id: str, queue: Queue) -> None:
        """The task occupies no slot any more."""
        self._of(queue).free(task_id)

    def advance(self, queue: Queue, limits: Limits, now_ms: int) -> PushResult | None:
        """A slot came free: hand out the best head that is waited for; None = nothing is ready."""
        of = self._of(queue)
        of.expire(now_ms)
        heads = sorted(
            (head, name) for name, each in of.domains.items() if (head := each.head()) is not None
        )
        for _, name in heads:
            if of.domains[name].wishes:
                return self._assign(of, Queue(of.task_type, name), limits, now_ms)
        return Waiting("backlog") if heads else None

    def forget_server(self, server: str) -> None:
        """A member that left waits for nothing."""
        for of in self._types.values():
            for each in of.domains.values():
                each.forget(server)

    def size(self, queue: Queue) -> int:
        """Ready and claimed tasks of one queue; asking makes none."""
        of = self._types.get(queue.task_type)
        each = of.domains.get(queue.domain) if of is not None else None
        return 0 if each is None else len(each.places) + each.flying

    def types(self) -> list[str]:
        """Task types in whose queues something is, or is waited for."""
        return [name for name, of in self._types.items() if any(of.used())]

    def find(self, task_type: str) -> TypeQueue | None:
        """All queues of a type, None where nothing is known of it."""
        return self._types.get(task_type)

    def placed(self) -> dict[str, Queue]:
        """Every ready or claimed task with its queue (checkers compare it with the truth)."""
        found: dict[str, Queue] = {}
        for of in self._types.values():
            for name, each in of.domains.items():
                found.update(dict.fromkeys(each.places, Queue(of.task_type, name)))
            for task_id, flight in of.flights.items():
                found[task_id] = Queue(of.task_type, flight.domain)
        return found

    def starts(self) -> list[Start]:
        """Hand-outs of rate-limited types that may still count, in order."""
        return sorted(start for of in self._types.values() for start in of.starts)

    def slots(self) -> set[str]:
        """Tasks that occupy a limited slot."""
        return {task_id for of in self._types.values() for task_id in of.slots}

    def _of(self, queue: Queue) -> TypeQueue:
        of = self._types.get(queue.task_type)
        if of is None:
            of = self._types[queue.task_type] = TypeQueue(queue.task_type)
        return of

    def _assign(self, of: TypeQueue, queue: Queue, limits: Limits, now_ms: int) -> PushResult:
        """Hand the head of a domain to the server that was served longest ago."""
        waiting = of.domain(queue.domain)
        wish, head = waiting.longest_waiting(), waiting.head()
        if wish is None or head is None:
            return Waiting("backlog")
        blocked = of.blocked_until(limits, now_ms)
        if blocked is not None:
            return Waiting("limited", blocked)
        left = waiting.wishes[wish] - 1
        if left > 0:
            waiting.wishes[wish] = left
        else:
            del waiting.wishes[wish]
        waiting.serve(wish)
        score = self._start(of, head[1], queue, limits, now_ms)
        return Assigned(head[1], queue, wish[0], wish[1], score)

    def _start(self, of: TypeQueue, task_id: str, queue: Queue, limits: Limits, now_ms: int) -> int:
        if limits.rate > 0:
            start = Start(of.task_type, now_ms, now_ms + limits.rate_window_ms)
            of.starts.append(start)
            self.started.append(start)
        return of.fly(task_id, queue.domain, now_ms)

"""Ready tasks of one queue in order, and who waits for them.

One heap for each priority class that is there: the head of the queue is that of the first class,
the oldest task one of the heads. Entries that are outdated are dropped when they reach the top.
"""

from __future__ import annotations

import heapq
from typing import Final

from podium.model.queue import SCORE_CLASS_SPAN, LeaseKind

Wish = tuple[str, LeaseKind]
"""(server, kind)."""
STALE_HEAP_FACTOR: Final = 4
"""Heaps are made anew when they hold this many times more entries than tasks (and are not tiny)."""
STALE_HEAP_MIN: Final = 64


class DomainQueue:
    """Tasks of one type and domain. Every operation is O(log n)."""

    __slots__ = ("_entries", "_heaps", "_serial", "flying", "places", "served", "wishes")

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        """Task id → score; the heaps may hold more."""
        self.flying = 0
        self._heaps: dict[int, list[tuple[int, str]]] = {}
        """By priority class, which the score begins with."""
        self._entries = 0
        self.wishes: dict[Wish, int] = {}
        self.served: dict[Wish, int] = {}
        """When each was served last, as a rising number: who waited longest is first."""
        self._serial = 0

    def place(self, task_id: str, score: int) -> None:
        if self.places.get(task_id) != score:
            self.places[task_id] = score
            self._push(task_id, score)
            self._tidy()

    def head(self) -> tuple[int, str] | None:
        """(score, task id) of the first; equal scores go by id."""
        while self._heaps:
            first = self._head_of(min(self._heaps))
            if first is not None:
                return first
        return None

    def oldest_ms(self) -> int:
        """When the task became ready that has been for longest; 0 = none is."""
        heads = [self._head_of(each) for each in list(self._heaps)]
        return min((each[0] % SCORE_CLASS_SPAN for each in heads if each is not None), default=0)

    def drop(self, task_id: str) -> None:
        if self.places.pop(task_id, None) is not None:
            self._tidy()

    @property
    def entries(self) -> int:
        """Of the heaps, outdated ones included."""
        return self._entries

    def _push(self, task_id: str, score: int) -> None:
        heap = self._heaps.setdefault(score // SCORE_CLASS_SPAN, [])
        heapq.heappush(heap, (score, task_id))
        self._entries += 1

    def _head_of(self, priority_class: int) -> tuple[int, str] | None:
        """The first of a class; a class that is empty goes."""
        heap = self._heaps[priority_class]
        while heap:
            score, task_id = heap[0]
            if self.places.get(task_id) == score:
                return score, task_id
            heapq.heappop(heap)
            self._entries -= 1
        del self._heaps[priority_class]
        return None

    def _tidy(self) -> None:
        if self._entries > STALE_HEAP_FACTOR * len(self.places) + STALE_HEAP_MIN:
            self._heaps.clear()
            self._entries = 0
            for task_id, score in self.places.items():
                self._push(task_id, score)

    def longest_waiting(self) -> Wish | None:
        """Whose turn it is; among those never served, who asked first."""
        return min(self.wishes, key=lambda wish: self.served.get(wish, 0), default=None)

    def serve(self, wish: Wish) -> None:
        self._serial += 1
        self.served[wish] = self._serial

    def forget(self, server: str) -> None:
        for wish in [each for each in self.wishes if each[0] == server]:
            del self.wishes[wish]
        for wish in [each for each in self.served if each[0] == server]:
            del self.served[wish]

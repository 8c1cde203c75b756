"""Group commit: one group in flight, the next takes everything that waits.

An idle server adds no wait. A busy one (more than a few commits came while a group was in flight)
lets at least GROUP_GAP_MS pass between the starts of two groups, since frames and syncs cost more
than tasks (architecture §3). Knows nothing of what a commit means.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from podium.runtime.clock import US_PER_MS
from podium.runtime.measure import CALL_US_BOUNDS, SIZE_BOUNDS, Histogram
from podium.store.port import OUTBOX_DONE_LIMIT, Committed, StoreError, partition_of

if TYPE_CHECKING:
    from podium.runtime.clock import Clock
    from podium.store.port import Commit, CommitResult, Store

GROUP_GAP_MS: Final = 6
"""Measured with tests/bench, ten-task sequences: 3 ms gives 13 % less, 10 ms no more."""
AT_REST_COMMITS_MAX: Final = 4
"""So many, in flight and waiting, come of two or three flows: nobody gains by letting them wait."""
GROUP_COMMITS_MAX: Final = 256
"""Bounds the time a group keeps the store (and the loop) busy."""
DONE_FLUSH_MS: Final = 200
"""Carried-out effects ride on the next commit of their partition, or are told after this time."""


class Receiver(Protocol):
    """Told the fate of one commit: a result, or the store's error."""

    def __call__(self, result: CommitResult | StoreError) -> None: ...


class Committer:
    """Queues commits and sends them in groups; what a group's receivers cause in that loop turn
    (pushes, frames) travels together as well.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: list[tuple[Commit, Receiver]] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._done: dict[int, list[tuple[str, int]]] = {}
        self._done_timer: asyncio.TimerHandle | None = None
        self._flushes: set[asyncio.Task[None]] = set()
        self.groups = 0
        self.commits = 0
        self.failures = 0
        """Groups that the store did not take, or whose fate it did not tell."""
        self.group_sizes = Histogram(SIZE_BOUNDS)
        self.group_us = Histogram(CALL_US_BOUNDS)
        """From the call of the store to its answer: the group is durable then."""

    def put(self, commit: Commit, receiver: Receiver) -> None:
        """Queue one commit; the receiver is called in the loop when its fate is known."""
        self._waiting.append((commit, receiver))
        self._idle.clear()
        self._wake.set()

    def effect_done(self, partition: int, incarnation: str, sequence: int) -> None:
        """Note an outbox entry as carried out; it is stored lazily, repeating it does no harm."""
        self._done.setdefault(partition, []).append((incarnation, sequence))
        if self._done_timer is None:
            self._done_timer = self._clock.call_later(DONE_FLUSH_MS, self._flush_done)

    async def run(self) -> None:
        """Send groups until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                began_us = self._clock.now_us()
                busy = await self._send(self._take())
                if self._waiting and busy:
                    rest_ms = GROUP_GAP_MS - (self._clock.now_us() - began_us) // US_PER_MS
                    await self._clock.sleep(max(rest_ms, 0))
            self._idle.set()

    async def drain(self) -> None:
        """Wait until nothing waits and nothing is in flight."""
        await self._idle.wait()
        await self.tell_done()

    def _take(self) -> list[tuple[Commit, Receiver]]:
        group, self._waiting = (
            self._waiting[:GROUP_COMMITS_MAX],
            self._waiting[GROUP_COMMITS_MAX:],
        )
        if not self._done:
            return group
        return [(self._with_done(commit), receiver) for commit, receiver in group]

    def _with_done(self, commit: Commit) -> Commit:
        partition = partition_of(commit.workflow_id)
        done = self._done.pop(partition, None)
        if done is None:
            return commit
        if len(done) > OUTBOX_DONE_LIMIT:
            self._done[partition] = done[OUTBOX_DONE_LIMIT:]
        return msgspec.structs.replace(commit, outbox_done=tuple(done[:OUTBOX_DONE_LIMIT]))

    async def _send(self, group: list[tuple[Commit, Receiver]]) -> bool:
        """Whether much came meanwhile; what follows from the group itself is not meant."""
        self.groups += 1
        self.commits += len(group)
        self.group_sizes.add(len(group))
        began_us = self._clock.now_us()
        try:
            results: list[CommitResult] | list[StoreError] = await self._store.commit(
                [commit for commit, _ in group]
            )
        except StoreError as error:
            results = [error] * len(group)
            self.failures += 1
        self.group_us.add(self._clock.now_us() - began_us)
        busy = bool(self._waiting) and len(self._waiting) + len(group) > AT_REST_COMMITS_MAX
        for (commit, receiver), result in zip(group, results, strict=True):
            if not isinstance(result, Committed):
                self._done_again(commit)
            receiver(result)
        return busy

    def _done_again(self, commit: Commit) -> None:
        for incarnation, sequence in commit.outbox_done:
            self.effect_done(partition_of(commit.workflow_id), incarnation, sequence)

    def _flush_done(self) -> None:
        self._done_timer = None
        if self._done:
            task = asyncio.get_running_loop().create_task(self.tell_done())
            self._flushes.add(task)
            task.add_done_callback(self._flushes.discard)

    async def tell_done(self) -> None:
        """Let the store know of all effects that are carried out."""
        done, self._done = self._done, {}
        for partition, entries in sorted(done.items()):
            by_incarnation: dict[str, list[int]] = {}
            for incarnation, sequence in entries:
                by_incarnation.setdefault(incarnation, []).append(sequence)
            for incarnation, sequences in by_incarnation.items():
                try:
                    await self._store.outbox_done(partition, incarnation, sequences)
                except StoreError:
                    for sequence in sequences:
                        self.effect_done(partition, incarnation, sequence)

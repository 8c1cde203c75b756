"""Members: heartbeats, ownership of partitions, taking over from the dead.

Owner of a partition = rendezvous hash over the live incarnations: no record, no lock; two owners
for a moment do no harm, every effect is idempotent. Times: heartbeat 1 s, dead after 3 s without
one, leases of the dead are lost 5 s later; after a store outage nobody is declared dead for 10 s.
"""

from __future__ import annotations

import asyncio
import logging
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from podium.protocol.frame import LeaseName
from podium.runtime.away import DEAD_MS
from podium.runtime.reconciling import Reconciling
from podium.store.port import PARTITIONS, Settle, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from podium.runtime.clock import StoreClock
    from podium.runtime.dispatcher import Dispatcher
    from podium.runtime.executor import Executor
    from podium.runtime.leases import Leases
    from podium.runtime.relay import Relay
    from podium.runtime.timers import Timers
    from podium.store.port import Heartbeat, Store

LOG = logging.getLogger("podium.members")
BEAT_MS: Final = 1_000
SILENT_MS: Final = 2_000
"""A server whose heartbeat fails this long stops granting leases."""
OUTAGE_REST_MS: Final = 10_000
DISTRUST_MS: Final = 30_000
"""On a shared store wishes are told again this often: a message about one may have been lost."""


@lru_cache(maxsize=4096)
def weight(partition: int, incarnation: str) -> int:
    """Rendezvous weight; the live incarnation with the greatest owns the partition."""
    digest = blake2b(f"{partition}:{incarnation}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def owned_by(incarnation: str, live: Sequence[str]) -> tuple[int, ...]:
    """Partitions that this incarnation owns among the live ones (itself included)."""
    others = [each for each in live if each != incarnation]
    return tuple(
        partition
        for partition in range(PARTITIONS)
        if all(
            (weight(partition, incarnation), incarnation) > (weight(partition, each), each)
            for each in others
        )
    )


class Members:
    """This server's view of the others, and what it owns."""

    def __init__(  # noqa: PLR0913 - takes over for every part that can die
        self,
        *,
        store: Store,
        clock: StoreClock,
        executor: Executor,
        dispatcher: Dispatcher,
        leases: Leases,
        relay: Relay,
        timers: Timers,
        incarnation: str,
    ) -> None:
        self._store = store
        self._clock = clock
        self._executor = executor
        self._dispatcher = dispatcher
        self._leases = leases
        self._relay = relay
        self._timers = timers
        self._incarnation = incarnation
        self.owned: tuple[int, ...] = ()
        self.live: tuple[str, ...] = ()
        self._dead_since_ms: dict[str, int] = {}
        self._seen_ms: dict[str, int] = {}
        """Last heartbeat of each member, as the store told it."""
        self._moved: dict[str, tuple[int, int]] = {}
        """That heartbeat, and when it was by this server's own time, which nobody sets."""
        self._looked_ms = 0
        self._carried: dict[str, set[int]] = {}
        self._vanished: dict[str, list[int]] = {}
        """Members off the list, with partitions of this server that nobody carried them for."""
        self._beat_ms = 0
        self._failing = False
        self._rest_until_ms = 0
        self._reconciling = Reconciling(
            store=store,
            clock=clock,
            executor=executor,
            leases=leases,
            dispatcher=dispatcher,
            incarnation=incarnation,
        )
        self._distrusted_ms = clock.steady_ms()
        self.on_beat: Callable[[], None] = _nothing
        self.on_silent: Callable[[], None] = _nothing
        self.on_turn: Callable[[], None] = _nothing  # the store ceases to answer, or does again
        self.concerns: Callable[[], int] = int
        """How often this server told others something, or may have stored what it could not tell:
        while no member's number changes, nobody has a lease that it does not know."""
        self.takeovers = 0

    @property
    def store_reachable(self) -> bool:
        """The heartbeat comes through: the last one did, and not long ago."""
        return not self._failing and self._clock.steady_ms() - self._beat_ms <= DEAD_MS

    async def join(self) -> None:
        """First heartbeat. On an unshared store every other incarnation is dead at once."""
        beat = await self._heartbeat()
        self._beat_ms = self._clock.steady_ms()
        shared = self._store.capabilities.shared
        others = sorted(each for each in beat.members if each != self._incarnation)
        if shared:
            self._see(beat.members, beat.now_ms)
        else:
            self.live = (self._incarnation,)
            self._dead_since_ms = dict.fromkeys(others, self._clock.steady_ms())
        await self._own(owned_by(self._incarnation, self.live))
        await self._carry_dead()

    def listening(self) -> None:
        """Workers can come back from now on: the grace of the dead's leases starts here."""
        now_ms = self._clock.steady_ms()
        if not self._store.capabilities.shared:
            self._dead_since_ms = dict.fromkeys(self._dead_since_ms, now_ms)

    async def run(self) -> None:
        """Beat until cancelled; survives every store failure. Where a beat takes long (a busy loop,
        a takeover), the next one is not later for that.
        """
        spent_ms = 0
        while True:
            await self._clock.sleep(max(BEAT_MS - spent_ms, 0))
            began_ms = self._clock.steady_ms()
            try:
                await self._beat()
            except StoreError:
                self._beat_failed()
            spent_ms = self._clock.steady_ms() - began_ms

    async def leave(self) -> None:
        """A clean stop: off the list unless something is left to take over, or look after."""
        if self._dispatcher.away.in_doubt:
            return
        if await self._store.held(range(PARTITIONS), self._incarnation):
            return
        if not await self._store.outbox(range(PARTITIONS), self._incarnation):
            await self._store.forget(self._incarnation)

    async def _heartbeat(self) -> Heartbeat:
        sent_ms = self._clock.local_ms()
        beat = await self._store.heartbeat(self._incarnation, self.concerns())
        self._clock.heard(beat.now_ms, sent_ms, self._clock.local_ms())
        self._seen_ms = beat.members
        return beat

    def _beat_failed(self) -> None:
        if not self._failing:
            self._failing = True
            self.on_turn()
        if self._clock.steady_ms() - self._beat_ms > SILENT_MS and self._dispatcher.granting:
            noted = {"event": "granting_stopped", "silent_ms": SILENT_MS}
            LOG.warning("no heartbeat: granting stops", extra=noted)
            self._dispatcher.granting = False
            if self._store.capabilities.shared:
                self.on_silent()

    async def _beat(self) -> None:
        beat = await self._heartbeat()
        now_ms = self._clock.steady_ms()
        silent_ms = now_ms - self._beat_ms
        self._beat_ms = now_ms
        if self._failing or silent_ms >= DEAD_MS:
            self._back_again(now_ms, silent_ms)
        self.on_beat()
        if self._store.capabilities.shared:
            self._see(beat.members, beat.now_ms)
            for lease in self._dispatcher.away.nobodys(beat):
                self._leases.give_up(lease.task_id, lease.lease_epoch)
            owned = owned_by(self._incarnation, self.live)
            if owned != self.owned:
                await self._own(owned)
            await self._reconciling.where_due((beat.concerns, self.live))
            if now_ms - self._distrusted_ms >= DISTRUST_MS:
                self._distrusted_ms = now_ms
                self._dispatcher.distrust()
        if self._dead_since_ms:
            await self._carry_dead()
        if self._vanished:
            await self._carry_vanished()

    def _back_again(self, now_ms: int, silent_ms: int) -> None:
        """The store answers again, or this process was stopped for a while."""
        if not self._failing and self._store.capabilities.shared:
            noted = {"event": "heartbeat_missed", "silent_ms": silent_ms}
            LOG.warning("no heartbeat: others may have taken over", extra=noted)
            self.on_silent()
        if self._failing:
            self._rest_until_ms = now_ms + OUTAGE_REST_MS
            self._failing = False
        self._reconciling.begin_anew()
        self._dispatcher.granting = True
        self._dispatcher.distrust()
        self.on_turn()

    def _see(self, members: dict[str, int], store_now_ms: int) -> None:
        """Sort the members into live and dead."""
        now_ms = self._clock.steady_ms()
        live = [self._incarnation]
        for each, seen_ms in sorted(members.items()):
            if each == self._incarnation:
                continue
            self._note_moved(each, seen_ms, store_now_ms)
            if now_ms - self._moved[each][1] < DEAD_MS or now_ms < self._rest_until_ms:
                live.append(each)
                self._dead_since_ms.pop(each, None)
                self._carried.pop(each, None)
            elif each not in self._dead_since_ms:
                self._dead_since_ms[each] = now_ms
                self._dispatcher.distrust()  # it may have used up a wish of this server
        self._moved = {each: moved for each, moved in self._moved.items() if each in members}
        self._looked_ms = now_ms
        for gone in {*self.live, *self._dead_since_ms} - {*members, self._incarnation}:
            carried = self._carried.pop(gone, set())
            self._dead_since_ms.pop(gone, None)
            self._vanished[gone] = [each for each in self.owned if each not in carried]
        self._dispatcher.away.dead = frozenset(self._dead_since_ms)
        self.live = tuple(sorted(live))

    def _note_moved(self, member: str, seen_ms: int, store_now_ms: int) -> None:
        """The store's clock may have been set: what moved did so since the last look."""
        now_ms = self._clock.steady_ms()
        age_ms = max(store_now_ms - seen_ms, 0)
        if member not in self._moved:
            self._moved[member] = seen_ms, now_ms - age_ms
        elif self._moved[member][0] != seen_ms:
            self._moved[member] = seen_ms, max(now_ms - age_ms, self._looked_ms)

    async def _own(self, owned: tuple[int, ...]) -> None:
        """Newly owned partitions: their deadlines, and their ready tasks into the queues again."""
        new = sorted(set(owned) - set(self.owned))
        if new:
            await self._timers.look(new)
            self._dispatcher.push(await self._store.ready(new))
        self.owned = owned

    async def _carry_dead(self) -> None:
        """Carry out what the dead left: outbox and queues first, after the grace their leases."""
        for dead, since_ms in sorted(self._dead_since_ms.items()):
            carried = self._carried.setdefault(dead, set())
            todo = [each for each in self.owned if each not in carried]
            if todo:
                self.takeovers += 1
                await self._relay.take_over(todo, dead)
                await self._slots_again(todo)
                self._dispatcher.push(await self._store.ready(todo))
                carried.update(todo)
            if self._clock.steady_ms() - since_ms >= self._leases.grace_ms:
                await self._lose_leases(dead)

    async def _slots_again(self, partitions: Sequence[int]) -> None:
        """A lease that was stored and not settled before its server died keeps its slot: told
        within the time of a claim, so that no other task takes it.
        """
        if self._store.capabilities.shared:
            slots = await asyncio.gather(*(self._store.slots(each) for each in partitions))
            settles = [Settle(task, queue, hold=True) for part in slots for task, queue in part]
            if settles:
                await self._store.settle(settles)

    async def _carry_vanished(self) -> None:
        """Another server forgot it before this one took its share: what it left and did not tell
        the queues is told now.
        """
        for gone, todo in sorted(self._vanished.items()):
            if todo:
                await self._relay.take_over(todo, gone)
                self._dispatcher.push(await self._store.ready(todo))
            del self._vanished[gone]

    async def _lose_leases(self, dead: str) -> None:
        held = await self._store.held(self.owned, dead)
        for task_id in held:
            await self._lose(task_id, dead)
        if held or await self._effects_left(dead):
            return
        holders = await self._store.holders(range(PARTITIONS))
        await self._lose_strangers(holders)
        if dead not in holders:
            await self._store.forget(dead, self._seen_ms.get(dead))
            self._dead_since_ms.pop(dead, None)
            self._carried.pop(dead, None)

    async def _effects_left(self, dead: str) -> bool:
        """Whether some partition's `ob` of the dead incarnation is not empty."""
        if await self._relay.take_over(self.owned, dead):
            return True
        return bool(await self._store.outbox(range(PARTITIONS), dead))

    async def _lose_strangers(self, holders: set[str]) -> None:
        """Leases that the dead one stored for a server which was forgotten before: it would have
        given them back itself.
        """
        if not holders - {*self._seen_ms, self._incarnation}:
            return
        beat = await self._heartbeat()  # some may have joined since the last one
        for stranger in sorted(holders - beat.members.keys()):
            for task_id in await self._store.held(range(PARTITIONS), stranger):
                await self._lose(task_id, stranger)

    async def _lose(self, task_id: str, incarnation: str) -> None:
        """The lease as stored, if it still is that incarnation's, is lost."""
        found = await self._executor.read_attempt(task_id)
        task = None if found is None else found[0]
        if task is not None and task.lease is not None and task.lease.incarnation == incarnation:
            self._leases.lose(LeaseName(task_id, task.lease_epoch))


def _nothing() -> None:
    """The default of a hook nobody took."""

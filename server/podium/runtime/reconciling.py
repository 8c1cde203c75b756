"""Leases as stored beside those that this server knows: what a lost message left is mended.

A lease stored for this server that it does not know (a lost Assigned) is given back; one it knows
that is stored no more (a lost Cancel) is taken off its worker (distribution.md, reconcile).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.store.port import PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.protocol.frame import LeaseName
    from podium.runtime.clock import StoreClock
    from podium.runtime.dispatcher import Dispatcher
    from podium.runtime.executor import Executor
    from podium.runtime.leases import Leases
    from podium.store.port import Store

LOOK_MS: Final = 5_000
ROUNDS: Final = 3
"""So often after something that concerns others: one sees what is amiss, the next one mends it, and
another finds what was on its way.
"""
ROUND_ANYWAY_MS: Final = 300_000
"""Where nothing happened that concerns others: what nobody thought of."""
AGE_MS: Final = 2_000
KNOWN_LOOKS: Final = 200
"""So many leases of known tasks are read at a look, for another lease than the known one may be
stored. Reading a thousand at once beside a wide fork took over 3 s, and the heartbeat waited.
"""


class Reconciling:
    """Of one server. Asked at each heartbeat; reads where something happened, a part at a time."""

    def __init__(  # noqa: PLR0913 - looks at what three parts know
        self,
        *,
        store: Store,
        clock: StoreClock,
        executor: Executor,
        leases: Leases,
        dispatcher: Dispatcher,
        incarnation: str,
    ) -> None:
        self._store = store
        self._clock = clock
        self._executor = executor
        self._leases = leases
        self._dispatcher = dispatcher
        self._incarnation = incarnation
        self._unknown: dict[str, int] = {}
        """Tasks with a stored lease that was not known at the last look, since when."""
        self._ended: dict[LeaseName, int] = {}
        """Leases known here that the store did not hold at the last look, since when."""
        self._looked = set[str]()
        """Known tasks whose stored lease was read in this round."""
        self._rounds_left = ROUNDS
        self._round_ms = clock.steady_ms()
        self._looked_ms = self._round_ms - LOOK_MS
        self._heard: object = None

    async def where_due(self, heard: object) -> None:
        """`heard`: what members told of their concerns, and who lives; a change begins anew."""
        now_ms = self._clock.steady_ms()
        if heard != self._heard or now_ms - self._round_ms >= ROUND_ANYWAY_MS:
            self._heard, self._rounds_left = heard, ROUNDS
            self._round_ms = now_ms
        amiss = self._unknown or self._ended or self._rounds_left
        if amiss and now_ms - self._looked_ms >= LOOK_MS:
            self._looked_ms = now_ms
            await self._look(now_ms)

    def begin_anew(self) -> None:
        """After an outage nothing that was heard before counts."""
        self._heard = None

    async def _look(self, now_ms: int) -> None:
        known = self._leases.known()
        known_tasks = {each.task_id for each in known}
        held = await self._store.held(range(PARTITIONS), self._incarnation)
        suspects = [each for each in held if each not in known_tasks or each in self._unknown]
        others = [each for each in held if each in known_tasks and each not in self._looked]
        unknown: dict[str, int] = {}
        for task_id in dict.fromkeys((*suspects, *others[:KNOWN_LOOKS])):
            await self._look_at(task_id, now_ms, unknown)
        self._unknown = unknown
        self._looked.update(others[:KNOWN_LOOKS])
        if len(others) <= KNOWN_LOOKS:
            self._looked.clear()
            self._rounds_left = max(self._rounds_left - 1, 0)
        self._cancel_ended(known, frozenset(held), now_ms)

    def _cancel_ended(self, known: Sequence[LeaseName], held: frozenset[str], now_ms: int) -> None:
        ended: dict[LeaseName, int] = {}
        for lease in known:
            if lease.task_id in held:
                continue
            since_ms = self._ended.get(lease, now_ms)
            if now_ms - since_ms < AGE_MS:
                ended[lease] = since_ms
            elif self._leases.holds(lease.task_id, lease.lease_epoch):
                self._leases.cancel(lease.task_id, lease.lease_epoch, "its lease has ended")
        self._ended = ended

    async def _look_at(self, task_id: str, now_ms: int, unknown: dict[str, int]) -> None:
        found = await self._executor.read_attempt(task_id)
        task = None if found is None else found[0]
        if task is None or task.lease is None or task.lease.incarnation != self._incarnation:
            return
        if self._leases.holds(task_id, task.lease_epoch):
            return
        since_ms = self._unknown.get(task_id, now_ms)
        if now_ms - since_ms >= AGE_MS:
            self._leases.give_up(task_id, task.lease_epoch)
            if task.queue is not None:
                self._dispatcher.backlog_known(task.queue)
        else:
            unknown[task_id] = since_ms

"""What follows a durable commit: hand-outs, deadlines, effects, queue entries, cancels, wake-ups.

Everything here is soft: should the process die between the commit and this, the stored `ready`,
`due`, `outbox` and `held` entries lead to the same end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.store.port import partition_of

if TYPE_CHECKING:
    from podium.engine.graph import Graph
    from podium.engine.transition import CancelNotice, Transition
    from podium.model.queue import Ready
    from podium.runtime.departures import Departures
    from podium.runtime.dispatcher import Dispatcher, WorkerSeat
    from podium.runtime.indexer import Indexer
    from podium.runtime.leases import Leases
    from podium.runtime.messages import Bus
    from podium.runtime.relay import Relay
    from podium.runtime.timers import Timers
    from podium.runtime.watch import Watch
    from podium.store.port import Committed, Store


class Aftermath:
    """See executor.Aftermath."""

    def __init__(  # noqa: PLR0913 - the fan-out point of a commit: one argument per consumer
        self,
        *,
        dispatcher: Dispatcher,
        departures: Departures,
        leases: Leases,
        timers: Timers,
        relay: Relay,
        watch: Watch,
        bus: Bus,
        indexer: Indexer,
        store: Store,
        incarnation: str,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._departures = departures
        self._leases = leases
        self._timers = timers
        self._relay = relay
        self._watch = watch
        self._bus = bus
        self._indexer = indexer
        self._incarnation = incarnation

    def reserve(self, ready: Ready) -> WorkerSeat | None:
        return self._dispatcher.reserve(ready)

    def committed(self, transition: Transition, result: Committed, graph: Graph) -> None:
        header = transition.header
        self._time(transition)
        self._indexer.committed(transition, result.version, graph)
        if transition.effects:
            self._relay.put(header.id, transition.effects, result.outbox)
        if transition.created and transition.slots:
            self._dispatcher.settle(transition.slots)
        if transition.ready:
            self._dispatcher.push(transition.ready)
        if transition.left:
            self._departures.put(transition.left)
        for notice in transition.cancels:
            self._cancel(notice)
        self._watch.changed(header.id)
        for server in result.watchers:
            if server != self._incarnation:
                self._bus.changed(server, header.id)

    async def repair(self, workflow_id: str) -> None:
        """Push, arm and carry out again what the store holds for the execution's partition.

        Raises StoreError: then it must be called again, since nobody else looks at the outbox of a
        server that lives.
        """
        partition = partition_of(workflow_id)
        self._dispatcher.push(await self._store.ready([partition]))
        await self._timers.look([partition])
        await self._relay.take_over([partition], self._incarnation)
        self._indexer.look_again()

    def _cancel(self, notice: CancelNotice) -> None:
        if notice.incarnation == self._incarnation:
            self._leases.cancel(notice.task_id, notice.lease_epoch, notice.reason)
        else:
            self._bus.cancel(notice)

    def _time(self, transition: Transition) -> None:
        if transition.disarmed:
            self._timers.disarm(transition.header.id, transition.disarmed)
        if transition.armed:
            self._timers.arm(transition.header.id, transition.armed)

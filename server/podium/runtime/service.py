"""The runtime as one service: built by bootstrap (and by each server of the simulation).

Start order: join the members (queues, deadlines, outbox of the dead), then listen, then the grace
of the dead's leases. Stop order: no new grants, parked polls answered, streams sent away,
mailboxes and commits drained, then the store is left.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from podium.engine.draft import Draft
from podium.engine.state import SYSTEM_TYPES
from podium.runtime.aftermath import Aftermath
from podium.runtime.answers import Answers
from podium.runtime.audit import AuditLog
from podium.runtime.cache import Cache
from podium.runtime.clock import StoreClock, spawn
from podium.runtime.committer import Committer
from podium.runtime.deciding import Deciding
from podium.runtime.departures import Departures
from podium.runtime.dispatcher import Dispatcher
from podium.runtime.executor import Executor
from podium.runtime.indexer import Indexer
from podium.runtime.leases import GRACE_MS, Leases
from podium.runtime.loading import Definitions, Loader
from podium.runtime.mailbox import NoEvaluator
from podium.runtime.members import Members
from podium.runtime.messages import Bus
from podium.runtime.parking import Parking
from podium.runtime.polls import PollDesk
from podium.runtime.progress import Progress
from podium.runtime.relay import Relay
from podium.runtime.timers import Timers
from podium.runtime.vault import NO_SECRETS, OpeningEvaluator, Vault
from podium.runtime.watch import Watch
from podium.store.port import PARTITIONS, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium.index.port import Index
    from podium.model.queue import Limits
    from podium.runtime.clock import Clock, Ids
    from podium.runtime.mailbox import Evaluator
    from podium.runtime.relay import Starter
    from podium.store.port import Store

CACHE_BYTES: Final = 64 * 1024 * 1024
DRAIN_MS: Final = 8_000


class Settings(msgspec.Struct, frozen=True):
    """Limits of the runtime."""

    cache_bytes: int = CACHE_BYTES
    lease_grace_ms: int = GRACE_MS
    """How long a worker may take to come back with its tasks in hand."""
    system_types: frozenset[str] = SYSTEM_TYPES
    """Task types that servers run themselves."""


class Registry(Definitions, Protocol):
    """What the runtime asks of the registry."""

    async def limits(self, task_type: str) -> Limits: ...

    async def refresh(self) -> None: ...

    on_change: Callable[[], None]


class Runtime:
    """Everything between the edges and the store, for one incarnation."""

    _refreshing = False
    _refresh_wanted = False

    def __init__(  # noqa: PLR0913 - all by name, each a port or the settings
        self,
        *,
        store: Store,
        registry: Registry,
        clock: Clock,
        ids: Ids,
        settings: Settings,
        evaluator: Evaluator | None = None,
        vault: Vault = NO_SECRETS,
        index: Index | None = None,
    ) -> None:
        self.store = store
        self.clock = clock = StoreClock(clock)
        self.ids = ids
        self.incarnation = ids.incarnation()
        self._registry = registry
        self._tasks: set[asyncio.Task[None]] = set()
        named = {"incarnation": self.incarnation}
        self.committer = Committer(store, clock)
        self.audit = AuditLog(store=store, clock=clock, **named)
        self.vault = vault
        self._make_executor(settings, evaluator or NoEvaluator())
        self.dispatcher = Dispatcher(
            store=store, clock=clock, executor=self.executor, limiter=registry, **named
        )
        self.leases = Leases(
            executor=self.executor, clock=clock, grace_ms=settings.lease_grace_ms, **named
        )
        self.timers = Timers(store=store, executor=self.executor, clock=clock)
        self._make_relay()
        self._make_indexer(index)
        self.watch = Watch(store=store, executor=self.executor, clock=clock, **named)
        self.polls = PollDesk(
            dispatcher=self.dispatcher, leases=self.leases, store=store, clock=clock
        )
        self._make_bus()
        self._make_members()
        self._wire()

    def _make_members(self) -> None:
        self.members = Members(
            store=self.store,
            clock=self.clock,
            executor=self.executor,
            dispatcher=self.dispatcher,
            leases=self.leases,
            relay=self.relay,
            timers=self.timers,
            incarnation=self.incarnation,
        )

    def _make_relay(self) -> None:
        self.relay = Relay(
            store=self.store,
            executor=self.executor,
            committer=self.committer,
            dispatcher=self.dispatcher,
            clock=self.clock,
            incarnation=self.incarnation,
        )

    def _make_bus(self) -> None:
        self.bus = Bus(
            store=self.store,
            executor=self.executor,
            dispatcher=self.dispatcher,
            leases=self.leases,
            incarnation=self.incarnation,
        )

    def _make_indexer(self, index: Index | None) -> None:
        self.indexer = Indexer(
            index=index,
            store=self.store,
            loader=Loader(self.store, self._registry),
            clock=self.clock,
            incarnation=self.incarnation,
        )

    def _make_executor(self, settings: Settings, evaluator: Evaluator) -> None:
        self.parking = Parking(store=self.store, clock=self.clock, incarnation=self.incarnation)
        loader = Loader(self.store, self._registry)
        self.cache = cache = Cache(settings.cache_bytes)
        shared = self.store.capabilities.shared
        evaluator = OpeningEvaluator(evaluator, self.vault)
        self.answers = Answers(store=self.store, loader=loader, evaluator=evaluator)
        self.deciding = Deciding(
            loader=loader,
            committer=self.committer,
            cache=cache,
            clock=self.clock,
            ids=self.ids,
            answers=self.answers,
            parking=self.parking,
            drafts=partial(
                Draft,
                system_types=settings.system_types,
                environment=self.vault.environment,
            ),
            incarnation=self.incarnation,
            shared=shared,
        )
        self.executor = Executor(deciding=self.deciding, loader=loader, cache=cache, shared=shared)

    def _wire(self) -> None:
        """The few links that would be circular as arguments."""
        self.progress = Progress(self.clock)
        self.dispatcher.bus = self.bus
        for part in (self.dispatcher, self.deciding, self.leases):
            part.progress = self.progress
        self.departures = Departures(self.store)
        aftermath = Aftermath(
            departures=self.departures,
            dispatcher=self.dispatcher,
            leases=self.leases,
            timers=self.timers,
            relay=self.relay,
            watch=self.watch,
            bus=self.bus,
            indexer=self.indexer,
            store=self.store,
            incarnation=self.incarnation,
        )
        self.deciding.aftermath = aftermath
        self.answers.pollers = self.polls
        self.parking.submit, self.parking.repair = self.executor.submit, self.take_up
        self.parking.free_slot = self.dispatcher.release
        self.parking.slot_freed = self.dispatcher.backlog_known
        self.parking.removed = self.indexer.look_again
        self.bus.on_changed = self.watch.changed
        self.bus.on_registry = self._refresh_soon
        self._registry.on_change = self._tell_registry
        self.members.on_beat = self._beat
        # What another server must hear of, or may not have heard: see Members.
        self.members.concerns = lambda: self.bus.sent_count + self.committer.failures

    async def start(self, starter: Starter) -> None:
        """Take over what earlier incarnations left, then run. Next: `listening`."""
        self.relay.starter = starter
        await self._registry.refresh()
        await self.parking.refresh()
        spawn(self._tasks, self.committer.run())
        self.bus.start()
        if not self.store.capabilities.shared:
            self.timers.hold_responses(self.clock.now_ms() + self.leases.grace_ms)
        await self.members.join()
        spawn(self._tasks, self.members.run())
        spawn(self._tasks, self.indexer.run())
        spawn(self._tasks, self.timers.run(lambda: self.members.owned))

    def listening(self) -> None:
        """The edges accept calls: workers can come back."""
        self.members.listening()

    async def stop(self) -> None:
        """Stop granting, answer what was accepted, leave the store. Safe to call twice."""
        self.polls.stop()
        self.leases.close()
        try:
            async with asyncio.timeout(DRAIN_MS / 1000):
                await self.dispatcher.withdraw_all()
                await self.executor.drain()
                await self.committer.drain()
                await self.audit.drain()
                await self.indexer.drain()
                await self.members.leave()
        except (TimeoutError, StoreError):
            pass  # what is left is taken over from the store
        self.kill()

    def kill(self) -> None:
        """Drop everything at once, as a crash does (also the end of `stop`)."""
        self.timers.stop()
        self.indexer.stop()
        self.relay.stop()
        self.bus.stop()
        self.leases.close()
        self.dispatcher.stop()
        self.departures.stop()
        self.executor.stop()
        self.audit.stop()
        for task in list(self._tasks):
            task.cancel()

    async def take_up(self, workflow_id: str) -> None:
        """What is stored of an execution, and what was left for it to hear, is looked at again."""
        await self.deciding.aftermath.repair(workflow_id)
        await self.relay.take_over(range(PARTITIONS), self.incarnation)
        self.leases.take_up(workflow_id)

    def _beat(self) -> None:
        self._refresh_soon()
        spawn(self._tasks, self.polls.note_workers())

    def _tell_registry(self) -> None:
        """Definitions changed here. A message that is lost is made up for by the next heartbeat."""
        self.bus.registry(each for each in self.members.live if each != self.incarnation)

    def _refresh_soon(self) -> None:
        self._refresh_wanted = True
        if not self._refreshing:
            self._refreshing = True
            spawn(self._tasks, self._refresh())

    async def _refresh(self) -> None:
        try:
            while self._refresh_wanted:
                self._refresh_wanted = False
                await self._registry.refresh()
                if self.store.capabilities.shared:
                    await self.parking.refresh()
        except StoreError:
            pass  # the next heartbeat asks again
        finally:
            self._refreshing = False

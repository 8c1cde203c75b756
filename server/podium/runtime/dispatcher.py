"""Dispatch: which waiting worker gets which ready task.

Three ways, fastest first: direct hand-off (a worker with credit is here, the type is unlimited and
no backlog is known: the deciding commit grants the lease), assignment (the queue names a server
that waits), claim (a worker with new credit asks the queue). Leases live in
runtime/leases.py; nothing here is polled: the store is asked when credit appears or goes, when work
appears, and when a limit or a claim ends.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from podium.engine.command import GrantLease, Outcome
from podium.model.execution import Lease
from podium.model.queue import UNLIMITED, Queue, Ready
from podium.runtime.away import Away
from podium.runtime.clock import spawn
from podium.runtime.gates import Gates, is_gate
from podium.runtime.letter import Parked
from podium.runtime.seats import QueueState, WorkerSeat, free, granted
from podium.runtime.settles import Settles
from podium.store.port import Assigned, Release, Settle, StoreError, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from podium.model.execution import ExecutionHeader
    from podium.model.queue import LeaseKind
    from podium.runtime.clock import Clock
    from podium.runtime.executor import Executor
    from podium.runtime.progress import Progress
    from podium.runtime.seats import Bus, Limiter, Worker
    from podium.store.port import PushResult, Store

LOG = logging.getLogger("podium.dispatcher")
WITHDRAW_MS: Final = 20
"""A wish is withdrawn this long after the last credit went: credit mostly comes back at once."""
RETRY_MS: Final = 250
WISH_MAX: Final = 256
"""Tasks asked for at once: a credit is reserved for each while the store is asked."""
KINDS: Final[tuple[LeaseKind, ...]] = ("stream", "poll")


class Dispatcher:
    """All queues as seen from this server."""

    def __init__(
        self, *, store: Store, clock: Clock, executor: Executor, limiter: Limiter, incarnation: str
    ) -> None:
        self._store = store
        self._clock = clock
        self._executor = executor
        self._gates = Gates(limiter, self)
        self.incarnation = incarnation
        self.bus: Bus
        self.progress: Progress
        self._queues: dict[Queue, QueueState] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pushes: list[Ready] = []
        together = store.capabilities.shared
        self._settles = Settles(clock, self._flush_soon, together=together)
        self._releases: list[tuple[Release, Callable[[], None]]] = []
        self._flushing = False
        self.away = Away()
        self.granting = True
        """Off while the heartbeat fails or the server drains: no new leases."""

    # Workers

    def add(self, worker: Worker, queues: Iterable[Queue]) -> None:
        """A worker serves these queues from now on."""
        for queue in queues:
            self._state(queue).workers.append(worker)
            self.credit_changed(queue)

    def remove(self, worker: Worker, queues: Iterable[Queue]) -> None:
        for queue in queues:
            state = self._state(queue)
            if worker in state.workers:
                state.workers.remove(worker)
            self.credit_changed(queue)

    def credit_changed(self, queue: Queue) -> None:
        """Credit appeared or went: ask the queue, or withdraw the wish a little later."""
        state = self._state(queue)
        if state.asking or state.resting or not self.granting:
            return
        if any(state.should_be_asked(kind) for kind in KINDS):
            state.asking = True
            asyncio.get_running_loop().call_soon(lambda: spawn(self._tasks, self._ask(state)))
        elif any(state.is_outdated(kind) for kind in KINDS):
            self._later(state, WITHDRAW_MS)

    def reserve(self, ready: Ready) -> WorkerSeat | None:
        """A seat for a direct hand-off, or None where the task must queue."""
        state = self._queues.get(ready.queue)
        if state is None or state.backlog or ready.limits.limited or not self.granting:
            return None
        worker = state.take()
        return None if worker is None else self._seat(ready.queue, worker)

    def seat_for(self, queue: Queue, kind: LeaseKind) -> WorkerSeat | None:
        """A seat for a lease that another server stored for a worker here."""
        state = self._queues.get(queue)
        if state is None:
            return None
        if state.used(kind):  # credit that was not asked for asks next
            self.credit_changed(queue)
        worker = state.take(kind) or state.take()
        return None if worker is None else self._seat(queue, worker)

    def known(self) -> list[QueueState]:
        """Every queue met so far, for the admin views and tests."""
        return list(self._queues.values())

    def stop(self) -> None:
        """Grant nothing more and drop what is under way."""
        self.granting = False
        self._settles.stop()
        for state in self._queues.values():
            if state.retry is not None:
                state.retry.cancel()
        for task in list(self._tasks):
            task.cancel()

    async def withdraw_all(self) -> None:
        """Tell the store that nobody waits here any more (a clean stop)."""
        self.granting = False
        if settles := self._settles.take_all():
            await self._store.settle(settles)
        for state in list(self._queues.values()):  # one may come or go while the store answers
            for kind in KINDS:
                if state.told[kind]:
                    await self._store.want(
                        self.incarnation, state.queue, 0, kind=kind, limits=UNLIMITED
                    )

    # Work

    def push(self, ready: Sequence[Ready]) -> None:
        """Tasks that became ready: into their queues, with all that this loop turn adds."""
        self._pushes.extend(ready)
        self._flush_soon()

    def settle(self, slots: Iterable[tuple[str, Queue]]) -> None:
        """Slots are stored that were claimed before: those of executions that have just begun."""
        for task_id, queue in slots:
            self._settles.put(Settle(task_id, queue, hold=True))

    def release(self, release: Release, done: Callable[[], None]) -> None:
        """A limited slot is free; `done` is called when the store knows."""
        self._releases.append((release, done))
        self._flush_soon()

    def backlog_known(self, queue: Queue) -> None:
        """Another server says that work waits there."""
        state = self._state(queue)
        state.backlog = True
        self.credit_changed(queue)

    def distrust(self) -> None:
        """What the store knows of this server's wishes is in doubt: ask everywhere."""
        for queue in list(self._queues):
            self.backlog_known(queue)

    def _seat(self, queue: Queue, worker: Worker) -> WorkerSeat:
        return WorkerSeat(self, self.incarnation, queue, worker)

    def _state(self, queue: Queue) -> QueueState:
        state = self._queues.get(queue)
        if state is None:
            state = self._queues[queue] = QueueState(queue)
        return state

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(lambda: spawn(self._tasks, self._flush()))

    async def _flush(self) -> None:
        """One trip for everything that gathered; a failing store is asked again."""
        self._flushing = False
        pushes, self._pushes = self._pushes, []
        settles = self._settles.take({each.task_id for each in pushes})
        releases, self._releases = self._releases, []
        while True:
            try:
                if settles:
                    await self._store.settle(settles)
                    settles = []
                if releases:
                    await self._send_releases(releases)
                    releases = []
                if pushes:
                    results = await self._store.push_assign(pushes)
                    for ready, result in zip(pushes, results, strict=True):
                        self._pushed(ready, result)
                return
            except StoreError:
                await self._clock.sleep(RETRY_MS)

    async def _send_releases(self, releases: list[tuple[Release, Callable[[], None]]]) -> None:
        results = await self._store.release([release for release, _ in releases])
        for (release, done), result in zip(releases, results, strict=True):
            done()
            # Of a gate's queue that seems empty somebody may hold a claim: ask.
            found = result or (Waiting("backlog") if is_gate(release.queue) else None)
            if found is not None:
                self._pushed(Ready("", release.queue, 0, release.limits), found)

    def _pushed(self, ready: Ready, result: PushResult) -> None:
        if isinstance(result, Assigned):
            self._assigned(result)
            return
        state = self._state(ready.queue)
        if result.reason == "backlog":
            state.backlog = True
            self._gates.waited_for(state, ready.limits)
            self.credit_changed(ready.queue)
        elif result.reason == "limited":
            state.backlog = True
            self._ask_at(state, result.at_ms)
        elif ready.task_id:
            delay_ms = max(result.at_ms - self._clock.now_ms(), 1)
            self._clock.call_later(delay_ms, lambda: self.push([ready]))

    def _assigned(self, assigned: Assigned) -> None:
        """The queue chose a server for a task: store the lease for it."""
        if self.away.is_gone(assigned.server):
            spawn(self._tasks, self._refuse(assigned))
            return
        if assigned.server != self.incarnation:
            self._grant_for(assigned)
            return
        state = self._state(assigned.queue)
        if state.used(assigned.kind):
            self.credit_changed(state.queue)
        worker = state.take(assigned.kind) if self.granting else None
        if worker is None:
            spawn(self._tasks, self._refuse(assigned))
            return
        seat = self._seat(assigned.queue, worker)
        self._grant(assigned.task_id, assigned.queue, seat)

    async def _refuse(self, assigned: Assigned) -> None:
        """The wish is outdated, or its server gone: withdraw it, and put the task in its place."""
        state = self._state(assigned.queue)
        while True:
            try:
                await self._withdraw(assigned.server, state, assigned.kind)
                await self._store.unclaim(assigned.task_id, assigned.queue)
                limits = await self._gates.limits(state)
                break
            except StoreError:
                await self._clock.sleep(RETRY_MS)
        self.push([Ready(assigned.task_id, assigned.queue, assigned.score, limits)])
        self.credit_changed(assigned.queue)

    def _grant(self, task_id: str, queue: Queue, seat: WorkerSeat) -> None:
        def reply(outcome: Outcome | Exception, header: ExecutionHeader | None) -> None:
            task = granted(outcome)
            if task is not None and header is not None:
                self._settles.put(Settle(task_id, queue, hold=task.limits.limited))
                seat.give(task, header)
            else:
                self._refused(task_id, queue, outcome)
                seat.give_back()

        command = GrantLease(task_id=task_id, lease=seat.lease, worker_id=seat.worker_id)
        workflow_id = task_id.rsplit(".", 2)[0]
        self._executor.submit(workflow_id, command, seat.worker_id, reply)

    def _grant_for(self, assigned: Assigned) -> None:
        """This server decides the lease, the worker is connected to another one."""

        def reply(outcome: Outcome | Exception, header: ExecutionHeader | None) -> None:
            task = granted(outcome)
            if task is not None and header is not None:
                hold = task.limits.limited
                self._settles.put(Settle(assigned.task_id, assigned.queue, hold=hold))
                self.away.granted(task.id, task.lease_epoch, assigned.server)
                self.bus.assigned(assigned.server, task, header)
            else:
                self._refused(assigned.task_id, assigned.queue, outcome)
                self.bus.backlog(assigned.server, assigned.queue)

        lease = Lease(incarnation=assigned.server, session="", kind=assigned.kind)
        command = GrantLease(task_id=assigned.task_id, lease=lease, worker_id="")
        workflow_id = assigned.task_id.rsplit(".", 2)[0]
        self._executor.submit(workflow_id, command, "dispatcher", reply)

    def _refused(self, task_id: str, queue: Queue, outcome: Outcome | Exception) -> None:
        """The task ended meanwhile, and leaves the queue. So does that of an execution which is
        parked, lest it holds those behind it: it is pushed again when that is taken up.
        """
        spawn(self._tasks, self._leave(task_id, queue, parked=isinstance(outcome, Parked)))

    async def _leave(self, task_id: str, queue: Queue, *, parked: bool) -> None:
        try:
            await (self._store.set_aside if parked else self._store.unclaim)(task_id, queue)
        except StoreError:
            LOG.warning("a claim ends by itself", extra={"event": "claim_left", "task_id": task_id})
        state = self._state(queue)
        if self._gates.waited_for(state, UNLIMITED) or parked:
            self._later(state, RETRY_MS)

    # Asking

    async def _ask(self, state: QueueState) -> None:
        """Claim for the credit there is, until the queue has nothing more or the credit is used."""
        state.empty = False
        try:
            progress = True
            while progress:
                progress = False
                kinds: list[LeaseKind] = [kind for kind in KINDS if state.should_be_asked(kind)]
                state.stale = False
                for kind in kinds:
                    if self.granting:
                        progress = await self._claim(state, kind) or progress
        except StoreError:
            state.resting = True
            self._later(state, RETRY_MS)
        finally:
            state.asking = False
        if state.empty:
            state.backlog = False
            self._gates.empty(state.queue)
            self._forgets(state)

    async def _claim(self, state: QueueState, kind: LeaseKind) -> bool:
        """One `want`. True where tasks were claimed, so more may be there."""
        limits = await self._gates.limits(state)
        seats: list[WorkerSeat] = []
        while len(seats) < WISH_MAX and (worker := state.take(kind)) is not None:
            seats.append(self._seat(state.queue, worker))
        try:
            result = await self._store.want(
                self.incarnation, state.queue, len(seats), kind=kind, limits=limits
            )
        except StoreError:
            free(seats)
            raise
        # Where fewer came than asked for, the rest is noted as a wish: the queue will tell.
        state.backlog = result.backlog and len(result.claims) == len(seats)
        state.told[kind] = max(len(seats) - len(result.claims), 0)
        for claim, seat in zip(result.claims, seats, strict=False):
            self._grant(claim.task_id, state.queue, seat)
        free(seats[len(result.claims) :])
        self._ask_at(state, result.at_ms)
        state.empty = not (result.claims or result.backlog or result.at_ms)
        more_credit = len(seats) == WISH_MAX
        return bool(result.claims) and (state.backlog or more_credit)

    async def _withdraw(self, server: str, state: QueueState, kind: LeaseKind) -> None:
        if server == self.incarnation:
            state.told[kind] = 0
        await self._store.want(server, state.queue, 0, kind=kind, limits=UNLIMITED)

    def _ask_at(self, state: QueueState, at_ms: int) -> None:
        """Ask again when a limit admits more or a claim ends; 0 = a release will tell."""
        if at_ms > 0:
            self._later(state, max(at_ms - self._clock.now_ms(), 1))

    def _later(self, state: QueueState, delay_ms: int) -> None:
        """Look at the queue again after a while: one timer per queue, the earliest."""
        at_ms = self._clock.now_ms() + delay_ms
        if state.retry is not None:
            if state.retry_ms <= at_ms:
                return
            state.retry.cancel()

        def again() -> None:
            state.retry = None
            state.resting = False
            spawn(self._tasks, self._look_again(state))

        state.retry = self._clock.call_later(delay_ms, again)
        state.retry_ms = at_ms

    def _forgets(self, state: QueueState) -> bool:
        """Whether there is nothing to know of the queue: keys of gates are without number."""
        if state.idle:
            self._queues.pop(state.queue, None)
        return state.idle

    async def _look_again(self, state: QueueState) -> None:
        try:
            for kind in KINDS:
                if state.is_outdated(kind):
                    await self._withdraw(self.incarnation, state, kind)
        except StoreError:
            self._later(state, RETRY_MS)
        if self._forgets(state):
            return
        state.stale = True
        self.credit_changed(state.queue)

"""The outbox relay: carries out what commits left to be done, at least once.

Effects are read from memory right after their commit; only after a crash are they read again from
the store, by the partition's owner. Each is idempotent: child ids are deterministic, reports carry
the run epoch, a termination of a child that does not exist leaves a tombstone.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, assert_never

from podium.engine.command import (
    CloseChild,
    Continue,
    FailFailureWorkflow,
    Outcome,
    Rejected,
    Rerun,
    Retry,
    Revive,
    Terminate,
    close_child,
)
from podium.engine.transition import (
    CacheOutput,
    ContinueSelf,
    ReleaseSlot,
    ReportToParent,
    RerunChild,
    RetryChild,
    ReviveParent,
    StartChild,
    TerminateChild,
)
from podium.runtime.clock import spawn
from podium.runtime.letter import Tombstoned, UnknownExecution
from podium.store import codec
from podium.store.port import TOMBSTONE_MS, Release, StoreError, partition_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from podium.engine.command import Command
    from podium.engine.transition import Effect
    from podium.model.execution import ExecutionHeader
    from podium.runtime.clock import Clock
    from podium.runtime.committer import Committer
    from podium.runtime.dispatcher import Dispatcher
    from podium.runtime.executor import Executor
    from podium.store.port import OutboxEntry, Store

LOG = logging.getLogger("podium.relay")
RETRY_MS: Final = 500


class StartRefused(Exception):
    """A child cannot be started, ever: no such definition, or unsound. The text may be stored."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Starter(Protocol):
    """Starts the workflow that a StartChild names (app/start.py). Raises StartRefused, Tombstoned,
    StoreError; a workflow that was started before is fine.
    """

    async def __call__(self, effect: StartChild, origin: str) -> None: ...


class Errand:
    """One effect that is carried out: `done` takes it off the outbox, `left` lets it stay there to
    be carried out again.
    """

    __slots__ = ("_committer", "_name", "_open", "_taken")

    def __init__(
        self,
        committer: Committer,
        taken: set[tuple[int, str, int]],
        name: tuple[int, str, int],
        *,
        among: dict[Errand, int],
    ) -> None:
        self._committer = committer
        self._taken = taken
        self._name = name
        self._open = among

    def done(self) -> None:
        self.left()
        self._committer.effect_done(*self._name)

    def left(self) -> None:
        self._taken.discard(self._name)
        self._open.pop(self, None)


class Relay:
    """Effects of this incarnation, and of dead ones it takes over."""

    def __init__(  # noqa: PLR0913 - all by name, each a port it hands effects to
        self,
        *,
        store: Store,
        executor: Executor,
        committer: Committer,
        dispatcher: Dispatcher,
        clock: Clock,
        incarnation: str,
    ) -> None:
        self._store = store
        self._executor = executor
        self._committer = committer
        self._dispatcher = dispatcher
        self._clock = clock
        self._incarnation = incarnation
        self._tasks: set[asyncio.Task[None]] = set()
        self._taken: set[tuple[int, str, int]] = set()
        self._open: dict[Errand, int] = {}
        """What is being carried out, since when; oldest first."""
        self.starter: Starter
        self.carried_out = 0

    @property
    def open_count(self) -> int:
        """Effects that this server carries out just now."""
        return len(self._open)

    @property
    def oldest_ms(self) -> int:
        """Since when the oldest of them is under way; 0 = there is none."""
        return next(iter(self._open.values()), 0)

    def put(self, workflow_id: str, effects: Sequence[Effect], sequences: Sequence[int]) -> None:
        """Carry out the effects of a commit that is durable now."""
        partition = partition_of(workflow_id)
        for effect, sequence in zip(effects, sequences, strict=True):
            self._carry_out(workflow_id, effect, (partition, self._incarnation, sequence))

    async def take_over(self, partitions: Sequence[int], incarnation: str) -> int:
        """Carry out what a dead incarnation left in these partitions; answers how many."""
        entries = await self._store.outbox(partitions, incarnation)
        for entry in entries:
            self._carry_out_again(entry)
        return len(entries)

    def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()

    def _carry_out_again(self, entry: OutboxEntry) -> None:
        name = (entry.partition, entry.incarnation, entry.sequence)
        if name not in self._taken:
            self._taken.add(name)
            self._carry_out(entry.workflow_id, codec.decode_effect(entry.effect), name)

    def _carry_out(self, workflow_id: str, effect: Effect, name: tuple[int, str, int]) -> None:
        errand = Errand(self._committer, self._taken, name, among=self._open)
        self._open[errand] = self._clock.now_ms()
        self.carried_out += 1
        match effect:
            case RetryChild() | RerunChild() | ReviveParent():
                self._go_on(workflow_id, effect, errand)
            case StartChild():
                spawn(self._tasks, self._start(workflow_id, effect, errand))
            case ReportToParent():
                self._report(effect, errand)
            case TerminateChild():
                spawn(self._tasks, self._terminate(effect, errand))
            case ReleaseSlot():
                release = Release(effect.task_id, effect.queue, effect.limits)
                self._dispatcher.release(release, errand.done)
            case ContinueSelf():
                self._send(workflow_id, Continue(cursor=effect.cursor), errand)
            case CacheOutput():
                spawn(self._tasks, self._cache(effect, errand))
            case _:
                assert_never(effect)

    def _report(self, effect: ReportToParent, errand: Errand) -> None:
        parent = effect.parent
        command = close_child(
            parent, effect.child_id, effect.status, output=effect.output, reason=effect.reason
        )
        self._send(parent.workflow_id, command, errand)

    async def _start(self, workflow_id: str, effect: StartChild, errand: Errand) -> None:
        while True:
            try:
                await self.starter(effect, workflow_id)
            except StartRefused as refused:
                self._refused(workflow_id, effect, refused.message, errand)
                return
            except Tombstoned:
                pass
            except StoreError:
                await self._clock.sleep(RETRY_MS)
                continue
            self._started(workflow_id, effect, errand)
            return

    def _started(self, workflow_id: str, effect: StartChild, errand: Errand) -> None:
        starter = effect.starter
        if starter is None:
            errand.done()
            return
        command = close_child(starter, effect.workflow_id, "COMPLETED")
        self._send(workflow_id, command, errand)

    def _refused(self, workflow_id: str, effect: StartChild, reason: str, errand: Errand) -> None:
        told = effect.parent or effect.starter
        if told is None:
            command: Command = FailFailureWorkflow(name=effect.name, reason=reason)
            self._send(workflow_id, command, errand)
            return
        command = close_child(told, effect.workflow_id, "FAILED", reason=reason)
        self._send(workflow_id, command, errand)

    def _go_on(
        self,
        workflow_id: str,
        effect: RetryChild | RerunChild | ReviveParent,
        errand: Errand,
    ) -> None:
        if not isinstance(effect, ReviveParent):
            self._wake_child(workflow_id, effect, errand)
            return
        parent = effect.parent
        revive = Revive(
            task_id=parent.task_id,
            run_epoch=parent.run_epoch,
            child_id=effect.child_id,
            operation=effect.operation,
        )
        self._send(parent.workflow_id, revive, errand)

    def _wake_child(
        self, workflow_id: str, effect: RetryChild | RerunChild, errand: Errand
    ) -> None:
        """A child that is no more is reported as failed, so that its task does not wait for it."""
        gone = CloseChild(
            task_id=effect.task_id,
            run_epoch=effect.run_epoch,
            child_id=effect.workflow_id,
            status="FAILED",
            reason="expected the child workflow, found that it was removed",
        )
        command: Command = Retry(resume_children=True, by_parent=True)
        if isinstance(effect, RerunChild):
            command = Rerun(task_ids=effect.task_ids, task_input=effect.task_input, by_parent=True)
        vanished = partial(self._send, workflow_id, gone, errand)
        self._send(effect.workflow_id, command, errand, vanished=vanished)

    async def _terminate(self, effect: TerminateChild, errand: Errand) -> None:
        until_ms = self._clock.now_ms() + TOMBSTONE_MS
        while True:
            try:
                absent = await self._store.tombstone(effect.workflow_id, until_ms)
                break
            except StoreError:
                await self._clock.sleep(RETRY_MS)
        if absent:
            errand.done()
            return
        command = Terminate(reason=effect.reason, by_parent=True)
        self._send(effect.workflow_id, command, errand)

    async def _cache(self, effect: CacheOutput, errand: Errand) -> None:
        value, at_ms, until_ms = effect.output.json, effect.at_ms, effect.until_ms
        while True:
            try:
                await self._store.put_cached(effect.name, value, at_ms=at_ms, until_ms=until_ms)
            except StoreError:
                await self._clock.sleep(RETRY_MS)
            else:
                errand.done()
                return

    def _send(
        self,
        workflow_id: str,
        command: Command,
        errand: Errand,
        *,
        vanished: Callable[[], None] | None = None,
    ) -> None:
        """Send a command; a refusal ends the effect as well, and so does a vanished execution,
        where nothing else is to be done then.
        """

        def answered(outcome: Outcome | Exception, header: ExecutionHeader | None) -> None:
            del header
            if isinstance(outcome, (UnknownExecution, Tombstoned)):
                (vanished or errand.done)()
            elif isinstance(outcome, (Outcome, Rejected)):
                errand.done()
            else:
                errand.left()
                name = type(command).__name__
                noted = {"event": "effect_left", "workflow_id": workflow_id, "command": name}
                LOG.error("an effect stays in the outbox", extra=noted)

        self._executor.submit(workflow_id, command, "relay", answered)

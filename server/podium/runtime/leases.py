"""Leases of the streams connected here: who holds which (task, epoch), and what happens at its end.

A stream lease has no expiry: it lives as long as its stream. When the stream breaks a grace runs; a
worker that comes back (to any server) with the task in hand takes the lease over, else it is lost
and the task is ready again (architecture §6). This table is soft: the stored record decides.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from podium.engine.command import (
    ExtendLease,
    LoseLease,
    Outcome,
    Rejected,
    ReportResult,
    ResumeLease,
    ReturnLease,
    Verdict,
)
from podium.engine.identity import split_task_id
from podium.model.execution import Lease
from podium.protocol.frame import LeaseName, Result, ResultVerdict
from podium.runtime.letter import Parked, ignore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from podium.engine.command import Command
    from podium.model.execution import ExecutionHeader, TaskRecord
    from podium.protocol.frame import WorkerFrame
    from podium.runtime.clock import Clock
    from podium.runtime.executor import Executor
    from podium.runtime.letter import Reply
    from podium.runtime.progress import Progress

GRACE_MS: Final = 5_000
VERDICTS: Final = {
    Verdict.OK: ResultVerdict.OK,
    Verdict.NOOP: ResultVerdict.OK,
    Verdict.STALE: ResultVerdict.STALE,
    Verdict.CLOSED: ResultVerdict.CLOSED,
}


class LeaseHolder(Protocol):
    """A stream that holds leases."""

    @property
    def session(self) -> str: ...

    @property
    def worker_id(self) -> str: ...

    def lost(self, lease: LeaseName) -> None: ...

    def cancel(self, lease: LeaseName, reason: str) -> None: ...


class Leases:
    """(task id, epoch) → holder; None while its grace runs."""

    def __init__(
        self, *, executor: Executor, clock: Clock, incarnation: str, grace_ms: int = GRACE_MS
    ) -> None:
        self.progress: Progress
        self._executor = executor
        self._clock = clock
        self._incarnation = incarnation
        self.grace_ms = grace_ms
        self._holders: dict[LeaseName, LeaseHolder | None] = {}
        self._by_session: dict[str, dict[LeaseName, None]] = {}
        self._unheard: dict[str, dict[LeaseName, None]] = {}
        """By parked execution: leases whose end it could not hear of."""
        self._closed = False
        self.lost_count = 0
        self.resumed_count = 0

    def __len__(self) -> int:
        return len(self._holders)

    def holds(self, task_id: str, lease_epoch: int) -> bool:
        """Whether this server knows the lease (its grace included)."""
        return LeaseName(task_id, lease_epoch) in self._holders

    def holder_of(self, task_id: str, lease_epoch: int) -> LeaseHolder | None:
        """Who has it here; None also while its grace runs."""
        return self._holders.get(LeaseName(task_id, lease_epoch))

    def known(self) -> tuple[LeaseName, ...]:
        """All leases of this server, those in their grace included."""
        return tuple(self._holders)

    def add(self, task_id: str, lease_epoch: int, worker: LeaseHolder) -> None:
        """A durable lease was handed to this worker."""
        lease = LeaseName(task_id, lease_epoch)
        self._holders[lease] = worker
        self._by_session.setdefault(worker.session, {})[lease] = None

    def received(self, frame: WorkerFrame) -> None:
        """Hand-outs that arrived, and results that could not be read: they are counted."""
        if frame.received:
            self.progress.received(frame.received)
        if frame.refused:
            self.progress.unreadable(len(frame.refused))

    def trace_parent_of(self, task: TaskRecord, header: ExecutionHeader) -> str:
        """Where the worker's span of it belongs."""
        parent = header.trace_parent
        return self.progress.tracer.under(parent, task.id) if parent else ""

    def report(
        self, holder: LeaseHolder, result: Result, reply: Callable[[ResultVerdict, str], None]
    ) -> None:
        """Decide a result; `reply` is called once its commit is durable."""
        lease = LeaseName(result.task_id, result.lease_epoch)

        def answered(outcome: Outcome | Exception, header: ExecutionHeader | None) -> None:
            del header
            if isinstance(outcome, Outcome):
                self._drop(lease)
                reply(VERDICTS[outcome.verdict], "")
            elif isinstance(outcome, Rejected):
                reply(ResultVerdict.REJECTED, outcome.message)
            else:
                self._drop(lease)
                reply(
                    ResultVerdict.REJECTED,
                    f"expected a task that exists and can be decided, found {result.task_id}",
                )

        command = ReportResult(
            task_id=result.task_id,
            status=result.status,
            lease_epoch=result.lease_epoch,
            output=result.output,
            reason=result.reason,
            worker_id=holder.worker_id,
            callback_after_ms=result.callback_after_ms,
            logs=tuple([(0, text) for text in result.logs]),
        )
        self._send(lease, command, holder.worker_id, answered)

    def extend(self, holder: LeaseHolder, lease: LeaseName) -> None:
        """Renew the response deadline; a stale lease is answered by `lost`."""

        def answered(outcome: Outcome | Exception, header: ExecutionHeader | None) -> None:
            del header
            if not isinstance(outcome, Outcome) or outcome.verdict in (
                Verdict.STALE,
                Verdict.CLOSED,
            ):
                self._drop(lease)
                holder.lost(lease)

        command = ExtendLease(task_id=lease.task_id, lease_epoch=lease.lease_epoch)
        self._send(lease, command, holder.worker_id, answered)

    def nack(self, holder: LeaseHolder, lease: LeaseName) -> None:
        """The worker will not run it: ready again, nothing charged."""
        self._drop(lease)
        self._return(lease, holder.worker_id)

    async def resume(
        self, holder: LeaseHolder, names: Sequence[LeaseName]
    ) -> tuple[tuple[LeaseName, ...], tuple[LeaseName, ...]]:
        """Take over the tasks a worker came back with: (resumed, lost), in the order given."""
        kept = await asyncio.gather(*(self._resume_one(holder, lease) for lease in names))
        resumed = tuple(lease for lease, ok in zip(names, kept, strict=True) if ok)
        lost = tuple(lease for lease, ok in zip(names, kept, strict=True) if not ok)
        self.resumed_count += len(resumed)
        return resumed, lost

    async def _resume_one(self, holder: LeaseHolder, lease: LeaseName) -> bool:
        if lease in self._holders:
            self._unbind(lease)
            self.add(lease.task_id, lease.lease_epoch, holder)
            return True
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def answered(outcome: Outcome | Exception, header: ExecutionHeader | None) -> None:
            del header
            resumed = isinstance(outcome, Outcome) and outcome.verdict in (
                Verdict.OK,
                Verdict.NOOP,
            )
            if resumed:
                self.add(lease.task_id, lease.lease_epoch, holder)
                if answer.cancelled():  # the stream broke meanwhile: its grace runs
                    self.orphan(holder)
            if not answer.done():
                answer.set_result(resumed)

        command = ResumeLease(
            task_id=lease.task_id,
            lease_epoch=lease.lease_epoch,
            lease=Lease(incarnation=self._incarnation, session="", kind="stream"),
            worker_id=holder.worker_id,
        )
        self._send(lease, command, holder.worker_id, answered)
        return await answer

    def orphan(self, holder: LeaseHolder) -> None:
        """The stream broke: the grace runs for all its leases."""
        leases = self._by_session.pop(holder.session, {})
        waiting = [lease for lease in leases if self._holders.get(lease) is holder]
        for lease in waiting:
            self._holders[lease] = None
        if waiting and not self._closed:
            self._clock.call_later(self.grace_ms, lambda: self._grace_over(waiting))

    def _grace_over(self, waiting: list[LeaseName]) -> None:
        if self._closed:
            return
        for lease in waiting:
            if lease in self._holders and self._holders[lease] is None:
                self.lose(lease)

    def lose(self, lease: LeaseName) -> None:
        """Nobody holds it any more: the task is ready again, with its old score."""
        self._drop(lease)
        self.lost_count += 1
        command = LoseLease(task_id=lease.task_id, lease_epoch=lease.lease_epoch)
        self._send(lease, command, "grace", ignore)

    def give_up(self, task_id: str, lease_epoch: int) -> None:
        """A durable lease of this server reached nobody: give it back uncharged."""
        self._return(LeaseName(task_id, lease_epoch), "dispatcher")

    def take_up(self, workflow_id: str) -> None:
        """It is decided again: what ended while it was parked is told now."""
        for lease in self._unheard.pop(workflow_id, ()):
            self.lose(lease)

    def _return(self, lease: LeaseName, actor: str) -> None:
        command = ReturnLease(task_id=lease.task_id, lease_epoch=lease.lease_epoch)
        self._send(lease, command, actor, ignore)

    def cancel(self, task_id: str, lease_epoch: int, reason: str) -> None:
        """The execution ended under a worker's hands: tell it."""
        lease = LeaseName(task_id, lease_epoch)
        holder = self._holders.get(lease)
        self._drop(lease)
        if holder is not None:
            holder.cancel(lease, reason)

    def close(self) -> None:
        """No lease is lost by a clean stop: the next incarnation's grace decides."""
        self._closed = True

    def _drop(self, lease: LeaseName) -> None:
        self._unbind(lease)
        self._holders.pop(lease, None)

    def _unbind(self, lease: LeaseName) -> None:
        holder = self._holders.get(lease)
        if holder is not None:
            self._by_session.get(holder.session, {}).pop(lease, None)

    def _send(self, lease: LeaseName, command: Command, actor: str, reply: Reply) -> None:
        parts = split_task_id(lease.task_id)
        if parts is None:
            found = f"expected a task id, found {lease.task_id!r}"
            reply(Rejected("INVALID_ARGUMENT", found), None)
            return
        workflow_id = parts[0]

        def answered(outcome: Outcome | Exception, header: ExecutionHeader | None) -> None:
            # Whatever it was about, its worker is told that this lease is none any more.
            if isinstance(outcome, Parked):
                self._unheard.setdefault(workflow_id, {})[lease] = None
            reply(outcome, header)

        self._executor.submit(workflow_id, command, actor, answered)

"""One worker stream: drives the pure session over a link, between the worker and the runtime.

One write is in flight; the next frame takes all that waits. The stream ends when the worker
half-closes, breaks the contract, breaks the link or is silent for two ping intervals, or when the
server ends it; its leases are then orphaned, and what was never sent goes back at once. Knows no
gRPC: a Link is a gRPC call, or a pair of queues in the simulation.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final, assert_never

import msgspec

from podium.protocol.event import (
    CreditChanged,
    Drained,
    Event,
    Extended,
    Greeted,
    Logged,
    Nacked,
    Reported,
)
from podium.protocol.frame import (
    CancelTask,
    GoAway,
    LeaseName,
    ResultAck,
    ResultVerdict,
    Welcome,
)
from podium.protocol.problem import EndCode, ProtocolError
from podium.protocol.session import Session, State
from podium.runtime.hand_out import hand_out_of, refusal_of
from podium.runtime.leases import GRACE_MS
from podium.runtime.link import LinkBroken
from podium.runtime.stream_view import QueueCredit, StreamView
from podium.runtime.vault import NO_SECRETS, CannotOpen
from podium.store.port import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from podium.model.execution import ExecutionHeader, TaskRecord
    from podium.model.queue import LeaseKind, Queue
    from podium.protocol.frame import Hello, Result, TaskLog, WorkerFrame
    from podium.runtime.clock import Clock
    from podium.runtime.link import CreditDesk, LeaseDesk, Link
    from podium.runtime.vault import Vault

ANSWERS_WAITING_MAX: Final = 20_000
"""A worker that sends results and does not read the answers is not read further than this."""
PINGS_UNANSWERED_MAX: Final = 2
TOGETHER_MS: Final = 100
"""Pings due within this time go in one turn: 1,000 idle streams cost 1 % of a core, not 2.4."""


class StreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What Welcome tells, and how long a Hello may take."""

    hello_ms: int = 5_000
    lease_grace_ms: int = GRACE_MS
    ping_interval_ms: int = 30_000
    frame_bytes_limit: int = 16 * 1024 * 1024
    payload_bytes_limit: int = 10 * 1024 * 1024


class End(msgspec.Struct, frozen=True):
    """How the stream ends; no End = the link is broken."""

    code: EndCode
    text: str


class StreamHost:
    """One stream; a dispatcher.Worker and a leases.LeaseHolder.

    `queue_of` tells the queue of a resumed lease (TaskQueues.of); `logs` takes (task id, lines as
    (epoch ms, text)); `session` and `server` are names for views.
    """

    kind: LeaseKind = "stream"

    def __init__(  # noqa: PLR0913 - one part per neighbour of a stream
        self,
        *,
        link: Link,
        dispatcher: CreditDesk,
        leases: LeaseDesk,
        clock: Clock,
        queue_of: Callable[[LeaseName], Awaitable[Queue | None]],
        logs: Callable[[str, Sequence[tuple[int, str]]], None],
        session: str,
        server: str,
        limits: StreamLimits,
        vault: Vault = NO_SECRETS,
    ) -> None:
        self.session = session
        self.worker_id = ""
        self._sdk = ""
        self._connected_ms = self._heard_ms = clock.now_ms()
        self._link = link
        self._dispatcher = dispatcher
        self._leases = leases
        self._clock = clock
        self._queue_of = queue_of
        self._logs = logs
        self._server = server
        self._limits = limits
        self._vault = vault
        self._protocol = Session(frame_bytes_limit=limits.frame_bytes_limit)
        self._outgoing = asyncio.Event()
        self._answers_taken = asyncio.Event()
        self._end: asyncio.Future[End | None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pings = 0
        self._pings_unanswered = 0
        self._over = False
        self._coupled = False
        """Whether a limit over all queues makes each one's credit depend on the others."""

    @property
    def taking(self) -> bool:
        """Whether it would get a task."""
        return self._protocol.state is State.OPEN and not self._over

    @property
    def in_hand_count(self) -> int:
        return len(self._protocol.out)

    # Life

    async def run(self) -> None:
        """Serve the stream until it ends. Cancelling is breaking the link."""
        assert self._end is None, self.session
        self._end = asyncio.get_running_loop().create_future()
        self._timer = self._clock.call_later(self._limits.hello_ms, self._no_hello)
        try:
            async with asyncio.TaskGroup() as group:
                halves = (
                    group.create_task(self._receive_all()),
                    group.create_task(self._send_all()),
                )
                end = await self._end
                for half in halves:
                    half.cancel()
        finally:
            self._retire()
        if end is not None:
            self._link.close(end.code, end.text)

    def end(self, code: EndCode, text: str) -> None:
        """The server's will. What is in hand is treated as after a broken stream."""
        self._finish(End(code, text))

    def go_away(self, reason: str, reconnect_after_ms: int = 0) -> None:
        """No new tasks; the worker finds another server and half-closes."""
        if self._protocol.state is State.OPENING:
            self.end("UNAVAILABLE", f"expected a running server, found one that stops: {reason}")
            return
        self._protocol.go_away(GoAway(reason, reconnect_after_ms))
        self._credits_changed()
        self._outgoing.set()

    def view(self) -> StreamView:
        """As it is now."""
        protocol = self._protocol
        return StreamView(
            worker_id=self.worker_id,
            session=self.session,
            sdk=self._sdk,
            state=protocol.state.value,
            connected_ms=self._connected_ms,
            heard_ms=self._heard_ms,
            queues=tuple(QueueCredit(each, self.credit(each)) for each in protocol.queues),
            leases=tuple((each.task_id, each.lease_epoch) for each in protocol.out),
        )

    # A dispatcher.Worker

    def credit(self, queue: Queue) -> int:
        return 0 if self._over else self._protocol.credit(queue)

    def reserve(self, queue: Queue) -> None:
        self._protocol.reserve(queue)

    def unreserve(self, queue: Queue) -> None:
        self._protocol.unreserve(queue)
        if self._coupled:
            self._credits_changed()

    def give(self, task: TaskRecord, header: ExecutionHeader) -> None:
        """A durable lease; where the stream takes no more tasks it goes back uncharged."""
        lease = LeaseName(task.id, task.lease_epoch)
        if self._over or self._protocol.state is not State.OPEN:
            self._leases.nack(self, lease)
            return
        self._leases.add(task.id, task.lease_epoch, self)
        try:
            opened = self._vault.opened(task)
        except CannotOpen as problem:
            self._leases.report(self, refusal_of(lease, problem.reason), _nothing)
            if task.queue is not None:
                self._protocol.unreserve(task.queue)
                self._credit_changed(task.queue)
            return
        metadata = self._vault.runtime_metadata(task)
        trace_parent = self._leases.trace_parent_of(task, header)
        self._protocol.hand_out(hand_out_of(opened, header, metadata, trace_parent))
        self._outgoing.set()

    # A leases.LeaseHolder

    def lost(self, lease: LeaseName) -> None:
        """Tell the worker that the lease ended against its will."""
        self._credit_back(self._protocol.lose(lease))

    def cancel(self, lease: LeaseName, reason: str) -> None:
        """Tell the worker that nobody wants the result any more."""
        notice = CancelTask(lease.task_id, lease.lease_epoch, reason)
        self._credit_back(self._protocol.cancel(notice))

    # Receiving

    async def _receive_all(self) -> None:
        try:
            while (frame := await self._link.receive()) is not None:
                self._pings_unanswered = 0
                self._heard_ms = self._clock.now_ms()
                await self._take(frame)
                self._outgoing.set()
                await self._answers_wait()
        except LinkBroken:
            self._finish(None)
        except ProtocolError as error:
            self._finish(End(error.code, error.text))
        except StoreError:
            self._finish(End("UNAVAILABLE", "expected the store to answer, found that it does not"))
        else:
            self._half_closed()

    async def _take(self, frame: WorkerFrame) -> None:
        events = self._protocol.receive(frame)
        self._leases.received(frame)
        for event in events:
            if isinstance(event, Greeted):
                await self._greet(event.hello)
            else:
                self._apply(event)

    async def _greet(self, hello: Hello) -> None:
        self.worker_id, self._sdk = hello.worker_id, hello.sdk
        self._coupled = hello.tasks_max > 0
        self._stop_timer()
        resumed, lost = (
            await self._leases.resume(self, hello.in_hand) if hello.in_hand else ((), ())
        )
        found = await asyncio.gather(*(self._queue_of(lease) for lease in resumed))
        queues = {lease: queue for lease, queue in zip(resumed, found, strict=True) if queue}
        welcome = Welcome(
            session=self.session,
            server=self._server,
            lease_grace_ms=self._limits.lease_grace_ms,
            ping_interval_ms=self._limits.ping_interval_ms,
            frame_bytes_limit=self._limits.frame_bytes_limit,
            payload_bytes_limit=self._limits.payload_bytes_limit,
            resumed=resumed,
            lost=lost,
        )
        events = self._protocol.welcome(welcome, queues)
        self._ping_later()
        self._dispatcher.add(self, self._protocol.queues)
        for event in events:
            self._apply(event)

    def _apply(self, event: Event) -> None:
        match event:
            case CreditChanged(queue):
                self._credit_changed(queue)
            case Reported(result, _):
                reply = partial(self._answer, result)
                self._leases.report(self, result, reply)
            case Extended(lease):
                self._leases.extend(self, lease)
            case Nacked(lease, _):
                self._leases.nack(self, lease)
            case Logged(lines):
                self._log(lines)
            case Drained():
                self._credits_changed()
            case Greeted():
                raise AssertionError(event)
            case _:
                assert_never(event)

    def _answer(self, result: Result, verdict: ResultVerdict, reason: str) -> None:
        self._protocol.ack(ResultAck(result.task_id, result.lease_epoch, verdict, reason))
        self._outgoing.set()

    def _log(self, lines: tuple[TaskLog, ...]) -> None:
        by_task: dict[str, list[tuple[int, str]]] = {}
        for line in lines:
            by_task.setdefault(line.task_id, []).append((line.time_ms, line.text))
        for task_id, texts in by_task.items():
            self._logs(task_id, texts)

    def _half_closed(self) -> None:
        self._stop_timer()
        self._give_back(self._protocol.half_close())
        self._credits_changed()
        self._outgoing.set()

    async def _answers_wait(self) -> None:
        while self._protocol.answers_waiting > ANSWERS_WAITING_MAX:
            self._answers_taken.clear()
            await self._answers_taken.wait()

    # Sending

    async def _send_all(self) -> None:
        try:
            while not self._protocol.finished:
                await self._outgoing.wait()
                self._outgoing.clear()
                while (frame := self._protocol.take_outgoing()) is not None:
                    self._answers_taken.set()
                    await self._link.send(frame)
        except LinkBroken:
            self._finish(None)
        else:
            self._finish(End("OK", ""))

    def _ping(self) -> None:
        if self._pings_unanswered >= PINGS_UNANSWERED_MAX:
            silent_ms = PINGS_UNANSWERED_MAX * self._limits.ping_interval_ms
            text = f"expected an answer to a ping within {silent_ms} ms, found none"
            self._finish(End("UNAVAILABLE", text))
            return
        self._pings += 1
        self._pings_unanswered += 1
        self._protocol.ping(self._pings)
        self._outgoing.set()
        self._ping_later()

    def _ping_later(self) -> None:
        delay_ms = self._limits.ping_interval_ms
        together_ms = max(min(TOGETHER_MS, delay_ms // 10), 1)
        delay_ms -= (self._clock.now_ms() + delay_ms) % together_ms
        self._timer = self._clock.call_later(delay_ms, self._ping)

    def _no_hello(self) -> None:
        text = f"expected Hello within {self._limits.hello_ms} ms, found none"
        self._finish(End("DEADLINE_EXCEEDED", text))

    # Ending

    def _finish(self, end: End | None) -> None:
        if self._end is not None and not self._end.done():
            self._end.set_result(end)

    def _retire(self) -> None:
        """No credit any more; the grace runs for what the worker may have."""
        self._over = True
        self._stop_timer()
        self._dispatcher.remove(self, self._protocol.queues)
        self._give_back(self._protocol.withdraw_tasks())
        self._leases.orphan(self)

    def _give_back(self, leases: Iterable[LeaseName]) -> None:
        """Hand-outs that were never sent: ready again at once, not counted as lost."""
        for lease in leases:
            self._leases.nack(self, lease)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _credit_back(self, queue: Queue | None) -> None:
        self._outgoing.set()
        if queue is not None and not self._over:
            self._credit_changed(queue)

    def _credit_changed(self, queue: Queue) -> None:
        if self._coupled:
            self._credits_changed()
        else:
            self._dispatcher.credit_changed(queue)

    def _credits_changed(self) -> None:
        for queue in self._protocol.queues:
            self._dispatcher.credit_changed(queue)


def _nothing(verdict: ResultVerdict, reason: str) -> None:
    """Nobody waits for what became of a task that was refused here."""
    del verdict, reason

"""The worker's side of its streams: what is in hand, what waits to be sent. No I/O, no time.

It outlives its streams: `connected` begins a new one, and what is in hand is named in its Hello.
Rules: a result is kept until its ResultAck and sent again on each stream; a credit comes back by
itself, so credits are granted at Hello, for tasks that Welcome names as lost, and where a stopped
handler keeps its place busy (`withdraw`, `restore`).

    OFFLINE --connected--> GREETING --Welcome--> OPEN; each --connected--> GREETING
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from podium.v1 import worker_pb2 as pb
from podium_worker.event import Arrived, Ended, Event, Lease, LeftBehind, Welcomed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Queue = tuple[str, str]
"""Task type and domain."""

FRAME_BYTES_LIMIT: Final = 4 * 1024 * 1024
PAYLOAD_BYTES_LIMIT: Final = 10 * 1024 * 1024
PING_INTERVAL_MS: Final = 30_000
"""Until a Welcome tells what the server has."""
FRAME_OVERHEAD_BYTES: Final = 1024
ITEM_OVERHEAD_BYTES: Final = 16
REASON_CHARACTERS_MAX: Final = 500
LOG_CHARACTERS_MAX: Final = 10_000
LOGS_WAITING_MAX: Final = 1_000
"""Older lines are dropped: logs must never hold up results."""


class StreamMisused(Exception):
    """The server said what the contract does not allow: "expected X, found Y"."""


class State(Enum):
    """Of the current stream."""

    OFFLINE = "offline"
    GREETING = "greeting"
    OPEN = "open"


class Held:
    """A task in hand: running, or with a result that is not acknowledged."""

    __slots__ = ("queue", "result")

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.result: pb.Result | None = None


class Session:
    """Of one worker process. `queues` tells how many tasks of each queue it runs at once."""

    def __init__(
        self, *, worker_id: str, sdk: str, queues: Mapping[Queue, int], tasks_max: int
    ) -> None:
        self.state = State.OFFLINE
        self.draining = False
        self.ping_interval_ms = PING_INTERVAL_MS
        self._worker_id = worker_id
        self._sdk = sdk
        self._queues = dict(queues)
        self._tasks_max = tasks_max
        self._payload_bytes_limit = PAYLOAD_BYTES_LIMIT
        self._frame_bytes_limit = FRAME_BYTES_LIMIT
        self._held: dict[Lease, Held] = {}
        self._busy = dict.fromkeys(queues, 0)
        self._hello: pb.Hello | None = None
        self._drain = False
        self._credits: dict[Queue, int] = {}
        self._results: dict[Lease, None] = {}
        self._received: dict[Lease, None] = {}
        self._extends: dict[Lease, None] = {}
        self._nacks: list[pb.Nack] = []
        self._logs: list[pb.TaskLog] = []
        self._pong = 0

    @property
    def in_hand(self) -> tuple[Lease, ...]:
        """Tasks that run, and tasks whose results are not acknowledged."""
        return tuple(self._held)

    @property
    def finished(self) -> bool:
        """Drained: nothing is in hand, and all that had to be said is taken."""
        return self.draining and not self._held and not (self._nacks or self._drain)

    # The stream

    def connected(self) -> None:
        """A new stream: everything said on the former one may be lost."""
        self.state = State.GREETING
        self._results, self._extends, self._nacks, self._pong = {}, {}, [], 0
        self._received = {}
        self._hello = pb.Hello(
            worker_id=self._worker_id,
            sdk=self._sdk,
            task_types=[
                pb.TaskType(name=name, domain=domain, tasks_max=tasks_max)
                for (name, domain), tasks_max in self._queues.items()
            ],
            tasks_max=self._tasks_max,
            in_hand=[_lease_message(lease) for lease in self._held],
        )
        self._credits = {} if self.draining else self._free_places()
        self._drain = self.draining

    def disconnected(self) -> None:
        """No stream: what waits is kept, and nothing is taken."""
        self.state = State.OFFLINE
        self._nacks, self._drain = [], False

    def receive(self, frame: pb.ServerFrame) -> list[Event]:
        """Events in the order of their effect. Raises StreamMisused."""
        events: list[Event] = []
        if frame.HasField("welcome"):
            events += self._welcomed(frame.welcome)
        elif self.state is not State.OPEN:
            raise StreamMisused("expected Welcome in the server's first frame, found none")
        events += [event for task in frame.tasks for event in self._arrived(task)]
        for ack in frame.acks:
            self._acknowledged(ack)
        for lost in frame.lost:
            events += self._ended(Lease(lost.task_id, lost.lease_epoch), "the lease is lost")
        for cancel in frame.cancels:
            events += self._ended(Lease(cancel.task_id, cancel.lease_epoch), cancel.reason)
        if frame.ping.nonce:
            self._pong = frame.ping.nonce
        if frame.HasField("go_away"):
            events.append(LeftBehind(frame.go_away.reason, frame.go_away.reconnect_after_ms))
        return events

    def take_outgoing(self) -> pb.WorkerFrame | None:
        """Everything that waits, in one frame below the limit; None = nothing waits."""
        if self.state is State.OFFLINE:
            return None
        if self.state is State.GREETING:
            return self._take_hello()
        return self._take_all()

    # The worker's will

    def finish(self, result: pb.Result) -> bool:
        """Keep a result until it is acknowledged. False where nobody wants it any more."""
        lease = Lease(result.task_id, result.lease_epoch)
        held = self._held.get(lease)
        if held is None:
            return False
        held.result = self._sound(result)
        if self.state is State.OPEN:
            self._results[lease] = None
        return True

    def received(self, lease: Lease) -> None:
        """Tell that a hand-out has arrived; nothing depends on it but what is measured."""
        if lease in self._held:
            self._received[lease] = None

    def extend(self, lease: Lease) -> None:
        """Start the response timeout of a running task anew."""
        held = self._held.get(lease)
        if held is not None and held.result is None:
            self._extends[lease] = None

    def log(self, lease: Lease, text: str, time_ms: int) -> None:
        """Send a log line; lines of tasks no longer in hand are dropped."""
        if lease in self._held:
            line = text[:LOG_CHARACTERS_MAX].encode("utf-8", "replace").decode()
            self._logs.append(pb.TaskLog(task_id=lease.task_id, text=line, time_ms=time_ms))
            del self._logs[:-LOGS_WAITING_MAX]

    def drain(self) -> None:
        """Take no new tasks, for good."""
        self._drain = not self.draining and self.state is not State.OFFLINE
        self.draining = True
        self._credits = {}

    def withdraw(self, queue: Queue) -> None:
        """A stopped task still occupies its place, whose credit came back: take a credit away.

        The server's count does not fall below 0, so a withdrawal that crosses a hand-out is lost
        and the later `restore` grants one too many; TaskType.tasks_max makes that harmless.
        """
        self._busy[queue] += 1
        self._add_credit(queue, -1)

    def restore(self, queue: Queue) -> None:
        """The place is free at last."""
        self._busy[queue] -= 1
        self._add_credit(queue, 1)

    # Receiving

    def _welcomed(self, welcome: pb.Welcome) -> list[Event]:
        if self.state is not State.GREETING or self._hello is not None:
            raise StreamMisused("expected Welcome once, after Hello; found it at another time")
        self.state = State.OPEN
        self.ping_interval_ms = welcome.ping_interval_ms or PING_INTERVAL_MS
        self._frame_bytes_limit = welcome.frame_bytes_limit or FRAME_BYTES_LIMIT
        self._payload_bytes_limit = welcome.payload_bytes_limit or PAYLOAD_BYTES_LIMIT
        events: list[Event] = [Welcomed(welcome.session)]
        for message in welcome.lost:
            lease = Lease(message.task_id, message.lease_epoch)
            held = self._held.get(lease)
            events += self._ended(lease, "the lease was lost while the stream was broken")
            if held is not None:
                self._add_credit(held.queue, 1)
        for lease, held in self._held.items():
            if held.result is not None:
                held.result = self._sound(held.result)
                self._results[lease] = None
        return events

    def _arrived(self, task: pb.Task) -> list[Event]:
        lease = Lease(task.task_id, task.lease_epoch)
        if lease in self._held:
            return []
        queue = (task.task_type, task.domain)
        refusal = (
            "the worker drains" if self.draining else f"expected a served queue, found {queue}"
        )
        if self.draining or queue not in self._queues:
            self._nacks.append(pb.Nack(lease=_lease_message(lease), reason=refusal))
            return []
        self._held[lease] = Held(queue)
        return [Arrived(task)]

    def _acknowledged(self, ack: pb.ResultAck) -> None:
        """Forget the result; a rejected one is replaced once, by the failure it means."""
        lease = Lease(ack.task_id, ack.lease_epoch)
        held = self._held.get(lease)
        if held is None or held.result is None:
            return
        rejected = ack.verdict == pb.RESULT_VERDICT_REJECTED
        if rejected and held.result.status != pb.RESULT_STATUS_FAILED:
            held.result = _failure(held.result, f"the result was rejected: {ack.reason}")
            self._results[lease] = None
        else:
            self._forget(lease)

    def _ended(self, lease: Lease, reason: str) -> list[Event]:
        held = self._held.get(lease)
        if held is None:
            return []
        self._forget(lease)
        return [] if held.result is not None else [Ended(lease, reason)]

    def _forget(self, lease: Lease) -> None:
        del self._held[lease]
        self._results.pop(lease, None)
        self._extends.pop(lease, None)
        self._received.pop(lease, None)

    def _sound(self, result: pb.Result) -> pb.Result:
        size = len(result.output.json)
        if size <= self._payload_bytes_limit:
            return result
        limit = self._payload_bytes_limit
        return _failure(result, f"expected an output of at most {limit} bytes, found {size}")

    # Sending

    def _free_places(self) -> dict[Queue, int]:
        """What can run, less what is in hand.

        Kept results may be more than the places; the credits they give back are then too many, and
        again TaskType.tasks_max makes that harmless.
        """
        free = {queue: most - self._busy[queue] for queue, most in self._queues.items()}
        for held in self._held.values():
            free[held.queue] -= 1
        return {queue: count for queue, count in free.items() if count > 0}

    def _add_credit(self, queue: Queue, delta: int) -> None:
        if not self.draining and self.state is not State.OFFLINE:
            self._credits[queue] = self._credits.get(queue, 0) + delta

    def _take_hello(self) -> pb.WorkerFrame | None:
        if self._hello is None:
            return None
        frame = pb.WorkerFrame(hello=self._hello, credits=self._take_credits())
        self._hello = None
        self._take_drain(frame)
        return frame

    def _take_all(self) -> pb.WorkerFrame | None:
        frame = pb.WorkerFrame(credits=self._take_credits())
        room = self._frame_bytes_limit - FRAME_OVERHEAD_BYTES - frame.ByteSize()
        nacks, self._nacks = self._nacks, []
        room -= sum(map(_size, nacks))
        frame.nacks.extend(nacks)
        received, self._received = self._received, {}
        frame.received.extend(_lease_message(lease) for lease in received)
        room -= sum(map(_size, frame.received))
        extends, self._extends = self._extends, {}
        frame.extends.extend(_lease_message(lease) for lease in extends)
        room -= sum(map(_size, frame.extends))
        room = self._take_results(frame, room)
        self._take_logs(frame, room)
        if self._pong:
            frame.pong.nonce = self._pong
            self._pong = 0
        self._take_drain(frame)
        return frame if frame.ByteSize() else None

    def _take_results(self, frame: pb.WorkerFrame, room: int) -> int:
        waiting = [(lease, self._held[lease].result) for lease in self._results]
        for lease, result in waiting:
            assert result is not None, lease
            size = _size(result)
            if size > room and frame.results:
                break
            frame.results.append(result)
            del self._results[lease]
            room -= size
        return room

    def _take_logs(self, frame: pb.WorkerFrame, room: int) -> None:
        taken = 0
        for line in self._logs:
            room -= _size(line)
            if room < 0:
                break
            frame.logs.append(line)
            taken += 1
        del self._logs[:taken]

    def _take_credits(self) -> Iterable[pb.Credit]:
        deltas, self._credits = self._credits, {}
        return [
            pb.Credit(task_type=name, domain=domain, delta=delta)
            for (name, domain), delta in deltas.items()
            if delta
        ]

    def _take_drain(self, frame: pb.WorkerFrame) -> None:
        if self._drain:
            frame.drain.SetInParent()
            self._drain = False


def _size(message: pb.Result | pb.Nack | pb.TaskLease | pb.TaskLog) -> int:
    return ITEM_OVERHEAD_BYTES + message.ByteSize()


def _lease_message(lease: Lease) -> pb.TaskLease:
    return pb.TaskLease(task_id=lease.task_id, lease_epoch=lease.lease_epoch)


def _failure(result: pb.Result, reason: str) -> pb.Result:
    return pb.Result(
        task_id=result.task_id,
        lease_epoch=result.lease_epoch,
        status=pb.RESULT_STATUS_FAILED,
        reason=reason[:REASON_CHARACTERS_MAX],
    )

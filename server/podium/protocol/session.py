"""The server's side of one worker stream as a state machine. No I/O, no time.

What may be said when is the table NEXT; all else the worker says is a ProtocolError, all else the
server does is a bug. Whether a lease is still good is not known here: results and extends are only
passed on. Credits are ledger.py's, frames outbox.py's.

    OPENING --Hello--> GREETING --Welcome--> OPEN --Drain, GoAway--> DRAINING
    OPENING, OPEN, DRAINING --half-close--> HALF_CLOSED, over when every result is answered
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

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
    ServerFrame,
    Welcome,
    WorkerFrame,
)
from podium.protocol.greeting import check_hello, check_id, check_ids
from podium.protocol.ledger import Ledger
from podium.protocol.outbox import Outbox
from podium.protocol.problem import ProtocolError, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podium.model.queue import Queue
    from podium.protocol.frame import HandOut

REASON_CHARACTERS_MAX: Final = 500


class State(StrEnum):
    """Where the stream is."""

    OPENING = "opening"
    GREETING = "greeting"
    OPEN = "open"
    DRAINING = "draining"
    """The worker gets no new tasks: it drains, or was told to go away."""
    HALF_CLOSED = "half-closed"


class Item(StrEnum):
    """What can be said; those of a WorkerFrame are named as its fields."""

    HELLO = "hello"
    CREDITS = "credits"
    REFUSED = "refused"
    RECEIVED = "received"
    RESULTS = "results"
    EXTENDS = "extends"
    NACKS = "nacks"
    LOGS = "logs"
    PING = "ping"
    PONG = "pong"
    DRAIN = "drain"
    HALF_CLOSE = "half-close"
    WELCOME = "welcome"
    GO_AWAY = "go away"


TRAFFIC: Final = (
    Item.CREDITS,
    Item.RECEIVED,
    Item.REFUSED,
    Item.RESULTS,
    Item.EXTENDS,
    Item.NACKS,
    Item.LOGS,
    Item.PING,
    Item.PONG,
)
"""In the order in which a frame is looked at; Hello goes before, Drain after them."""

NEXT: Final[Mapping[State, Mapping[Item, State]]] = {
    State.OPENING: {
        Item.HELLO: State.GREETING,
        Item.HALF_CLOSE: State.HALF_CLOSED,
    },
    State.GREETING: {
        Item.WELCOME: State.OPEN,
        Item.GO_AWAY: State.GREETING,
    },
    State.OPEN: {
        **dict.fromkeys(TRAFFIC, State.OPEN),
        Item.DRAIN: State.DRAINING,
        Item.GO_AWAY: State.DRAINING,
        Item.HALF_CLOSE: State.HALF_CLOSED,
    },
    State.DRAINING: {
        **dict.fromkeys(TRAFFIC, State.DRAINING),
        Item.DRAIN: State.DRAINING,
        Item.GO_AWAY: State.DRAINING,
        Item.HALF_CLOSE: State.HALF_CLOSED,
    },
    State.HALF_CLOSED: {
        Item.GO_AWAY: State.HALF_CLOSED,
    },
}


class Session:
    """One stream. Every method says what it changes in `take_outgoing`."""

    def __init__(self, *, frame_bytes_limit: int) -> None:
        self.state = State.OPENING
        self._outbox = Outbox(frame_bytes_limit)
        self._ledger: Ledger | None = None
        self._beside_hello = WorkerFrame()
        self._ended_early: list[tuple[LeaseName, CancelTask | None]] = []
        self._leaving = False
        self._unanswered = 0

    @property
    def queues(self) -> tuple[Queue, ...]:
        """What the worker serves; nothing before its Hello."""
        return () if self._ledger is None else self._ledger.queues

    @property
    def out(self) -> tuple[LeaseName, ...]:
        """Hand-outs whose credit has not come back."""
        return () if self._ledger is None else self._ledger.out

    @property
    def finished(self) -> bool:
        """Half-closed, and everything received is answered and taken."""
        quiet = self._unanswered == 0 and not self._outbox.waits
        return self.state is State.HALF_CLOSED and quiet

    @property
    def answers_waiting(self) -> int:
        """Results that are not answered, and answers that are not taken."""
        return self._unanswered + self._outbox.acks_waiting

    # What the worker says

    def receive(self, frame: WorkerFrame) -> list[Event]:
        """Events in the order of their effect; after Greeted the rest comes from `welcome`.

        Raises:
            ProtocolError: the frame breaks the contract; nothing of it counts.
        """
        if frame.hello is None:
            if self.state is State.OPENING:
                found = " and ".join(_items_of(frame)) or "an empty frame"
                raise ProtocolError(f"expected Hello in the first frame, found {found}")
            return self._read(frame)
        if self.state is not State.OPENING:
            found = f"another Hello, of worker {quoted(frame.hello.worker_id)}"
            raise ProtocolError(f"expected Hello in the first frame only, found {found}")
        check_hello(frame.hello)
        self._move(Item.HELLO)
        self._ledger = Ledger(frame.hello)
        self._beside_hello = replace(frame, hello=None)
        return [Greeted(frame.hello)]

    def half_close(self) -> tuple[LeaseName, ...]:
        """The worker says nothing more. Returns hand-outs that were never sent: give them back."""
        self._move(Item.HALF_CLOSE)
        return self._outbox.withdraw_tasks()

    def withdraw_tasks(self) -> tuple[LeaseName, ...]:
        """The stream broke: the hand-outs that were never sent, to be given back at once."""
        return self._outbox.withdraw_tasks()

    # What the server says

    def welcome(self, welcome: Welcome, queues: Mapping[LeaseName, Queue]) -> list[Event]:
        """Answer Hello; returns what else its frame meant.

        `queues` tells the queue of each resumed task, whose credit comes back there; a task without
        one gives no credit back.
        """
        ledger = self._served
        self._move(Item.WELCOME)
        for lease in welcome.resumed:
            ledger.resume(lease, queues.get(lease))
        self._outbox.welcome(welcome)
        for lease, cancel in self._ended_early:
            self._end(lease, cancel)
        self._ended_early = []
        if self._leaving:
            self._move(Item.GO_AWAY)
        frame, self._beside_hello = self._beside_hello, WorkerFrame()
        return self._read(frame)

    def hand_out(self, task: HandOut) -> None:
        """A durable lease, for which a credit was reserved."""
        assert self.state is State.OPEN, (self.state, task.task_id)
        self._served.hand_out(LeaseName(task.task_id, task.lease_epoch), task.queue)
        self._outbox.hand_out(task)

    def ack(self, ack: ResultAck) -> None:
        """Answer a result that `Reported` brought."""
        assert self._unanswered > 0, ack
        self._unanswered -= 1
        self._outbox.ack(ack)

    def lose(self, lease: LeaseName) -> Queue | None:
        """LeaseLost. Returns the queue that has more credit now, if any."""
        return self._end(lease, None)

    def cancel(self, cancel: CancelTask) -> Queue | None:
        """Cancel. Returns the queue that has more credit now, if any."""
        return self._end(LeaseName(cancel.task_id, cancel.lease_epoch), cancel)

    def ping(self, nonce: int) -> None:
        assert nonce != 0, "a nonce of 0 is no ping"
        assert self.state in (State.OPEN, State.DRAINING), self.state
        self._outbox.ping(nonce)

    def go_away(self, go_away: GoAway) -> None:
        """No new tasks on this stream. Twice says it once."""
        self._move(Item.GO_AWAY)
        if not self._leaving and self.state is not State.HALF_CLOSED:
            self._leaving = True
            self._outbox.go_away(go_away)

    def take_outgoing(self) -> ServerFrame | None:
        """Everything that waits, in one frame below the limit; None = nothing waits."""
        return self._outbox.take()

    # Credits

    def credit(self, queue: Queue) -> int:
        """Tasks of this queue that may be handed out now; 0 unless the stream is open."""
        return 0 if self.state is not State.OPEN else self._served.credit(queue)

    def reserve(self, queue: Queue) -> None:
        """Use a credit for a hand-out that is being stored."""
        self._served.reserve(queue)

    def unreserve(self, queue: Queue) -> None:
        """The hand-out came to nothing."""
        self._served.unreserve(queue)

    # Inside

    @property
    def _served(self) -> Ledger:
        assert self._ledger is not None, self.state
        return self._ledger

    def _move(self, item: Item) -> None:
        assert item in NEXT[self.state], (self.state, item)
        self.state = NEXT[self.state][item]

    def _read(self, frame: WorkerFrame) -> list[Event]:
        items = _items_of(frame)
        for item in items:
            if item not in NEXT[self.state]:
                expected = "nothing" if self.state is State.HALF_CLOSED else "the Welcome"
                raise ProtocolError(f"{self.state} stream: expected {expected}, found {item}")
        _check_ids(frame)
        changed: dict[Queue, None] = {}
        self._read_credits(frame, changed)
        rest = self._read_answers(frame, changed)
        rest += self._read_nacks(frame, changed)
        if frame.logs:
            rest.append(Logged(frame.logs))
        if frame.ping:
            self._outbox.pong(frame.ping)
        for item in items:
            self._move(item)
        if frame.drain:
            rest.append(Drained())
        return [*(CreditChanged(queue) for queue in changed), *rest]

    def _read_credits(self, frame: WorkerFrame, changed: dict[Queue, None]) -> None:
        for credit in frame.credits:
            self._served.grant(credit.queue, credit.delta)
            changed[credit.queue] = None

    def _read_answers(self, frame: WorkerFrame, changed: dict[Queue, None]) -> list[Event]:
        """Results and extends; what could not be read is answered at once."""
        for ack in frame.refused:
            self._back(LeaseName(ack.task_id, ack.lease_epoch), changed)
            self._outbox.ack(ack)
        events: list[Event] = []
        for result in frame.results:
            first = self._back(LeaseName(result.task_id, result.lease_epoch), changed)
            self._unanswered += 1
            events.append(Reported(result, first))
        events.extend(Extended(lease) for lease in frame.extends)
        return events

    def _read_nacks(self, frame: WorkerFrame, changed: dict[Queue, None]) -> list[Event]:
        events: list[Event] = []
        for nack in frame.nacks:
            if self._back(nack.lease, changed):
                events.append(Nacked(nack.lease, nack.reason[:REASON_CHARACTERS_MAX]))
            else:  # too late: it is out no more
                self._outbox.end(nack.lease, None)
        return events

    def _back(self, lease: LeaseName, changed: dict[Queue, None]) -> bool:
        """The worker is done with a hand-out. False where its credit came back before."""
        out = self._served.holds(lease)
        queue = self._served.give_back(lease)
        if queue is not None:
            changed[queue] = None
        return out

    def _end(self, lease: LeaseName, cancel: CancelTask | None) -> Queue | None:
        if self.state is State.GREETING:  # the Welcome that may name it as resumed goes first
            self._ended_early.append((lease, cancel))
            return None
        queue = self._served.give_back(lease)
        self._outbox.end(lease, cancel)
        return queue


def _items_of(frame: WorkerFrame) -> list[Item]:
    """The fields that are set, in the order in which they are looked at."""
    said: dict[Item, object] = {
        Item.CREDITS: frame.credits,
        Item.RECEIVED: frame.received,
        Item.REFUSED: frame.refused,
        Item.RESULTS: frame.results,
        Item.EXTENDS: frame.extends,
        Item.NACKS: frame.nacks,
        Item.LOGS: frame.logs,
        Item.PING: frame.ping,
        Item.PONG: frame.pong,
        Item.DRAIN: frame.drain,
    }
    return [item for item, value in said.items() if value]


def _check_ids(frame: WorkerFrame) -> None:
    check_ids("received", frame.received)
    check_ids("extends", frame.extends)
    check_ids("nacks", [nack.lease for nack in frame.nacks])
    for result in frame.results:
        check_id("results", result.task_id)
    for ack in frame.refused:
        check_id("results", ack.task_id)
    for log in frame.logs:
        check_id("logs", log.task_id)

"""The credits of one stream, and what is out to it. Nothing of frames or states is known here.

Per queue: credits (granted, not used), reserved (a hand-out is being stored), out (handed out, no
Result, Nack, LeaseLost or Cancel yet). None of them falls below 0; the maxima bound reserved + out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.protocol.greeting import queue_text
from podium.protocol.problem import ProtocolError

if TYPE_CHECKING:
    from podium.model.queue import Queue
    from podium.protocol.frame import Hello, LeaseName

CREDITS_MAX: Final = 1_000_000
"""Per queue; more is a mistake of the worker, not a wish."""


class Account:
    """The numbers of one queue."""

    __slots__ = ("credits", "out", "reserved", "tasks_max")

    def __init__(self, tasks_max: int) -> None:
        self.tasks_max = tasks_max
        self.credits = 0
        self.reserved = 0
        self.out = 0


class Ledger:
    """All queues of one Hello."""

    def __init__(self, hello: Hello) -> None:
        self._tasks_max = hello.tasks_max
        self._accounts = {served.queue: Account(served.tasks_max) for served in hello.served}
        self._out: dict[LeaseName, Queue | None] = {}
        self._reserved = 0

    @property
    def queues(self) -> tuple[Queue, ...]:
        return tuple(self._accounts)

    @property
    def out(self) -> tuple[LeaseName, ...]:
        """What is out, oldest first."""
        return tuple(self._out)

    def credit(self, queue: Queue) -> int:
        """How many tasks of this queue may be handed out now."""
        account = self._accounts.get(queue)
        if account is None:
            return 0
        room = account.credits
        if account.tasks_max:
            room = min(room, account.tasks_max - account.out - account.reserved)
        if self._tasks_max:
            room = min(room, self._tasks_max - len(self._out) - self._reserved)
        return max(room, 0)

    def grant(self, queue: Queue, delta: int) -> None:
        """Raises ProtocolError for a queue that Hello does not name, and above CREDITS_MAX."""
        account = self._accounts.get(queue)
        if account is None:
            raise ProtocolError(
                f"credits: expected a queue of Hello.task_types, found {queue_text(queue)}"
            )
        if account.credits + delta > CREDITS_MAX:
            raise ProtocolError(
                f"credits: expected at most {CREDITS_MAX} credits for {queue_text(queue)}, "
                f"found {account.credits} + {delta}"
            )
        account.credits = max(account.credits + delta, 0)

    def reserve(self, queue: Queue) -> None:
        """Use up a credit for a hand-out that is being stored."""
        account = self._accounts[queue]
        assert account.credits > 0, (queue, account.credits)
        account.credits -= 1
        account.reserved += 1
        self._reserved += 1

    def unreserve(self, queue: Queue) -> None:
        """The hand-out came to nothing: its credit is back."""
        self._unreserve(queue)
        self._accounts[queue].credits += 1

    def hand_out(self, lease: LeaseName, queue: Queue) -> None:
        """A reserved credit became a hand-out."""
        self._unreserve(queue)
        self._put_out(lease, queue)

    def resume(self, lease: LeaseName, queue: Queue | None) -> None:
        """A task of a former stream is out to this one. A queue not served here has no credit."""
        self._put_out(lease, queue if queue in self._accounts else None)

    def holds(self, lease: LeaseName) -> bool:
        return lease in self._out

    def give_back(self, lease: LeaseName) -> Queue | None:
        """The hand-out ended: its credit is back. Returns the queue that has more credit now."""
        queue = self._out.pop(lease, None)
        if queue is not None:
            account = self._accounts[queue]
            account.out -= 1
            account.credits += 1
        return queue

    def _unreserve(self, queue: Queue) -> None:
        account = self._accounts[queue]
        assert account.reserved > 0, queue
        account.reserved -= 1
        self._reserved -= 1

    def _put_out(self, lease: LeaseName, queue: Queue | None) -> None:
        assert lease not in self._out, lease
        self._out[lease] = queue
        if queue is not None:
            self._accounts[queue].out += 1

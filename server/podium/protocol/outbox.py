"""What waits to be sent to one worker, and how it is cut into frames. Knows no rule of the stream.

A frame carries everything that waits, up to a limit of bytes. Weights are estimates that are never
below the encoded size; a single item above the limit goes alone, since nothing can make it smaller.
Answers go before tasks: they free the worker, and a task can be withdrawn until it is taken.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, TypeVar

from podium.protocol.frame import (
    CancelTask,
    GoAway,
    LeaseName,
    ResultAck,
    ServerFrame,
    Welcome,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium.protocol.frame import HandOut

ITEM_BYTES: Final = 128
"""Numbers, tags and lengths of one item, without its texts."""
CHARACTER_BYTES: Final = 4
"""A character takes at most so much in UTF-8."""

Item = TypeVar("Item")


class Outbox:
    """Items in the order they were put, by kind."""

    def __init__(self, frame_bytes_limit: int) -> None:
        self._frame_bytes_limit = frame_bytes_limit
        self._welcome: Welcome | None = None
        self._acks: deque[ResultAck] = deque()
        self._lost: deque[LeaseName] = deque()
        self._cancels: deque[CancelTask] = deque()
        self._tasks: dict[LeaseName, HandOut] = {}
        self._ping = 0
        self._pong = 0
        self._go_away: GoAway | None = None

    @property
    def waits(self) -> bool:
        """Whether anything is to be sent."""
        return bool(
            self._acks
            or self._tasks
            or self._pong
            or self._ping
            or self._lost
            or self._cancels
            or self._welcome
            or self._go_away
        )

    @property
    def acks_waiting(self) -> int:
        return len(self._acks)

    def welcome(self, welcome: Welcome) -> None:
        self._welcome = welcome

    def hand_out(self, task: HandOut) -> None:
        self._tasks[LeaseName(task.task_id, task.lease_epoch)] = task

    def ack(self, ack: ResultAck) -> None:
        self._acks.append(ack)

    def end(self, lease: LeaseName, cancel: CancelTask | None) -> None:
        """LeaseLost, or Cancel where there is one; nothing where the task was never sent."""
        if self._tasks.pop(lease, None) is not None:
            return
        if cancel is None:
            self._lost.append(lease)
        else:
            self._cancels.append(cancel)

    def ping(self, nonce: int) -> None:
        self._ping = nonce

    def pong(self, nonce: int) -> None:
        self._pong = nonce

    def go_away(self, go_away: GoAway) -> None:
        self._go_away = go_away

    def withdraw_tasks(self) -> tuple[LeaseName, ...]:
        """Hand-outs that were never sent, and are not going to be."""
        unsent = tuple(self._tasks)
        self._tasks = {}
        return unsent

    def take(self) -> ServerFrame | None:
        """Everything that waits, as far as one frame holds it."""
        if not self.waits:
            return None
        room = Room(self._frame_bytes_limit)
        welcome, self._welcome = self._welcome, None
        if welcome is not None:
            room.spend(_weigh_welcome(welcome))
        acks = room.fill(self._acks, _weigh_ack)
        lost = room.fill(self._lost, _weigh_lease)
        cancels = room.fill(self._cancels, _weigh_cancel)
        ping, self._ping = self._ping, 0
        pong, self._pong = self._pong, 0
        return ServerFrame(
            welcome=welcome,
            tasks=self._take_tasks(room),
            acks=acks,
            lost=lost,
            cancels=cancels,
            ping=ping,
            pong=pong,
            go_away=self._take_go_away(),
        )

    def _take_tasks(self, room: Room) -> tuple[HandOut, ...]:
        tasks: list[HandOut] = []
        for task in self._tasks.values():
            if not room.spend(_weigh_task(task)):
                break
            tasks.append(task)
        for task in tasks:
            del self._tasks[LeaseName(task.task_id, task.lease_epoch)]
        return tuple(tasks)

    def _take_go_away(self) -> GoAway | None:
        """It says that no new tasks come, so it waits until none is left."""
        if self._tasks:
            return None
        go_away, self._go_away = self._go_away, None
        return go_away


class Room:
    """The bytes left in one frame."""

    def __init__(self, bytes_limit: int) -> None:
        self._left = bytes_limit - ITEM_BYTES
        self._empty = True

    def spend(self, weight: int) -> bool:
        """Whether an item of this weight goes into the frame; the first one always does."""
        if weight > self._left and not self._empty:
            return False
        self._left -= weight
        self._empty = False
        return True

    def fill(self, waiting: deque[Item], weigh: Callable[[Item], int]) -> tuple[Item, ...]:
        taken: list[Item] = []
        while waiting and self.spend(weigh(waiting[0])):
            taken.append(waiting.popleft())
        return tuple(taken)


def _weigh_lease(lease: LeaseName) -> int:
    return ITEM_BYTES + CHARACTER_BYTES * len(lease.task_id)


def _weigh_welcome(welcome: Welcome) -> int:
    leases = (*welcome.resumed, *welcome.lost)
    texts = len(welcome.session) + len(welcome.server)
    return ITEM_BYTES + CHARACTER_BYTES * texts + sum(map(_weigh_lease, leases))


def _weigh_ack(ack: ResultAck) -> int:
    return ITEM_BYTES + CHARACTER_BYTES * (len(ack.task_id) + len(ack.reason))


def _weigh_cancel(cancel: CancelTask) -> int:
    return ITEM_BYTES + CHARACTER_BYTES * (len(cancel.task_id) + len(cancel.reason))


def _weigh_task(task: HandOut) -> int:
    characters = (
        len(task.task_id)
        + len(task.queue.task_type)
        + len(task.queue.domain)
        + len(task.workflow_id)
        + len(task.workflow_name)
        + len(task.reference_name)
        + len(task.correlation_id)
        + sum(ITEM_BYTES + len(name) + len(text) for name, text in task.runtime_metadata.items())
    )
    return 2 * ITEM_BYTES + CHARACTER_BYTES * characters + len(task.input)

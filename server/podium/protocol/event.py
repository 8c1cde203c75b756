"""What a received frame means for the server, as frozen records in the order of their effect.

A frame's Ping needs no event: the session answers it by itself.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from podium.model.queue import Queue
from podium.protocol.frame import Hello, LeaseName, Result, TaskLog


class Greeted(msgspec.Struct, frozen=True):
    """The worker introduced itself: find out what became of its tasks, then call `welcome`."""

    hello: Hello


class CreditChanged(msgspec.Struct, frozen=True):
    """The queue's credits changed: told once per queue and frame, before its results."""

    queue: Queue


class Reported(msgspec.Struct, frozen=True):
    """A result to be decided, then answered by `ack`. `first` = not repeated on this stream."""

    result: Result
    first: bool


class Extended(msgspec.Struct, frozen=True):
    """The response timeout of this lease is to start anew, where it is still current."""

    lease: LeaseName


class Nacked(msgspec.Struct, frozen=True):
    """A task that was out is not wanted by the worker: ready again."""

    lease: LeaseName
    reason: str


class Logged(msgspec.Struct, frozen=True):
    """Log lines of tasks, in the order they were sent."""

    lines: tuple[TaskLog, ...]


class Drained(msgspec.Struct, frozen=True):
    """The worker is about to stop: its credits are void."""


Event: TypeAlias = Greeted | CreditChanged | Reported | Extended | Nacked | Logged | Drained

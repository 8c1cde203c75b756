"""What a received frame means for the worker, as frozen records in the order of their effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from podium.v1 import worker_pb2 as pb


class Lease(NamedTuple):
    """A hand-out: the attempt, and how often it was handed out."""

    task_id: str
    lease_epoch: int


class Arrived(NamedTuple):
    """A task to run."""

    task: pb.Task


class Ended(NamedTuple):
    """Nobody wants the result any more: stop the task."""

    lease: Lease
    reason: str


class Welcomed(NamedTuple):
    """The stream is accepted."""

    session: str


class LeftBehind(NamedTuple):
    """The server is about to stop: open another stream after the delay."""

    reason: str
    reconnect_after_ms: int


Event: TypeAlias = Arrived | Ended | Welcomed | LeftBehind

"""Frames of podium.v1.WorkerService.Connect as plain records (api/convert maps them to protobuf).

A frame carries everything that waits, since a frame costs far more than an item in it. All items
are facts or wishes about leases named (task id, lease epoch).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from podium.model.execution import TaskStatus
from podium.model.payload import EMPTY, Payload
from podium.model.queue import Queue


class LeaseName(msgspec.Struct, frozen=True, array_like=True):
    """A hand-out: the task (its id names the attempt) and the lease epoch."""

    task_id: str
    lease_epoch: int


class ServedType(msgspec.Struct, frozen=True):
    """One queue a worker serves. `tasks_max` 0 = only the worker's total limits it."""

    queue: Queue
    tasks_max: int = 0
    input_type: str = ""
    output_type: str = ""


class Hello(msgspec.Struct, frozen=True):
    """First item of a stream, once."""

    worker_id: str
    sdk: str
    served: tuple[ServedType, ...]
    tasks_max: int
    in_hand: tuple[LeaseName, ...] = ()


class Credit(msgspec.Struct, frozen=True):
    """`delta` more (or fewer) tasks of this queue may be handed out."""

    queue: Queue
    delta: int


class Result(msgspec.Struct, frozen=True):
    """A task's result; returns its credit."""

    task_id: str
    lease_epoch: int
    status: TaskStatus
    output: Payload = EMPTY
    reason: str | None = None
    callback_after_ms: int = 0
    logs: tuple[str, ...] = ()


class Nack(msgspec.Struct, frozen=True):
    """The worker will not run this hand-out; returns its credit, nothing is charged."""

    lease: LeaseName
    reason: str = ""


class TaskLog(msgspec.Struct, frozen=True):
    """A log line of a task in hand."""

    task_id: str
    text: str
    time_ms: int


class ResultVerdict(StrEnum):
    """What became of a result."""

    OK = "ok"
    STALE = "stale"
    CLOSED = "closed"
    REJECTED = "rejected"
    """It will never be accepted (malformed, oversized, unknown task): the reason says why."""


class ResultAck(msgspec.Struct, frozen=True):
    """The result needs no re-sending."""

    task_id: str
    lease_epoch: int
    verdict: ResultVerdict
    reason: str = ""


class WorkerFrame(msgspec.Struct, frozen=True):
    """Everything a worker has to say at once. `ping`: nonce to be answered, 0 = none."""

    hello: Hello | None = None
    credits: tuple[Credit, ...] = ()
    results: tuple[Result, ...] = ()
    received: tuple[LeaseName, ...] = ()
    extends: tuple[LeaseName, ...] = ()
    nacks: tuple[Nack, ...] = ()
    logs: tuple[TaskLog, ...] = ()
    ping: int = 0
    drain: bool = False
    pong: int = 0
    refused: tuple[ResultAck, ...] = ()
    """Results that could not be read; each answer says why. They give their credit back, too."""


class Welcome(msgspec.Struct, frozen=True):
    """Answer to Hello; `resumed` and `lost` tell what became of the tasks in hand."""

    session: str
    server: str
    lease_grace_ms: int
    ping_interval_ms: int
    frame_bytes_limit: int
    payload_bytes_limit: int
    resumed: tuple[LeaseName, ...] = ()
    lost: tuple[LeaseName, ...] = ()


class HandOut(msgspec.Struct, frozen=True):
    """A leased task on its way to a worker."""

    task_id: str
    lease_epoch: int
    queue: Queue
    workflow_id: str
    workflow_name: str
    workflow_version: int
    reference_name: str
    retry_count: int
    iteration: int
    poll_count: int
    priority: int
    correlation_id: str
    input: Payload
    response_timeout_ms: int
    scheduled_ms: int
    runtime_metadata: Mapping[str, str] = {}
    """Secrets and environment values that its definition asks for, by name."""
    trace_parent: str = ""
    trace_state: str = ""


class CancelTask(msgspec.Struct, frozen=True):
    """Stop the task: its result would be refused. Returns its credit."""

    task_id: str
    lease_epoch: int
    reason: str


class GoAway(msgspec.Struct, frozen=True):
    """The server stops: finish what is in hand, reconnect (anywhere) after the delay."""

    reason: str
    reconnect_after_ms: int = 0


class ServerFrame(msgspec.Struct, frozen=True):
    """Everything the server has to say at once."""

    welcome: Welcome | None = None
    tasks: tuple[HandOut, ...] = ()
    acks: tuple[ResultAck, ...] = ()
    lost: tuple[LeaseName, ...] = ()
    cancels: tuple[CancelTask, ...] = ()
    ping: int = 0
    pong: int = 0
    go_away: GoAway | None = None

"""Frames of podium.v1.WorkerService between protobuf and plain records (protocol/frame.py).

A result that cannot be read does not end the stream: it becomes a `refused` answer that says what
was expected. What a sound stream is, is not known here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.api.json_payload import payload_of
from podium.api.value import ValueUnsound
from podium.model.execution import TaskStatus
from podium.model.queue import Queue
from podium.protocol import frame as plain
from podium.v1 import worker_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from podium.model.payload import Payload

REASON_CHARACTERS_MAX: Final = 500
CALLBACK_MS_MAX: Final = 100 * 365 * 24 * 3_600_000
"""A hundred years: stored times must stay within 64 bits."""

STATUSES: Final[Mapping[int, TaskStatus]] = {
    pb.RESULT_STATUS_COMPLETED: TaskStatus.COMPLETED,
    pb.RESULT_STATUS_FAILED: TaskStatus.FAILED,
    pb.RESULT_STATUS_FAILED_WITH_TERMINAL_ERROR: TaskStatus.FAILED_WITH_TERMINAL_ERROR,
    pb.RESULT_STATUS_IN_PROGRESS: TaskStatus.IN_PROGRESS,
}
VERDICTS: Final[Mapping[plain.ResultVerdict, pb.ResultVerdict.ValueType]] = {
    plain.ResultVerdict.OK: pb.RESULT_VERDICT_OK,
    plain.ResultVerdict.STALE: pb.RESULT_VERDICT_STALE,
    plain.ResultVerdict.CLOSED: pb.RESULT_VERDICT_CLOSED,
    plain.ResultVerdict.REJECTED: pb.RESULT_VERDICT_REJECTED,
}


class Unreadable(Exception):
    """A result that will never be accepted; the text says what was expected, what found, where."""


def worker_frame_of(message: pb.WorkerFrame, payload_bytes_limit: int) -> plain.WorkerFrame:
    """The plain frame; results that cannot be read are in `refused`."""
    results: list[plain.Result] = []
    refused: list[plain.ResultAck] = []
    for item in message.results:
        try:
            results.append(_result_of(item, payload_bytes_limit))
        except Unreadable as problem:
            refused.append(
                plain.ResultAck(
                    item.task_id, item.lease_epoch, plain.ResultVerdict.REJECTED, str(problem)
                )
            )
    return plain.WorkerFrame(
        hello=_hello_of(message.hello) if message.HasField("hello") else None,
        credits=tuple(
            plain.Credit(Queue(item.task_type, item.domain), item.delta) for item in message.credits
        ),
        results=tuple(results),
        received=_leases_of(message.received),
        extends=_leases_of(message.extends),
        nacks=tuple(plain.Nack(_lease_of(item.lease), item.reason) for item in message.nacks),
        logs=tuple(plain.TaskLog(item.task_id, item.text, item.time_ms) for item in message.logs),
        ping=message.ping.nonce,
        drain=message.HasField("drain"),
        pong=message.pong.nonce,
        refused=tuple(refused),
    )


def server_message_of(frame: plain.ServerFrame) -> pb.ServerFrame:
    """The message; fields without content are not set."""
    message = pb.ServerFrame(
        tasks=[_task_message_of(task) for task in frame.tasks],
        acks=[
            pb.ResultAck(
                task_id=ack.task_id,
                lease_epoch=ack.lease_epoch,
                verdict=VERDICTS[ack.verdict],
                reason=ack.reason,
            )
            for ack in frame.acks
        ],
        lost=[
            pb.LeaseLost(task_id=lease.task_id, lease_epoch=lease.lease_epoch)
            for lease in frame.lost
        ],
        cancels=[
            pb.Cancel(task_id=cancel.task_id, lease_epoch=cancel.lease_epoch, reason=cancel.reason)
            for cancel in frame.cancels
        ],
    )
    _add_single(message, frame)
    return message


def _add_single(message: pb.ServerFrame, frame: plain.ServerFrame) -> None:
    """What a frame has once at most."""
    if frame.welcome is not None:
        message.welcome.CopyFrom(_welcome_message_of(frame.welcome))
    if frame.ping:
        message.ping.nonce = frame.ping
    if frame.pong:
        message.pong.nonce = frame.pong
    if frame.go_away is not None:
        message.go_away.SetInParent()
        message.go_away.reason = frame.go_away.reason
        message.go_away.reconnect_after_ms = frame.go_away.reconnect_after_ms


def _hello_of(message: pb.Hello) -> plain.Hello:
    return plain.Hello(
        worker_id=message.worker_id,
        sdk=message.sdk,
        served=tuple(
            plain.ServedType(
                queue=Queue(item.name, item.domain),
                tasks_max=item.tasks_max,
                input_type=item.input_type,
                output_type=item.output_type,
            )
            for item in message.task_types
        ),
        tasks_max=message.tasks_max,
        in_hand=_leases_of(message.in_hand),
    )


def _lease_of(message: pb.TaskLease) -> plain.LeaseName:
    return plain.LeaseName(message.task_id, message.lease_epoch)


def _leases_of(messages: Iterable[pb.TaskLease]) -> tuple[plain.LeaseName, ...]:
    return tuple(_lease_of(message) for message in messages)


def _result_of(message: pb.Result, payload_bytes_limit: int) -> plain.Result:
    status = STATUSES.get(message.status)
    if status is None:
        found = "none" if message.status == 0 else f"number {message.status}"
        expected = ", ".join(STATUSES.values())
        raise Unreadable(f"result.status: expected one of {expected}, found {found}")
    if not 0 <= message.callback_after_ms <= CALLBACK_MS_MAX:
        raise Unreadable(
            f"result.callback_after_ms: expected 0 to {CALLBACK_MS_MAX}, "
            f"found {message.callback_after_ms}"
        )
    return plain.Result(
        task_id=message.task_id,
        lease_epoch=message.lease_epoch,
        status=status,
        output=_output_of(message.output, payload_bytes_limit),
        reason=message.reason[:REASON_CHARACTERS_MAX] or None,
        callback_after_ms=message.callback_after_ms,
        logs=tuple(message.logs),
    )


def _output_of(message: pb.Payload, payload_bytes_limit: int) -> Payload:
    try:
        return payload_of("result.output", message, bytes_limit=payload_bytes_limit)
    except ValueUnsound as unsound:
        raise Unreadable(unsound.message) from None


def _welcome_message_of(welcome: plain.Welcome) -> pb.Welcome:
    return pb.Welcome(
        session=welcome.session,
        server=welcome.server,
        lease_grace_ms=welcome.lease_grace_ms,
        ping_interval_ms=welcome.ping_interval_ms,
        frame_bytes_limit=welcome.frame_bytes_limit,
        payload_bytes_limit=welcome.payload_bytes_limit,
        resumed=[_lease_message_of(lease) for lease in welcome.resumed],
        lost=[_lease_message_of(lease) for lease in welcome.lost],
    )


def _lease_message_of(lease: plain.LeaseName) -> pb.TaskLease:
    return pb.TaskLease(task_id=lease.task_id, lease_epoch=lease.lease_epoch)


def _task_message_of(task: plain.HandOut) -> pb.Task:
    return pb.Task(
        task_id=task.task_id,
        lease_epoch=task.lease_epoch,
        task_type=task.queue.task_type,
        domain=task.queue.domain,
        workflow_id=task.workflow_id,
        workflow_name=task.workflow_name,
        workflow_version=task.workflow_version,
        reference_name=task.reference_name,
        retry_count=task.retry_count,
        iteration=task.iteration,
        poll_count=task.poll_count,
        priority=task.priority,
        correlation_id=task.correlation_id,
        input=pb.Payload(json=task.input.json) if task.input else None,
        response_timeout_ms=task.response_timeout_ms,
        scheduled_time_ms=task.scheduled_ms,
        runtime_metadata=task.runtime_metadata,
        trace_parent=task.trace_parent,
        trace_state=task.trace_state,
    )

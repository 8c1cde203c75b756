"""The translation of frames: what is refused of a result, and that nothing is lost on the way."""

from __future__ import annotations

import pytest
from google.protobuf import any_pb2

from podium.api.frames import server_message_of, worker_frame_of
from podium.model.execution import TaskStatus
from podium.model.payload import EMPTY, Payload
from podium.model.queue import Queue
from podium.protocol import frame as plain
from podium.v1 import worker_pb2 as pb

LIMIT = 1_000


def result(**changes: object) -> pb.Result:
    fields = {"task_id": "t", "lease_epoch": 2, "status": pb.RESULT_STATUS_COMPLETED, **changes}
    return pb.Result(**fields)


def payload(text: bytes) -> pb.Payload:
    return pb.Payload(json=text)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (result(status=0), "result.status: expected one of COMPLETED, FAILED, FAILED_WITH_TERMIN"),
        (result(status=9), "found number 9"),
        (result(callback_after_ms=-1), "result.callback_after_ms: expected 0 to 3153600000000"),
        (result(callback_after_ms=2**62), "found 4611686018427387904"),
        (result(output=pb.Payload(message=any_pb2.Any())), "expected JSON in `json`, found a typ"),
        (result(output=payload(b"x" * 1_001)), "expected at most 1000 bytes, found 1001"),
        (result(output=payload(b"{")), "expected UTF-8 text of one JSON object"),
        (result(output=payload(b'{"x": NaN}')), "with finite numbers, found an error in line 1"),
        (result(output=payload(b'{"x": 1e999}')), "with finite numbers, found an error in line 1"),
        (result(output=payload(b'{"x": "\xff"}')), "expected UTF-8 text"),
        (result(output=payload(b"[]")), "expected a JSON object, found an array"),
        (result(output=payload(b"null")), "expected a JSON object, found null"),
        (result(output=payload(b"true")), "expected a JSON object, found a boolean"),
        (result(output=payload(b"7")), "expected a JSON object, found a number"),
        (result(output=payload(b'"s"')), "expected a JSON object, found a string"),
        (
            result(output=payload(b'{"x":' * 30 + b"[]" + b"}" * 30)),
            "expected at most 30 levels of JSON, found more",
        ),
        (
            result(output=payload(b'{"x":' + b"[" * 400 + b"]" * 400 + b"}")),
            "expected at most 30 levels of JSON, found more",
        ),
    ],
)
def test_a_result_that_cannot_be_read_is_refused_with_its_place(
    bad: pb.Result, reason: str
) -> None:
    frame = worker_frame_of(pb.WorkerFrame(results=[bad, result()]), LIMIT)

    (refused,) = frame.refused
    assert (refused.task_id, refused.lease_epoch) == ("t", 2)
    assert refused.verdict is plain.ResultVerdict.REJECTED
    assert reason in refused.reason
    assert [each.status for each in frame.results] == [TaskStatus.COMPLETED]


@pytest.mark.parametrize(
    "text",
    [
        b'{"x":' * 29 + b"{}" + b"}" * 29,
        b'{"x": [' + b",".join([b"[]"] * 50) + b"]}",
        b'{"x": "' + b"[" * 100 + b'"}',
        b'{"big": 9223372036854775807}',
    ],
)
def test_a_sound_output_is_kept_in_its_bytes(text: bytes) -> None:
    frame = worker_frame_of(pb.WorkerFrame(results=[result(output=payload(text))]), LIMIT)

    assert [each.output for each in frame.results] == [Payload(text)]
    assert frame.refused == ()


def test_a_worker_frame_is_read_in_full() -> None:
    lease = pb.TaskLease(task_id="t", lease_epoch=2)
    name = plain.LeaseName("t", 2)
    queue = Queue("a", "blue")
    types = pb.TaskType(name="a", domain="blue", tasks_max=3, input_type="I", output_type="O")
    message = pb.WorkerFrame(
        hello=pb.Hello(worker_id="w", sdk="s", task_types=[types], tasks_max=4, in_hand=[lease]),
        credits=[pb.Credit(task_type="a", domain="blue", delta=-2)],
        results=[
            result(
                status=pb.RESULT_STATUS_IN_PROGRESS,
                reason="r" * 600,
                callback_after_ms=5,
                logs=["l"],
            )
        ],
        received=[lease],
        extends=[lease],
        nacks=[pb.Nack(lease=lease, reason="no")],
        logs=[pb.TaskLog(task_id="t", text="line", time_ms=8)],
        ping=pb.Ping(nonce=3),
        pong=pb.Pong(nonce=4),
        drain=pb.Drain(),
    )

    assert worker_frame_of(message, LIMIT) == plain.WorkerFrame(
        hello=plain.Hello("w", "s", (plain.ServedType(queue, 3, "I", "O"),), 4, (name,)),
        credits=(plain.Credit(queue, -2),),
        results=(plain.Result("t", 2, TaskStatus.IN_PROGRESS, EMPTY, "r" * 500, 5, ("l",)),),
        received=(name,),
        extends=(name,),
        nacks=(plain.Nack(name, "no"),),
        logs=(plain.TaskLog("t", "line", 8),),
        ping=3,
        drain=True,
        pong=4,
    )


def test_an_empty_frame_is_empty_both_ways() -> None:
    assert worker_frame_of(pb.WorkerFrame(), LIMIT) == plain.WorkerFrame()
    assert server_message_of(plain.ServerFrame()) == pb.ServerFrame()


TASK = plain.HandOut(
    task_id="t",
    lease_epoch=2,
    queue=Queue("a", "blue"),
    workflow_id="wf",
    workflow_name="flow",
    workflow_version=3,
    reference_name="ref",
    retry_count=4,
    iteration=5,
    poll_count=6,
    priority=7,
    correlation_id="c",
    input=Payload(b'{"x":1}'),
    response_timeout_ms=8,
    scheduled_ms=9,
)
TASK_MESSAGE = pb.Task(
    task_id="t",
    lease_epoch=2,
    task_type="a",
    domain="blue",
    workflow_id="wf",
    workflow_name="flow",
    workflow_version=3,
    reference_name="ref",
    retry_count=4,
    iteration=5,
    poll_count=6,
    priority=7,
    correlation_id="c",
    input=pb.Payload(json=b'{"x":1}'),
    response_timeout_ms=8,
    scheduled_time_ms=9,
)


def test_a_server_frame_is_written_in_full() -> None:
    name = plain.LeaseName("t", 2)
    frame = plain.ServerFrame(
        welcome=plain.Welcome("s", "inc", 1, 2, 3, 4, (name,), (plain.LeaseName("u", 1),)),
        tasks=(TASK,),
        acks=(plain.ResultAck("t", 2, plain.ResultVerdict.STALE, "why"),),
        lost=(name,),
        cancels=(plain.CancelTask("t", 2, "over"),),
        ping=5,
        pong=6,
        go_away=plain.GoAway("", 0),
    )
    lease = pb.TaskLease(task_id="t", lease_epoch=2)

    assert server_message_of(frame) == pb.ServerFrame(
        welcome=pb.Welcome(
            session="s",
            server="inc",
            lease_grace_ms=1,
            ping_interval_ms=2,
            frame_bytes_limit=3,
            payload_bytes_limit=4,
            resumed=[lease],
            lost=[pb.TaskLease(task_id="u", lease_epoch=1)],
        ),
        tasks=[
            TASK_MESSAGE,
        ],
        acks=[
            pb.ResultAck(task_id="t", lease_epoch=2, verdict=pb.RESULT_VERDICT_STALE, reason="why")
        ],
        lost=[pb.LeaseLost(task_id="t", lease_epoch=2)],
        cancels=[pb.Cancel(task_id="t", lease_epoch=2, reason="over")],
        ping=pb.Ping(nonce=5),
        pong=pb.Pong(nonce=6),
        go_away=pb.GoAway(),
    )


def test_every_verdict_has_its_number() -> None:
    for verdict in plain.ResultVerdict:
        ack = plain.ResultAck("t", 1, verdict)
        (message,) = server_message_of(plain.ServerFrame(acks=(ack,))).acks
        assert pb.ResultVerdict.Name(message.verdict) == f"RESULT_VERDICT_{verdict.name}"

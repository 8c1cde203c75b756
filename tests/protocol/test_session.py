"""The server's side of a stream: credits, answers, frames, endings."""

from __future__ import annotations

import pytest

from podium.model.queue import Queue
from podium.protocol import event as happened
from podium.protocol.frame import (
    CancelTask,
    Credit,
    GoAway,
    LeaseName,
    Nack,
    ResultVerdict,
    ServerFrame,
    TaskLog,
    WorkerFrame,
)
from podium.protocol.ledger import CREDITS_MAX
from podium.protocol.problem import ProtocolError
from podium.protocol.session import State
from tests.protocol.items import (
    A,
    B,
    ack,
    handed,
    hello,
    opened,
    opening,
    result,
    task,
    welcome,
)

# Credits


def test_a_credit_is_used_up_by_a_task_and_comes_back_with_its_result_once() -> None:
    session = opened(1)

    handed(session, "t1")
    assert session.credit(A) == 0
    assert session.out == (LeaseName("t1", 1),)
    events = session.receive(WorkerFrame(results=(result("t1"), result("t1"))))

    assert events == [
        happened.CreditChanged(A),
        happened.Reported(result("t1"), first=True),
        happened.Reported(result("t1"), first=False),
    ]
    assert session.credit(A) == 1
    assert session.out == ()


def test_a_reserved_credit_that_came_to_nothing_is_back() -> None:
    session = opened(1)

    session.reserve(A)
    assert session.credit(A) == 0
    session.unreserve(A)

    assert session.credit(A) == 1


@pytest.mark.parametrize("how", ["nack", "refused", "lose", "cancel"])
def test_a_credit_comes_back_at_the_end_of_a_lease_once(how: str) -> None:
    session = opened(1)
    handed(session, "t1")
    session.take_outgoing()
    lease = LeaseName("t1", 1)

    match how:
        case "nack":
            events = session.receive(WorkerFrame(nacks=(Nack(lease, "x" * 600),)))
            assert events == [happened.CreditChanged(A), happened.Nacked(lease, "x" * 500)]
        case "refused":
            session.receive(WorkerFrame(refused=(ack("t1", ResultVerdict.REJECTED),)))
        case "lose":
            assert session.lose(lease) == A
            assert session.lose(lease) is None
        case _:
            assert session.cancel(CancelTask("t1", 1, "over")) == A

    assert session.credit(A) == 1
    session.receive(WorkerFrame(results=(result("t1"),)))
    assert session.credit(A) == 1


def test_credits_do_not_fall_below_nothing() -> None:
    session = opened(2)

    session.receive(WorkerFrame(credits=(Credit(A, -5), Credit(A, 1))))

    assert session.credit(A) == 1


def test_the_maxima_bound_what_is_out_whatever_the_credits_say() -> None:
    session = opened(10, tasks_max=3, a_max=2)
    session.receive(WorkerFrame(credits=(Credit(B, 10),)))

    assert (session.credit(A), session.credit(B)) == (2, 3)
    session.reserve(A)
    assert (session.credit(A), session.credit(B)) == (1, 2)
    session.hand_out(task("t1"))
    assert (session.credit(A), session.credit(B)) == (1, 2)
    session.reserve(B)
    session.reserve(B)
    assert (session.credit(A), session.credit(B)) == (0, 0)


def test_credits_of_unknown_queues_and_too_many_are_refused() -> None:
    assert opened().credit(Queue("other")) == 0
    with pytest.raises(ProtocolError, match=r"expected a queue of Hello.task_types, found 'x'"):
        opened().receive(WorkerFrame(credits=(Credit(Queue("x"), 1),)))
    with pytest.raises(ProtocolError, match=r"at most 1000000 credits for 'a', found 1 \+ 1000000"):
        opened(1).receive(WorkerFrame(credits=(Credit(A, CREDITS_MAX),)))


def test_a_resumed_task_gives_its_credit_back_to_its_queue() -> None:
    mine, foreign, gone = LeaseName("m", 1), LeaseName("f", 1), LeaseName("g", 1)
    session = opening()
    session.receive(WorkerFrame(hello=hello(mine, foreign, gone), results=(result("m"),)))

    queues = {mine: A, foreign: Queue("not served")}
    events = session.welcome(welcome((mine, foreign), (gone,)), queues)

    assert events == [happened.CreditChanged(A), happened.Reported(result("m"), first=True)]
    assert session.credit(A) == 1
    assert session.out == (foreign,)
    assert session.receive(WorkerFrame(results=(result("f"), result("g")))) == [
        happened.Reported(result("f"), first=True),
        happened.Reported(result("g"), first=False),
    ]


def test_a_lease_that_ends_before_the_welcome_is_told_after_it() -> None:
    lease = LeaseName("m", 1)
    session = opening()
    session.receive(WorkerFrame(hello=hello(lease)))

    assert session.lose(lease) is None
    session.welcome(welcome((lease,)), {lease: A})

    assert session.credit(A) == 1
    assert session.take_outgoing() == ServerFrame(welcome=welcome((lease,)), lost=(lease,))


# Answers


def test_a_late_nack_is_answered_with_a_lost_lease() -> None:
    session = opened()

    assert session.receive(WorkerFrame(nacks=(Nack(LeaseName("t", 1)),))) == []
    assert session.take_outgoing() == ServerFrame(lost=(LeaseName("t", 1),))


def test_extends_and_logs_are_passed_on() -> None:
    line = TaskLog("t", "line", 5)
    frame = WorkerFrame(extends=(LeaseName("t", 1),), logs=(line,), received=(LeaseName("t", 1),))

    assert opened().receive(frame) == [
        happened.Extended(LeaseName("t", 1)),
        happened.Logged((line,)),
    ]


@pytest.mark.parametrize(
    "frame",
    [
        WorkerFrame(received=(LeaseName("t" * 513, 1),)),
        WorkerFrame(extends=(LeaseName("t" * 513, 1),)),
        WorkerFrame(nacks=(Nack(LeaseName("t" * 513, 1)),)),
        WorkerFrame(results=(result("t" * 513),)),
        WorkerFrame(refused=(ack("t" * 513),)),
        WorkerFrame(logs=(TaskLog("t" * 513, "", 1),)),
    ],
)
def test_a_task_id_that_cannot_be_one_ends_the_stream(frame: WorkerFrame) -> None:
    with pytest.raises(ProtocolError, match="expected a task id of at most 512 characters"):
        opened().receive(frame)


def test_everything_that_waits_goes_in_one_frame() -> None:
    session = opened(3)
    handed(session, "t1", "t2", "t3")
    session.take_outgoing()
    session.receive(WorkerFrame(results=(result("t1"),), ping=7))
    session.ack(ack("t1"))
    session.lose(LeaseName("t2", 1))
    session.cancel(CancelTask("t3", 1, "over"))
    handed(session, "t4")
    session.ping(5)
    session.go_away(GoAway("stop", 10))
    session.go_away(GoAway("again", 10))

    assert session.take_outgoing() == ServerFrame(
        tasks=(task("t4"),),
        acks=(ack("t1"),),
        lost=(LeaseName("t2", 1),),
        cancels=(CancelTask("t3", 1, "over"),),
        ping=5,
        pong=7,
        go_away=GoAway("stop", 10),
    )
    assert session.take_outgoing() is None


def test_an_answer_that_nobody_asked_for_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        opened().ack(ack("t"))
    with pytest.raises(AssertionError):
        opened().ping(0)
    with pytest.raises(AssertionError):
        opening().ping(1)


def test_frames_stay_below_the_limit_and_an_item_above_it_goes_alone() -> None:
    session = opened(10, limit=2_000)
    session.reserve(A)
    session.hand_out(task("huge", size=5_000))
    handed(session, "t1", "t2", "t3", "t4", "t5")
    session.go_away(GoAway("stop"))
    session.receive(WorkerFrame(results=tuple(result(f"r{n}") for n in range(20))))
    for n in range(20):
        session.ack(ack(f"r{n}"))

    frames: list[ServerFrame] = []
    while (frame := session.take_outgoing()) is not None:
        frames.append(frame)

    assert [len(frame.acks) for frame in frames[:2]] == [13, 7]
    assert [each.task_id for each in frames[2].tasks] == ["huge"]
    assert sum(len(frame.tasks) for frame in frames) == 6
    assert [frame.go_away is not None for frame in frames] == [False] * (len(frames) - 1) + [True]


def test_a_task_that_was_never_sent_is_withdrawn_without_a_word() -> None:
    session = opened(1)
    handed(session, "t1")

    assert session.cancel(CancelTask("t1", 1, "over")) == A

    assert session.take_outgoing() is None
    assert session.credit(A) == 1


# Endings


def test_a_draining_worker_gets_no_tasks() -> None:
    session = opened(2)
    handed(session, "t1")

    assert session.receive(WorkerFrame(drain=True)) == [happened.Drained()]
    assert session.credit(A) == 0
    with pytest.raises(AssertionError):
        session.hand_out(task("t2"))
    session.receive(WorkerFrame(credits=(Credit(A, 5),)))
    assert session.credit(A) == 0


def test_going_away_during_the_greeting_follows_the_welcome() -> None:
    session = opening()
    session.receive(WorkerFrame(hello=hello(), credits=(Credit(A, 5),)))
    session.go_away(GoAway("stop"))

    session.welcome(welcome(), {})

    assert session.state is State.DRAINING
    assert session.credit(A) == 0
    expected = ServerFrame(welcome=welcome(), go_away=GoAway("stop"))
    assert session.take_outgoing() == expected


def test_a_half_closed_stream_is_over_when_every_result_is_answered() -> None:
    session = opened(2)
    handed(session, "t1")
    session.take_outgoing()
    session.receive(WorkerFrame(results=(result("t1"),)))
    handed(session, "t2")

    assert session.half_close() == (LeaseName("t2", 1),)
    assert not session.finished
    assert session.answers_waiting == 1
    session.go_away(GoAway("too late"))
    session.ack(ack("t1"))
    assert not session.finished
    assert session.answers_waiting == 1
    assert session.take_outgoing() == ServerFrame(acks=(ack("t1"),))

    assert session.finished


def test_a_broken_stream_tells_what_was_never_sent() -> None:
    session = opened(2)
    handed(session, "t1")
    session.take_outgoing()
    handed(session, "t2")

    assert session.withdraw_tasks() == (LeaseName("t2", 1),)
    assert session.out == (LeaseName("t1", 1), LeaseName("t2", 1))

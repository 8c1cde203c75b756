"""What a worker may say when, and what a sound Hello is: every cell of the table."""

from __future__ import annotations

import pytest

from podium.model.queue import Queue
from podium.protocol import event as happened
from podium.protocol.frame import (
    Credit,
    GoAway,
    Hello,
    LeaseName,
    Nack,
    ResultVerdict,
    ServedType,
    ServerFrame,
    TaskLog,
    WorkerFrame,
)
from podium.protocol.problem import ProtocolError
from podium.protocol.session import NEXT, TRAFFIC, Item, Session, State
from tests.protocol.items import (
    LIMIT,
    A,
    B,
    ack,
    hello,
    opened,
    opening,
    result,
    welcome,
)

SAID = {
    Item.CREDITS: WorkerFrame(credits=(Credit(A, 1),)),
    Item.RECEIVED: WorkerFrame(received=(LeaseName("t", 1),)),
    Item.REFUSED: WorkerFrame(refused=(ack("t", ResultVerdict.REJECTED),)),
    Item.RESULTS: WorkerFrame(results=(result("t"),)),
    Item.EXTENDS: WorkerFrame(extends=(LeaseName("t", 1),)),
    Item.NACKS: WorkerFrame(nacks=(Nack(LeaseName("t", 1)),)),
    Item.LOGS: WorkerFrame(logs=(TaskLog("t", "line", 1),)),
    Item.PING: WorkerFrame(ping=1),
    Item.PONG: WorkerFrame(pong=1),
    Item.DRAIN: WorkerFrame(drain=True),
    Item.HELLO: WorkerFrame(hello=hello()),
}


def in_state(state: State) -> Session:
    session = Session(frame_bytes_limit=LIMIT)
    if state is State.OPENING:
        return session
    session.receive(WorkerFrame(hello=hello()))
    if state is State.GREETING:
        return session
    session.welcome(welcome(), {})
    if state is State.DRAINING:
        session.receive(WorkerFrame(drain=True))
    if state is State.HALF_CLOSED:
        session.half_close()
    return session


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("item", SAID)
def test_every_cell_of_the_table_is_as_it_says(state: State, item: Item) -> None:
    session = in_state(state)
    assert session.state is state

    if item in NEXT[state]:
        session.receive(SAID[item])
        assert session.state is NEXT[state][item]
    else:
        with pytest.raises(ProtocolError) as caught:
            session.receive(SAID[item])
        assert caught.value.code == "INVALID_ARGUMENT"
        assert "expected" in caught.value.text
        assert "found" in caught.value.text


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("item", [Item.HALF_CLOSE, Item.WELCOME, Item.GO_AWAY])
def test_what_the_server_does_at_the_wrong_time_is_a_bug(state: State, item: Item) -> None:
    session = in_state(state)

    def act() -> None:
        match item:
            case Item.HALF_CLOSE:
                session.half_close()
            case Item.WELCOME:
                session.welcome(welcome(), {})
            case _:
                session.go_away(GoAway("stop"))

    if item in NEXT[state]:
        act()
        assert session.state is NEXT[state][item]
    else:
        with pytest.raises(AssertionError):
            act()


def test_the_table_covers_what_can_be_said() -> None:
    assert {*TRAFFIC, Item.HELLO, Item.DRAIN} == set(SAID)
    assert set(NEXT) == set(State)


def test_the_first_frame_must_have_a_hello() -> None:
    with pytest.raises(ProtocolError, match="Hello in the first frame, found credits and ping"):
        opening().receive(WorkerFrame(credits=(Credit(A, 1),), ping=1))
    with pytest.raises(ProtocolError, match="found an empty frame"):
        opening().receive(WorkerFrame())


def test_a_second_hello_is_named() -> None:
    with pytest.raises(ProtocolError, match="in the first frame only, found another Hello, of wo"):
        opened().receive(WorkerFrame(hello=hello()))


SERVED = (ServedType(A),)


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (Hello("", "", SERVED, 0), "hello.worker_id: expected a worker id, found none"),
        (Hello("w", "", (), 0), "hello.task_types: expected at least one task type, found none"),
        (Hello("w", "", SERVED, -1), "hello.tasks_max: expected 0 or more, found -1"),
        (Hello("w" * 256, "", SERVED, 0), "hello.worker_id: expected at most 255 characters"),
        (Hello("w", "a\nb", SERVED, 0), r"hello.sdk: expected no control .* found 'a\\nb'"),
        (Hello("w", "", (ServedType(Queue("")),), 0), r"task_types\[0\].name: expected a task"),
        (Hello("w", "", (ServedType(Queue("{x}")),), 0), r"task_types\[0\].name: .*no braces"),
        (Hello("w", "", (ServedType(Queue("x", "\x00")),), 0), r"\[0\].domain: expected no c"),
        (Hello("w", "", (ServedType(A, -2),), 0), r"\[0\].tasks_max: expected 0 or more, found -2"),
        (Hello("w", "", (ServedType(A, 0, "x" * 256),), 0), r"\[0\].input_type: expected at most"),
        (Hello("w", "", (ServedType(A, 0, "", "}"),), 0), r"\[0\].output_type: expected no"),
        (Hello("w", "", (ServedType(B), ServedType(B)), 0), "once, found 'b' in domain 'blue' tw"),
        (
            Hello("w", "", SERVED, 0, (LeaseName("t", 2), LeaseName("t", 2))),
            "hello.in_hand: expected each task once, found 't' epoch 2 twice",
        ),
        (
            Hello("w", "", SERVED, 0, (LeaseName("t" * 513, 2),)),
            "hello.in_hand: expected a task id of at most 512 characters, found 513",
        ),
        (Hello("w" * 200 + "{", "", SERVED, 0), r"found 'w{80}\.\.\.'"),
    ],
)
def test_a_bad_hello_is_refused_with_its_place(bad: Hello, text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        opening().receive(WorkerFrame(hello=bad))


def test_hello_is_answered_by_welcome_before_anything_else() -> None:
    session = opening()
    frame = WorkerFrame(hello=hello(), credits=(Credit(A, 2),), ping=9)

    assert session.queues == ()
    assert session.out == ()
    assert session.receive(frame) == [happened.Greeted(hello())]
    assert session.take_outgoing() is None
    assert session.credit(A) == 0
    assert session.welcome(welcome(), {}) == [happened.CreditChanged(A)]
    assert session.queues == (A, B)
    assert session.credit(A) == 2
    assert session.take_outgoing() == ServerFrame(welcome=welcome(), pong=9)
    assert session.take_outgoing() is None

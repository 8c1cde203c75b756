"""StreamHost over a link in memory: handshake, deadlines, pings, endings; no gRPC, no real time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from podium.api.frames import server_message_of
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.model.execution import SecretMark, TaskStatus
from podium.model.queue import Queue
from podium.protocol.frame import (
    Credit,
    Hello,
    LeaseName,
    Nack,
    Result,
    ResultVerdict,
    ServedType,
    ServerFrame,
    TaskLog,
    WorkerFrame,
)
from podium.runtime import stream as stream_module
from podium.runtime.link import LinkBroken
from podium.runtime.stream import StreamHost, StreamLimits
from podium.runtime.vault import NO_SECRETS, Vault
from podium.store.port import StoreUnavailable
from tests.worker.board import Board

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from podium.protocol.problem import EndCode

A = Queue("a")
HELLO = Hello("w-1", "sdk", (ServedType(A),), 0)


class MemoryLink:
    """The worker's end is `say`, `hear` and `ended`."""

    def __init__(self) -> None:
        self._up: asyncio.Queue[WorkerFrame | Exception | None] = asyncio.Queue()
        self._down: asyncio.Queue[ServerFrame] = asyncio.Queue()
        self.ended: tuple[EndCode, str] | None = None
        self.stuck = asyncio.Event()
        self.stuck.set()

    async def receive(self) -> WorkerFrame | None:
        frame = await self._up.get()
        if isinstance(frame, Exception):
            raise frame
        return frame

    async def send(self, frame: ServerFrame) -> None:
        self._down.put_nowait(frame)
        await self.stuck.wait()

    def close(self, code: EndCode, text: str) -> None:
        assert self.ended is None
        self.ended = (code, text)

    def say(self, frame: WorkerFrame | Exception | None) -> None:
        self._up.put_nowait(frame)

    async def hear(self) -> ServerFrame:
        return await self._down.get()


class HandClock:
    """A clock that stands until `pass_ms`."""

    def __init__(self) -> None:
        self._now_ms = 1_000_000
        self._due: list[tuple[int, Callable[[], None], asyncio.TimerHandle]] = []

    def now_ms(self) -> int:
        return self._now_ms

    def now_us(self) -> int:
        return self._now_ms * 1000

    async def sleep(self, delay_ms: int) -> None:
        raise AssertionError(delay_ms)

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        handle = asyncio.TimerHandle(0, callback, (), loop)
        self._due.append((self._now_ms + delay_ms, callback, handle))
        return handle

    def pass_ms(self, delay_ms: int) -> None:
        self._now_ms += delay_ms
        due = [each for each in self._due if each[0] <= self._now_ms]
        self._due = [each for each in self._due if each[0] > self._now_ms]
        for _, callback, handle in due:
            if not handle.cancelled():
                callback()


class Stream:
    def __init__(self, board: Board, queue_of: object = None, vault: Vault = NO_SECRETS) -> None:
        self.board = board
        self.link = MemoryLink()
        self.clock = HandClock()
        self.host = StreamHost(
            link=self.link,
            dispatcher=board.dispatcher,
            leases=board.leases,
            clock=self.clock,
            queue_of=queue_of or board.queue_of,  # pyright: ignore[reportArgumentType]
            logs=board.logs,
            session="s-1",
            server="inc",
            limits=StreamLimits(),
            vault=vault,
        )
        self.running = asyncio.create_task(self.host.run())

    async def greet(self, credits_of_a: int = 0, hello: Hello = HELLO) -> ServerFrame:
        self.link.say(WorkerFrame(hello=hello, credits=(Credit(A, credits_of_a),)))
        return await self.link.hear()


@asynccontextmanager
async def stream(
    board: Board | None = None, queue_of: object = None, vault: Vault = NO_SECRETS
) -> AsyncIterator[Stream]:
    one = Stream(board or Board(), queue_of, vault)
    try:
        yield one
    finally:
        one.running.cancel()
        await asyncio.wait([one.running])


def done(job_id: str, epoch: int = 1, logs: tuple[str, ...] = ()) -> Result:
    return Result(job_id, epoch, TaskStatus.COMPLETED, logs=logs)


async def test_tasks_go_out_and_results_come_back() -> None:
    async with stream() as one:
        welcome = (await one.greet(2)).welcome
        assert welcome is not None
        assert (welcome.session, welcome.server, welcome.ping_interval_ms) == ("s-1", "inc", 30_000)

        job = one.board.put("a", {"x": 1})
        (task,) = (await one.link.hear()).tasks
        assert (task.task_id, task.lease_epoch, task.queue) == (job.record.id, 1, A)
        assert (task.workflow_id, task.workflow_version, task.priority) == ("wf-1", 3, 7)
        assert (task.input.value, task.correlation_id) == ({"x": 1}, "order-1")

        one.link.say(WorkerFrame(results=(done(job.record.id, logs=("l1", "l2")),)))
        (ack,) = (await one.link.hear()).acks
        assert ack.verdict is ResultVerdict.OK
        assert one.board.logged == [(job.record.id, "l1"), (job.record.id, "l2")]
        assert one.host.credit(A) == 2


async def test_s_259_s_260_secrets_are_put_in_when_the_task_goes_out() -> None:
    marks = (SecretMark(path=("x",), reference="workflow.secrets.KEY"),)
    vault = Vault({"KEY": "k1", "LARGE": "l" * PAYLOAD_BYTES_LIMIT}, {"REGION": "eu", "KEY": "e"})
    async with stream(vault=vault) as one:
        await one.greet(2)
        given: dict[str, object] = {"x": "${workflow.secrets.KEY}", "y": 1}
        names = ("KEY", "REGION", "NONE")
        job = one.board.put("a", given, secrets=marks, runtime_metadata=names)
        (task,) = (await one.link.hear()).tasks
        assert task.input.value == {"x": "k1", "y": 1}
        assert task.runtime_metadata == {"KEY": "k1", "REGION": "eu"}
        assert server_message_of(ServerFrame(tasks=(task,))).tasks[0].runtime_metadata == {
            "KEY": "k1",
            "REGION": "eu",
        }
        assert job.record.input.value == given


async def test_a_task_that_its_secrets_make_too_large_fails_and_costs_no_credit() -> None:
    marks = (SecretMark(path=("x",), reference="workflow.secrets.LARGE"),)
    async with stream(vault=Vault({"LARGE": "l" * PAYLOAD_BYTES_LIMIT}, {})) as one:
        await one.greet(1)
        job = one.board.put("a", {"x": "${workflow.secrets.LARGE}"}, secrets=marks)
        next_one = one.board.put("a", {"n": 1})
        (task,) = (await one.link.hear()).tasks
        assert task.task_id == next_one.record.id
        assert job.result is not None
        assert job.result.status is TaskStatus.FAILED_WITH_TERMINAL_ERROR
        assert job.result.reason == (
            "expected a task input, its secrets in place, of at most 10485760 bytes, found 10485768"
        )


async def test_no_hello_within_five_seconds_ends_the_stream() -> None:
    async with stream() as one:
        await asyncio.sleep(0)
        one.clock.pass_ms(5_000)
        await one.running

    expected = "expected Hello within 5000 ms, found none"
    assert one.link.ended == ("DEADLINE_EXCEEDED", expected)


async def test_a_silent_worker_is_pinged_twice_and_then_given_up() -> None:
    async with stream() as one:
        await one.greet()
        pings: list[int] = []
        for _ in range(2):
            one.clock.pass_ms(30_000)
            pings.append((await one.link.hear()).ping)
        one.link.say(WorkerFrame(pong=2, ping=77))
        assert (await one.link.hear()).pong == 77
        for _ in range(2):
            one.clock.pass_ms(30_000)
            pings.append((await one.link.hear()).ping)
        one.clock.pass_ms(30_000)
        await one.running

    assert pings == [1, 2, 3, 4]
    expected = "expected an answer to a ping within 60000 ms, found none"
    assert one.link.ended == ("UNAVAILABLE", expected)


async def test_a_breach_of_the_contract_ends_the_stream_with_its_text() -> None:
    async with stream() as one:
        await one.greet()
        one.link.say(WorkerFrame(credits=(Credit(Queue("x"), 1),)))
        await one.running

    assert one.link.ended is not None
    assert one.link.ended[0] == "INVALID_ARGUMENT"
    assert "found 'x'" in one.link.ended[1]
    assert one.board.workers == []


async def test_a_broken_link_orphans_the_leases_and_returns_what_was_never_sent() -> None:
    board = Board()
    async with stream(board) as one:
        await one.greet(1)
        sent = board.put("a")
        await one.link.hear()
        one.link.stuck.clear()
        one.host._protocol.ping(9)
        one.host._outgoing.set()
        await one.link.hear()
        one.link.say(WorkerFrame(credits=(Credit(A, 1),)))
        unsent = board.put("a")
        await unsent.handed.wait()
        one.link.say(LinkBroken())
        await one.running

        assert one.link.ended is None
        assert sent.leased
        assert sent.holder is None
        assert not unsent.leased
        assert one.host.credit(A) == 0


async def test_a_grant_that_comes_after_the_end_goes_back() -> None:
    board = Board()
    async with stream(board) as one:
        await one.greet(1)
        job = board.put("a")
        one.link.say(LinkBroken())
        one.host.end("UNAVAILABLE", "stopping")
        await one.running
        await board.until(lambda: not job.leased)

    assert one.link.ended == ("UNAVAILABLE", "stopping")


async def test_a_half_closed_stream_ends_with_ok_when_all_is_answered() -> None:
    board = Board()
    async with stream(board) as one:
        await one.greet(1)
        job = board.put("a")
        await one.link.hear()
        board.holding_replies = True
        one.link.say(WorkerFrame(results=(done(job.record.id),), drain=True))
        one.link.say(None)
        await board.replies_held.wait()
        assert not one.running.done()
        board.release_replies()
        assert len((await one.link.hear()).acks) == 1
        await one.running

    assert one.link.ended == ("OK", "")


async def test_nacks_extends_and_logs_reach_their_places() -> None:
    board = Board()
    async with stream(board) as one:
        await one.greet(1)
        job = board.put("a")
        await one.link.hear()
        lease = LeaseName(job.record.id, 1)
        line = TaskLog(job.record.id, "line", 5)
        one.link.say(WorkerFrame(extends=(lease,), logs=(line, line)))
        await board.until(lambda: len(board.logged) == 2)
        assert board.extended == [lease]

        one.link.say(WorkerFrame(nacks=(Nack(lease, "no"),)))
        (again,) = (await one.link.hear()).tasks
        assert again.lease_epoch == 2
        one.link.say(WorkerFrame(extends=(lease,)))
        assert (await one.link.hear()).lost == (lease,)


async def test_in_hand_tasks_are_resumed_and_the_rest_is_lost() -> None:
    board = Board()
    job = board.put("a")
    job.leased, job.epoch = True, 3
    mine, other = LeaseName(job.record.id, 3), LeaseName("wf.x.0", 1)
    async with stream(board) as one:
        hello = Hello("w-1", "sdk", (ServedType(A),), 0, (mine, other))
        welcome = (await one.greet(0, hello)).welcome
        assert welcome is not None
        assert (welcome.resumed, welcome.lost) == ((mine,), (other,))
        board.cancel(job, "the workflow ended")
        (cancel,) = (await one.link.hear()).cancels
        assert (cancel.task_id, cancel.reason) == (job.record.id, "the workflow ended")
        assert one.host.credit(A) == 1


async def test_a_store_that_does_not_answer_ends_the_greeting() -> None:
    async def queue_of(lease: LeaseName) -> Queue:
        raise StoreUnavailable(lease.task_id)

    board = Board()
    job = board.put("a")
    job.leased, job.epoch = True, 1
    async with stream(board, queue_of) as one:
        hello = Hello("w-1", "sdk", (ServedType(A),), 0, (LeaseName(job.record.id, 1),))
        one.link.say(WorkerFrame(hello=hello))
        await one.running

    assert one.link.ended is not None
    assert one.link.ended[0] == "UNAVAILABLE"
    assert job.record.id not in one.link.ended[1]


async def test_go_away_takes_the_credit_and_is_told() -> None:
    async with stream() as one:
        await one.greet(3)
        one.host.go_away("a new version", 250)
        away = (await one.link.hear()).go_away
        assert away is not None
        assert (away.reason, away.reconnect_after_ms) == ("a new version", 250)
        assert one.host.credit(A) == 0

    async with stream() as one:
        await asyncio.sleep(0)
        one.host.go_away("a new version")
        await one.running
        assert one.link.ended is not None
        assert one.link.ended[0] == "UNAVAILABLE"


async def test_a_worker_that_reads_no_answers_is_not_read_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_module, "ANSWERS_WAITING_MAX", 3)
    board = Board()
    async with stream(board) as one:
        await one.greet()
        one.link.stuck.clear()
        one.host._protocol.ping(9)
        one.host._outgoing.set()
        await one.link.hear()
        for n in range(10):
            one.link.say(WorkerFrame(results=(done(f"r{n}"),)))
        await board.until(lambda: len(board.verdicts) == 4)
        await asyncio.sleep(0)
        assert len(board.verdicts) == 4
        one.link.stuck.set()
        await board.until(lambda: len(board.verdicts) == 10)


async def test_a_bug_in_a_neighbour_is_raised_to_the_caller() -> None:
    class Broken(Exception):
        pass

    def nack(holder: object, lease: LeaseName) -> None:
        raise Broken

    board = Board()
    async with stream(board) as one:
        await one.greet(1)
        job = board.put("a")
        await one.link.hear()
        board.leases.nack = nack
        one.link.say(WorkerFrame(nacks=(Nack(job.lease),)))
        with pytest.raises(ExceptionGroup) as caught:
            await one.running
        assert caught.group_contains(Broken)

"""The two sessions of a stream joined by lists: frames are cut, late, doubled by re-sending.

A stream keeps order and doubles nothing by itself, so the faults are those a transport has: a break
at any moment (what was under way is lost on one side, or both), and a former stream whose frames
still arrive after the next one has begun. Whatever happens, once it heals every task is closed once
by a lease that was current, nothing stays in hand, and every credit is where it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
)

from podium.api.frames import server_message_of, worker_frame_of
from podium.model.queue import Queue
from podium.protocol.frame import (
    CancelTask,
    GoAway,
    LeaseName,
)
from podium.protocol.session import Session as ServerSession
from podium.protocol.session import State
from podium.v1 import worker_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable
from tests.protocol.pair import FRAME_LIMIT, PAYLOAD_LIMIT, QUEUES, Job, Stream, World, lease_of


class Pair(World):
    """The faults that a transport has, and the moves of both sides."""

    @initialize(queues=st.lists(st.sampled_from(list(QUEUES)), min_size=2, max_size=8))
    def put(self, queues: list[tuple[str, str]]) -> None:
        for number, queue in enumerate(queues):
            self.jobs[f"t{number}"] = Job(f"t{number}", Queue(*queue))
        self.connect()

    @rule(moves=st.lists(st.integers(0, 6), min_size=4, max_size=16))
    def frames_travel(self, moves: list[int]) -> None:
        """Many small steps in some order: single ones would seldom get a task anywhere."""
        for move in moves:
            steps: tuple[Callable[[], None], ...] = (
                self.worker_sends,
                lambda: self.server_receives(-1),
                self.hand_out,
                lambda: self.server_sends(-1),
                self.worker_receives,
                lambda: self.server_decides(-1),
                lambda: self.finish(0, 50),
            )
            steps[move]()

    @rule()
    def all_travels(self) -> None:
        """What is under way arrives, and tasks are handed out; nothing is finished."""
        newest = len(self.streams) - 1
        if self.current is None or self.streams[newest].over:
            return
        for move in (0, 1, 5, 2, 3, 4, 2, 3, 4):
            self.frames_travel([move])

    @rule(index=st.integers(0, 7))
    def lease_ends(self, index: int) -> None:
        """The response timeout passed."""
        job = self.jobs.get(f"t{index}")
        if job is not None and job.leased:
            holder, lease = job.holder, job.lease
            job.leased, job.holder = False, None
            if holder is not None and not holder.over:
                holder.session.lose(lease)

    @rule(index=st.integers(0, 7))
    def cancel(self, index: int) -> None:
        job = self.jobs.get(f"t{index}")
        if job is not None and not job.closed_by:
            holder, lease = job.holder, job.lease
            job.closed_by, job.leased, job.holder = -1, False, None
            if holder is not None and not holder.over:
                holder.session.cancel(CancelTask(*lease_of(lease), "over"))

    @precondition(lambda self: self.current is None)
    @rule()
    def connect(self) -> None:
        held = [job.queue for job in self.jobs.values() for _ in self.kept(job)]
        full = [held.count(Queue(*queue)) > most for queue, most in QUEUES.items()]
        self.loose = any(full) or bool(self.stuck)
        self.worker.connected()
        self.current = Stream()
        self.streams.append(self.current)

    @precondition(lambda self: self.current is not None)
    @rule(arrives=st.booleans())
    def cut(self, *, arrives: bool) -> None:
        """The worker notices first; what it sent may still arrive."""
        assert self.current is not None
        if not arrives:
            self.current.up.clear()
        in_hand = self.worker.in_hand
        self.worker.disconnected()
        assert self.worker.in_hand == in_hand
        self.current = None

    @precondition(lambda self: self.streams)
    @rule(index=st.integers(0, 3))
    def server_notices(self, index: int) -> None:
        """A stream the worker left ends at the server: its grace runs, and passes."""
        stream = self.streams[index % len(self.streams)]
        if stream is not self.current and not stream.over:
            self.end(stream)

    @precondition(lambda self: self.current is not None)
    @rule()
    def server_breaks(self) -> None:
        """The server notices first; what it sent may still arrive."""
        stream = self.current
        assert stream is not None
        if not stream.over:
            self.end(stream)

    @rule()
    def grace_passes(self) -> None:
        for job in self.jobs.values():
            if job.leased and (job.holder is None or job.holder.over):
                job.leased, job.holder = False, None

    @precondition(lambda self: self.streams)
    @rule(index=st.integers(0, 3))
    def server_receives(self, index: int) -> None:
        stream = self.streams[index % len(self.streams)]
        if stream.up and not stream.over and stream.greeting is None:
            message = pb.WorkerFrame.FromString(stream.up.popleft())
            frame = worker_frame_of(message, PAYLOAD_LIMIT)
            for each in stream.session.receive(frame):
                self.happens(stream, each)

    @precondition(lambda self: self.streams)
    @rule(index=st.integers(0, 3))
    def server_decides(self, index: int) -> None:
        stream = self.streams[index % len(self.streams)]
        if stream.greeting is not None and not stream.over:
            self.greet(stream, stream.greeting)
        elif stream.reports:
            self.decide(stream, stream.reports.popleft())

    @precondition(lambda self: self.streams)
    @rule(index=st.integers(0, 3))
    def server_sends(self, index: int) -> None:
        stream = self.streams[index % len(self.streams)]
        if not stream.over and (frame := stream.session.take_outgoing()) is not None:
            data = server_message_of(frame).SerializeToString()
            assert len(data) <= FRAME_LIMIT
            stream.down.append(data)

    @precondition(lambda self: self.streams)
    @rule(nonce=st.integers(1, 9))
    def server_pings(self, nonce: int) -> None:
        session = self.streams[-1].session
        if session.state in (State.OPEN, State.DRAINING):
            session.ping(nonce)

    @precondition(lambda self: self.current is not None)
    @rule()
    def server_goes_away(self) -> None:
        assert self.current is not None
        if self.current.session.state in (State.OPEN, State.DRAINING) and not self.current.over:
            self.current.session.go_away(GoAway("stop"))

    @rule(index=st.integers(0, 5), size=st.sampled_from([0, 50, 500]))
    def finish(self, index: int, size: int) -> None:
        if not self.running:
            return
        lease = list(self.running)[index % len(self.running)]
        del self.running[lease]
        output = pb.Payload(json=b'{"x":"' + b"y" * size + b'"}')
        status = pb.RESULT_STATUS_COMPLETED
        self.worker.finish(
            pb.Result(
                task_id=lease.task_id, lease_epoch=lease.lease_epoch, status=status, output=output
            )
        )

    @precondition(lambda self: self.running)
    @rule(index=st.integers(0, 5))
    def extend_and_log(self, index: int) -> None:
        lease = list(self.running)[index % len(self.running)]
        self.worker.extend(lease)
        self.worker.log(lease, "line", 1)

    @precondition(lambda self: self.running)
    @rule(index=st.integers(0, 5))
    def finish_badly(self, index: int) -> None:
        """A result that is rejected is replaced by a failure."""
        lease = list(self.running)[index % len(self.running)]
        del self.running[lease]
        payload = pb.Payload(json=b"[]")
        status = pb.RESULT_STATUS_COMPLETED
        self.worker.finish(
            pb.Result(
                task_id=lease.task_id, lease_epoch=lease.lease_epoch, status=status, output=payload
            )
        )

    @precondition(lambda self: self.stuck)
    @rule()
    def stuck_handler_ends(self) -> None:
        self.worker.restore(self.stuck.pop())

    @invariant()
    def no_task_is_closed_twice(self) -> None:
        assert all(job.accepted <= 1 for job in self.jobs.values())

    @invariant()
    def no_more_run_than_there_is_room(self) -> None:
        for queue, most in QUEUES.items():
            assert list(self.running.values()).count(queue) <= most
        assert len(self.running) <= 3

    @invariant()
    def what_runs_is_in_hand(self) -> None:
        assert set(self.running) <= set(self.worker.in_hand)

    def teardown(self) -> None:
        """Heal; then everything must end, and every credit be back."""
        if (
            self.current is None
            or self.current.over
            or self.current.session.state
            not in (
                State.OPENING,
                State.GREETING,
                State.OPEN,
            )
        ):
            if self.current is not None:
                self.worker.disconnected()
                self.current = None
            self.connect()
        assert self.current is not None
        for stream in self.streams:
            if stream is not self.current and not stream.over:
                self.end(stream)
        self.grace_passes_for_the_gone()
        for _ in range(400):
            self.one_healthy_round()
            if self.is_quiet():
                break
        assert self.is_quiet()
        assert self.worker.in_hand == ()
        assert all(job.closed_by for job in self.jobs.values())
        self.credits_are_back(self.current.session)

    def grace_passes_for_the_gone(self) -> None:
        """Those the worker names in its Hello are resumed, if that is still under way."""
        named = {LeaseName(*lease) for lease in self.worker.in_hand}
        for job in self.jobs.values():
            gone = job.leased and (job.holder is None or job.holder.over)
            if gone and job.lease not in named:
                job.leased, job.holder = False, None

    def one_healthy_round(self) -> None:
        index = len(self.streams) - 1
        stream = self.streams[index]
        while self.stuck:
            self.stuck_handler_ends()
        self.hand_out()
        self.worker_sends()
        while stream.up or stream.greeting is not None:
            self.server_receives(index)
            self.server_decides(index)
        while stream.reports:
            self.decide(stream, stream.reports.popleft())
        while (frame := stream.session.take_outgoing()) is not None:
            stream.down.append(server_message_of(frame).SerializeToString())
        while stream.down:
            self.worker_receives()
        while self.running:
            self.finish(0, 50)

    def is_quiet(self) -> bool:
        done = all(job.closed_by for job in self.jobs.values())
        return done and not self.worker.in_hand and not self.stuck and not self.running

    def credits_are_back(self, session: ServerSession) -> None:
        for _ in range(3):
            self.one_healthy_round()
        assert session.out == ()
        ledger = session._ledger
        assert ledger is not None
        for queue, most in QUEUES.items():
            account = ledger._accounts[Queue(*queue)]
            assert account.credits >= most if self.loose else account.credits == most
            assert session.credit(Queue(*queue)) == most


TestPair = Pair.TestCase

TestPair.settings = settings(stateful_step_count=30, max_examples=150)

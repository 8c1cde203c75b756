"""A worker made of nothing but the stubs that protoc generates from protos/podium/v1, by the
comments of worker.proto alone: no SDK. `worker.py TARGET TASK_TYPE NAME TASKS_MAX` doubles the n of
each task.

It prints a JSON line per event: stubs, welcome, taken, extended, lost, broken. A task whose input
has "hold" is kept until a line is read from stdin; the end of stdin is the order to drain.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from podium.v1 import worker_pb2 as pb
from podium.v1 import worker_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterable

RECONNECT_S_MAX = 2.0
TICK_S = 0.2
HELLO_BYTES_MAX = 1 << 20
OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


@dataclass
class Hold:
    """A task in hand: received, and not given back or taken away."""

    task: pb.Task
    result: pb.Result | None = None
    extended: float = field(default_factory=time.monotonic)

    @property
    def lease(self) -> pb.TaskLease:
        return pb.TaskLease(task_id=self.task.task_id, lease_epoch=self.task.lease_epoch)


class Stream:
    """One call of Connect: what waits for its next frame, one write in flight."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.pending = pb.WorkerFrame()
        self.results: list[pb.Result] = []
        self.bytes_max = HELLO_BYTES_MAX
        self.silence_s_max = 3600.0
        self.heard = time.monotonic()
        self.closing = False
        self._news = asyncio.Event()

    def tell(self) -> None:
        """Something waits."""
        self._news.set()

    def credit(self, task_type: str, delta: int) -> None:
        if delta > 0:
            self.pending.credits.add(task_type=task_type, delta=delta)
            self.tell()

    def add_result(self, result: pb.Result) -> None:
        self.results.append(result)
        self.tell()

    def close(self) -> None:
        """Half-close it once nothing waits."""
        self.closing = True
        self.tell()

    async def send_all(self) -> None:
        """Until it is half-closed. Of a failed write the reader hears the reason."""
        while True:
            await self._news.wait()
            self._news.clear()
            while frame := self._next():
                await self.call.write(frame)
            if self.closing:
                await self.call.done_writing()
                return

    def _next(self) -> pb.WorkerFrame | None:
        """All that waits, as far as it fits; None = nothing waits."""
        frame, self.pending = self.pending, pb.WorkerFrame()
        size = frame.ByteSize()
        while self.results:
            size += self.results[0].ByteSize() + 16
            if size > self.bytes_max and frame.results:
                break
            frame.results.append(self.results.pop(0))
        return frame if size else None


class StubWorker:
    """All its state changes in the tasks of one loop."""

    def __init__(self, target: str, task_type: str, name: str, tasks_max: int) -> None:
        self._stub = worker_pb2_grpc.WorkerServiceStub(
            grpc.aio.insecure_channel(target, options=OPTIONS)
        )
        self._task_type = task_type
        self._name = name
        self._tasks_max = tasks_max
        self._hand: dict[tuple[str, int], Hold] = {}
        self._serving: Stream | None = None
        self._leaving: list[Stream] = []
        self._draining = False
        self._attempts = 0

    async def run(self) -> None:
        """Until it is drained."""
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(self._listen()), group.create_task(self._keep())]
            await self._connect(group)
            for helper in helpers:
                helper.cancel()

    async def _connect(self, group: asyncio.TaskGroup) -> None:
        """One stream after the other, until one ends after the drain."""
        while not (self._draining and not self._hand):
            stream = self._open()
            moved = asyncio.Event()
            talking = group.create_task(self._talk(stream, moved))
            going = group.create_task(moved.wait())
            await asyncio.wait((talking, going), return_when=asyncio.FIRST_COMPLETED)
            going.cancel()
            if talking.done() and not talking.result():
                await self._pause()

    async def _pause(self) -> None:
        self._attempts = min(self._attempts + 1, 6)
        await asyncio.sleep(random.uniform(0, min(0.05 * 2**self._attempts, RECONNECT_S_MAX)))

    def _open(self) -> Stream:
        """Greet: what is in hand is named, and its credits are counted as taken."""
        stream = Stream(self._stub.Connect())
        hello = stream.pending.hello
        hello.worker_id, hello.sdk = self._name, "stub-python/1"
        hello.task_types.add(name=self._task_type)
        hello.in_hand.extend(hold.lease for hold in self._hand.values())
        if self._draining:
            stream.pending.drain.SetInParent()
        else:
            stream.credit(self._task_type, self._tasks_max - len(self._hand))
        stream.tell()
        return stream

    async def _talk(self, stream: Stream, moved: asyncio.Event) -> bool:
        """Until the stream ends; whether it was welcomed. `moved` = another one is wanted."""
        welcomed = False
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(send_quietly(stream))
            try:
                async for frame in stream.call:
                    welcomed = welcomed or frame.HasField("welcome")
                    self._hear(stream, frame)
                    if frame.HasField("go_away"):
                        self._leave(stream)
                        group.create_task(set_later(moved, frame.go_away.reconnect_after_ms))
            except (grpc.aio.AioRpcError, asyncio.CancelledError) as error:
                note_end(stream, error)
            sending.cancel()
        self._over(stream)
        return welcomed

    def _leave(self, stream: Stream) -> None:
        """It still takes results, until another one is welcomed."""
        if stream is self._serving:
            self._serving = None
        self._leaving.append(stream)

    def _over(self, stream: Stream) -> None:
        if stream is self._serving:
            self._serving = None
        if stream in self._leaving:
            self._leaving.remove(stream)

    def _hear(self, stream: Stream, frame: pb.ServerFrame) -> None:
        stream.heard = time.monotonic()
        if frame.HasField("welcome"):
            self._welcomed(stream, frame.welcome)
        for task in frame.tasks:
            self._taken(task)
        for ack in frame.acks:
            self._acknowledged(ack)
        self._forget([*frame.lost, *frame.cancels])
        if frame.HasField("ping"):
            stream.pending.pong.nonce = frame.ping.nonce
            stream.tell()
        self._close_if_drained()

    def _welcomed(self, stream: Stream, welcome: pb.Welcome) -> None:
        """Results that wait are sent now, when the limit of a frame is known."""
        self._serving, self._attempts = stream, 0
        stream.bytes_max = welcome.frame_bytes_limit
        stream.silence_s_max = 2 * welcome.ping_interval_ms / 1000
        say("welcome", resumed=ids(welcome.resumed), lost=ids(welcome.lost))
        lost = self._forget(welcome.lost)
        if not self._draining:
            stream.credit(self._task_type, lost)  # theirs do not come back by themselves
        for hold in self._hand.values():
            if hold.result is not None:
                stream.add_result(hold.result)
        for each in self._leaving:
            each.close()

    def _taken(self, task: pb.Task) -> None:
        hold = self._hand[task.task_id, task.lease_epoch] = Hold(task)
        say("taken", task_id=task.task_id, epoch=task.lease_epoch)
        if not json.loads(task.input.json or b"{}").get("hold"):
            self._finish(hold)

    def _finish(self, hold: Hold) -> None:
        """Keep the result until its ack; send it on the stream that serves, or on one that was
        told to go away, if that is all there is.
        """
        hold.result = work(hold.task, self._name)
        self._send_result(hold.result)

    def _send_result(self, result: pb.Result) -> None:
        streams = [self._serving] if self._serving else self._leaving
        for stream in streams[:1]:
            stream.add_result(result)

    def _acknowledged(self, ack: pb.ResultAck) -> None:
        hold = self._hand.get((ack.task_id, ack.lease_epoch))
        if hold is not None and ack.verdict == pb.RESULT_VERDICT_REJECTED:
            # The lease stays; a sound result must follow.
            hold.result = pb.Result(
                task_id=ack.task_id,
                lease_epoch=ack.lease_epoch,
                status=pb.RESULT_STATUS_FAILED,
                reason=ack.reason,
            )
            self._send_result(hold.result)
            return
        self._hand.pop((ack.task_id, ack.lease_epoch), None)

    def _forget(self, leases: Iterable[pb.TaskLease | pb.LeaseLost | pb.Cancel]) -> int:
        """Tasks that are this worker's no longer; how many of them were."""
        count = 0
        for lease in leases:
            if self._hand.pop((lease.task_id, lease.lease_epoch), None):
                say("lost", task_id=lease.task_id, epoch=lease.lease_epoch)
                count += 1
        return count

    async def _listen(self) -> None:
        """Orders: a line finishes all that is held, the end of stdin drains."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        more = True
        while more:
            more = bool(await reader.readline())
            for hold in [hold for hold in self._hand.values() if hold.result is None]:
                self._finish(hold)
        self._draining = True
        if self._serving is not None:
            self._serving.pending.drain.SetInParent()
            self._serving.tell()
        self._close_if_drained()

    def _close_if_drained(self) -> None:
        if self._draining and not self._hand and self._serving is not None:
            self._serving.close()

    async def _keep(self) -> None:
        """Renew each lease that runs at a third of its response timeout; end a silent stream."""
        while True:
            await asyncio.sleep(TICK_S)
            stream = self._serving
            if stream is None:
                continue
            now = time.monotonic()
            for hold in self._hand.values():
                third = hold.task.response_timeout_ms / 3000
                if third and hold.result is None and now - hold.extended >= third:
                    hold.extended = now
                    stream.pending.extends.append(hold.lease)
                    stream.tell()
                    say("extended", task_id=hold.task.task_id, epoch=hold.task.lease_epoch)
            if now - stream.heard > stream.silence_s_max:
                stream.call.cancel()


async def send_quietly(stream: Stream) -> None:
    """The reader hears why the stream is over."""
    try:
        await stream.send_all()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        return


def note_end(stream: Stream, error: BaseException) -> None:
    """Raises what cannot be helped by connecting again unchanged, or ends this process."""
    if isinstance(error, grpc.aio.AioRpcError):
        if error.code() == grpc.StatusCode.INVALID_ARGUMENT:
            raise error
        say("broken", status=error.code().name)
    elif stream.call.cancelled():
        say("broken", status="CANCELLED")
    else:
        raise error


async def set_later(event: asyncio.Event, delay_ms: int) -> None:
    await asyncio.sleep(delay_ms / 1000)
    event.set()


def work(task: pb.Task, name: str) -> pb.Result:
    """Doubles n."""
    result = pb.Result(task_id=task.task_id, lease_epoch=task.lease_epoch)
    n = json.loads(task.input.json or b"{}").get("n")
    if not isinstance(n, int):
        result.status = pb.RESULT_STATUS_FAILED_WITH_TERMINAL_ERROR
        result.reason = "expected a whole number n, found none"
        return result
    result.status = pb.RESULT_STATUS_COMPLETED
    result.output.json = json.dumps({"n": 2 * n, "by": name}).encode()
    return result


def ids(leases: Iterable[pb.TaskLease]) -> list[str]:
    return [lease.task_id for lease in leases]


def say(event: str, **more: object) -> None:
    print(json.dumps({"event": event, **more}), flush=True)


async def main(target: str, task_type: str, name: str, tasks_max: str) -> None:
    """The process."""
    foreign = sorted(each for each in sys.modules if each.partition(".")[0] == "podium_worker")
    say("stubs", file=pb.__file__, foreign=foreign)
    await StubWorker(target, task_type, name, int(tasks_max)).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

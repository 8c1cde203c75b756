"""The load generator: starter and worker in one process, on one clock, driving either server.

Run as `python -m tests.bench.generator JOB` (jobs.py). It knows the two rpcs and not who serves
them. Start calls go as ready-made bytes, since the generator must not be what is measured.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager

import grpc.aio
import msgspec
import uvloop

from podium.conductor import request_pb2
from podium.v1 import worker_pb2
from tests.bench import echo
from tests.bench.jobs import TASK_TYPE, VERSION, Echo, Job, Latencies, Pace, Rate, Saturate, Shape
from tests.bench.stream_worker import StreamWorker

START_PATH = "/conductor.grpc.workflows.WorkflowService/StartWorkflow"
CALL_CHANNELS = 2
WORKER_TASKS_MAX = 10_000
FINISH_S_MAX = 20
# Each channel gets a connection of its own, as separate clients would have.
OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)

Call = Callable[[bytes], Awaitable[bytes]]


class Tally:
    """What happened so far. A workflow is finished when the result of its last task is stored."""

    def __init__(self, last_reference: str) -> None:
        self.answered = 0
        self.started = 0
        self.tasks = 0
        self.finished = 0
        self._last_reference = last_reference
        self._last_tasks: set[str] = set()
        self._changed = asyncio.Event()

    def received(self, task: worker_pb2.Task) -> None:
        if task.reference_name == self._last_reference:
            self._last_tasks.add(task.task_id)

    def acknowledged(self, task_id: str) -> bool:
        """Count a stored result; tells whether it finished its workflow."""
        self.tasks += 1
        if task_id not in self._last_tasks:
            return False
        self._last_tasks.remove(task_id)
        self.finished += 1
        self._changed.set()
        return True

    async def all_finished(self) -> None:
        """Wait until no started workflow is unfinished; too long a wait is a fault."""
        try:
            async with asyncio.timeout(FINISH_S_MAX):
                while self.finished < self.started:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            message = f"expected {self.started} finished workflows, found {self.finished}"
            raise RuntimeError(message) from None


async def run_echo(job: Echo) -> Rate:
    """Calls per second of the bare echo."""
    tally = Tally("")

    async def caller(call: Call) -> None:
        while True:
            await call(b"echo")
            tally.answered += 1

    async with calls(job.target, echo.PATH) as stubs:
        callers = [caller(stubs[number % CALL_CHANNELS]) for number in range(job.calls)]
        async with beside(*callers):
            return await rate(tally, job.warm_up_ms, job.window_ms)


async def run_saturate(job: Saturate) -> Rate:
    """Workflows and tasks per second at saturation; every started workflow must then finish."""
    tally = Tally(job.shape.last_reference())
    request = start_request(job.shape, "saturate")
    targets = (job.target, *job.others)
    room = asyncio.Semaphore(job.open_limit * len(targets))
    stopping = asyncio.Event()

    def received(task: worker_pb2.Task, arrived_ns: int) -> None:
        tally.received(task)

    def acknowledged(task_id: str) -> None:
        if tally.acknowledged(task_id):
            room.release()

    async def caller(call: Call) -> None:
        while True:
            await room.acquire()
            if stopping.is_set():
                return
            tally.started += 1
            await call(request)
            tally.answered += 1

    async with AsyncExitStack() as stack:
        stubs: list[Call] = []
        for target in targets:
            stubs += await stack.enter_async_context(calls(target, START_PATH))
            await stack.enter_async_context(worker(target, on_task=received, on_ack=acknowledged))
        began_s = time.process_time()
        calling = range(job.calls * len(targets))
        callers = [caller(stubs[number % len(stubs)]) for number in calling]
        async with beside(*callers):
            measured = await rate(tally, job.warm_up_ms, job.window_ms)
            stopping.set()
            await tally.all_finished()
        cpu_s = time.process_time() - began_s
        return msgspec.structs.replace(measured, workflows=tally.finished, cpu_s=cpu_s)


async def run_pace(job: Pace) -> Latencies:
    """Latencies of starts sent at their own time, whether or not earlier ones were answered."""
    total = job.warm_up_count + job.count
    sent_ns, received_ns, answered_ns = [0] * total, [0] * total, [0] * total
    tally = Tally(job.shape.last_reference())

    def received(task: worker_pb2.Task, arrived_ns: int) -> None:
        received_ns[int(task.correlation_id)] = arrived_ns
        tally.received(task)

    async def start(number: int, call: Call) -> None:
        request = start_request(job.shape, str(number))
        sent_ns[number] = time.perf_counter_ns()
        await call(request)
        answered_ns[number] = time.perf_counter_ns()

    async with (
        calls(job.target, START_PATH) as stubs,
        worker(job.worker_target or job.target, on_task=received, on_ack=tally.acknowledged),
    ):
        began_s = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(total):
                due_s = began_s + number * job.interval_ms / 1000
                await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
                tally.started += 1
                group.create_task(start(number, stubs[number % CALL_CHANNELS]))
        await tally.all_finished()
    measured = slice(job.warm_up_count, None)
    return Latencies(
        elapsed_ms(sent_ns[measured], received_ns[measured]),
        elapsed_ms(sent_ns[measured], answered_ns[measured]),
    )


def elapsed_ms(from_ns: list[int], until_ns: list[int]) -> list[float]:
    """Differences in milliseconds, pair by pair."""
    return [(until - begun) / 1e6 for begun, until in zip(from_ns, until_ns, strict=True)]


async def rate(tally: Tally, warm_up_ms: int, window_ms: int) -> Rate:
    """What the tally gains within the window, by the window's real length."""
    await asyncio.sleep(warm_up_ms / 1000)
    began_s = time.perf_counter()
    before = (tally.answered, tally.finished, tally.tasks)
    await asyncio.sleep(window_ms / 1000)
    took_s = time.perf_counter() - began_s
    after = (tally.answered, tally.finished, tally.tasks)
    calls_per_s, workflows_per_s, tasks_per_s = (
        (late - early) / took_s for early, late in zip(before, after, strict=True)
    )
    return Rate(calls_per_s, workflows_per_s, tasks_per_s)


def start_request(shape: Shape, correlation_id: str) -> bytes:
    """A start call's message."""
    request = request_pb2.StartWorkflowRequest(
        name=shape.workflow, version=VERSION, correlation_id=correlation_id
    )
    request.input["text"].string_value = "to be passed on"
    return request.SerializeToString()


@asynccontextmanager
async def calls(target: str, path: str) -> AsyncIterator[list[Call]]:
    """The unary call on each of CALL_CHANNELS connections, bytes to bytes."""
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(
                grpc.aio.insecure_channel(target, options=OWN_CONNECTION)
            )
            for _ in range(CALL_CHANNELS)
        ]
        yield [channel.unary_unary(path) for channel in channels]


@asynccontextmanager
async def worker(
    target: str,
    *,
    on_task: Callable[[worker_pb2.Task, int], None],
    on_ack: Callable[[str], object],
) -> AsyncIterator[None]:
    """A connected stream worker beside the block."""
    async with grpc.aio.insecure_channel(target, options=OWN_CONNECTION) as channel:
        stream = StreamWorker(channel, on_task=on_task, on_ack=on_ack)
        await stream.connect(TASK_TYPE, tasks_max=WORKER_TASKS_MAX)
        async with beside(stream.run()):
            yield


@asynccontextmanager
async def beside(*coroutines: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run them while the block runs; one that fails ends the block with its error."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]
        yield
        for task in tasks:
            task.cancel()


async def run(job: Job) -> Rate | Latencies:
    """Do the job."""
    match job:
        case Echo():
            return await run_echo(job)
        case Saturate():
            return await run_saturate(job)
        case Pace():
            return await run_pace(job)


if __name__ == "__main__":
    asked: Job = msgspec.json.decode(sys.argv[1], type=Job)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(msgspec.json.encode(runner.run(run(asked))).decode(), flush=True)

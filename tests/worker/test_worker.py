"""The SDK against a real gRPC server: a task's way, its failures and its ends."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from podium.model.execution import TaskStatus
from podium.model.queue import Queue
from podium.protocol.frame import ResultVerdict
from podium.runtime.stream import StreamLimits
from podium_worker import (
    ResultStatus,
    TaskContext,
    TaskResult,
    TerminalError,
    Worker,
    worker_task,
)
from tests.worker.board import Board
from tests.worker.serving import serving
from tests.worker.working import echo, working


async def test_tasks_are_run_and_their_results_acknowledged() -> None:
    board = Board()
    async with serving(board) as server, working(server.address, echo):
        jobs = [board.put("echo", {"n": n}) for n in range(50)]
        for job in jobs:
            await job.done.wait()

    for n, job in enumerate(jobs):
        assert job.result is not None
        assert job.result.status is TaskStatus.COMPLETED
        assert json.loads(job.result.output.json) == {"echo": {"n": n}}
    assert set(board.verdicts) == {ResultVerdict.OK}


async def test_a_sync_handler_runs_in_a_thread_and_sees_its_context() -> None:
    seen: list[tuple[object, ...]] = []

    @worker_task("sync", domain="blue", tasks_max=2)
    def sync(task_input: dict[str, object], context: TaskContext) -> dict[str, object]:
        context.log("halfway")
        context.extend()
        thread = threading.current_thread() is not threading.main_thread()
        seen.append((thread, context.workflow_id, context.retry_count, context.info.priority))
        return {"in": task_input["x"]}

    board = Board()
    async with serving(board) as server, working(server.address, sync):
        job = board.put("sync", {"x": 1}, domain="blue")
        await job.done.wait()

    assert seen == [(True, "wf-1", 0, 7)]
    assert job.result is not None
    assert job.result.output.value == {"in": 1}


async def test_extends_and_logs_reach_the_server_while_the_task_runs() -> None:
    goes_on = asyncio.Event()

    @worker_task("long")
    async def long(task_input: dict[str, object], context: TaskContext) -> None:
        context.log("begun")
        context.extend()
        await goes_on.wait()

    board = Board()
    async with serving(board) as server, working(server.address, long):
        job = board.put("long")
        await board.until(lambda: bool(board.extended and board.logged))
        goes_on.set()
        await job.done.wait()

    assert board.extended == [job.lease]
    assert board.logged == [(job.record.id, "begun")]


async def test_what_a_handler_raises_is_the_reason_of_the_failure() -> None:
    @worker_task("fails")
    async def fails(task_input: dict[str, object]) -> None:
        raise ValueError("x" * 600)

    @worker_task("fails_for_good")
    def fails_for_good(task_input: dict[str, object]) -> None:
        raise TerminalError("no such customer")

    @worker_task("stops_by_itself")
    async def stops_by_itself(task_input: dict[str, object]) -> None:
        raise asyncio.CancelledError

    board = Board()
    async with (
        serving(board) as server,
        working(server.address, fails, fails_for_good, stops_by_itself),
    ):
        jobs = [board.put(name) for name in ("fails", "fails_for_good", "stops_by_itself")]
        for job in jobs:
            await job.done.wait()

    assert [(job.result.status, job.result.reason) for job in jobs if job.result] == [
        (TaskStatus.FAILED, "x" * 500),
        (TaskStatus.FAILED_WITH_TERMINAL_ERROR, "no such customer"),
        (TaskStatus.FAILED, "cancelled by itself"),
    ]


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (7, "expected a dict or a TaskResult from the handler, found 7"),
        ({"x": float("nan")}, "Out of range float values are not JSON compliant"),
        ({"x": object}, "Object of type type is not JSON serializable"),
    ],
)
async def test_an_output_that_is_no_json_object_fails_the_task(
    returned: object, expected: str
) -> None:
    @worker_task("odd")
    async def odd(task_input: dict[str, object]) -> object:
        return returned

    board = Board()
    async with serving(board) as server, working(server.address, odd):
        job = board.put("odd")
        await job.done.wait()

    assert job.result is not None
    assert job.result.status is TaskStatus.FAILED
    assert job.result.reason is not None
    assert job.result.reason.startswith(expected)


REJECTED = (
    "the result was rejected: result.output.json: expected at most 30 levels of JSON, found more"
)


async def test_an_output_the_server_rejects_becomes_a_failure() -> None:
    @worker_task("deep")
    async def deep(task_input: dict[str, object]) -> dict[str, object]:
        value: object = 1
        for _ in range(40):
            value = [value]
        return {"deep": value}

    @worker_task("large")
    async def large(task_input: dict[str, object]) -> dict[str, object]:
        return {"large": "x" * 2_000}

    board = Board()
    limits = StreamLimits(payload_bytes_limit=1_000)
    async with serving(board, limits) as server, working(server.address, deep, large):
        jobs = [board.put("deep"), board.put("large")]
        for job in jobs:
            await job.done.wait()

    assert [(job.result.status, job.result.reason) for job in jobs if job.result] == [
        (
            TaskStatus.FAILED,
            REJECTED,
        ),
        (TaskStatus.FAILED, "expected an output of at most 1000 bytes, found 2012"),
    ]


async def test_a_task_in_progress_is_handed_out_again() -> None:
    @worker_task("twice")
    async def twice(task_input: dict[str, object], context: TaskContext) -> TaskResult:
        if context.info.poll_count == 1:
            return TaskResult(status=ResultStatus.IN_PROGRESS, callback_after_ms=5)
        return TaskResult(output={"pass": context.info.poll_count})

    board = Board()
    async with serving(board) as server, working(server.address, twice):
        job = board.put("twice")
        await job.done.wait()

    assert job.epoch == 2
    assert job.result is not None
    assert job.result.output.value == {"pass": 2}


async def test_no_more_tasks_run_at_once_than_the_maxima_say() -> None:
    running, most = 0, 0
    full, goes_on = asyncio.Event(), asyncio.Event()

    async def count(_: dict[str, object]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 4:
            full.set()
        await goes_on.wait()
        running -= 1

    tasks = [worker_task(name, tasks_max=3)(count) for name in ("one", "two")]
    board = Board()
    async with serving(board) as server, working(server.address, *tasks, tasks_max=4):
        jobs = [board.put(name) for name in ("one", "two") for _ in range(5)]
        await full.wait()
        goes_on.set()
        for job in jobs:
            await job.done.wait()

    assert most == 4


async def test_a_cancelled_task_is_stopped_and_its_place_is_free_again() -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    @worker_task("one", tasks_max=1)
    async def one(task_input: dict[str, object], context: TaskContext) -> dict[str, object]:
        if task_input:
            return {"next": True}
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            assert context.cancelled.is_set()
            stopped.set()
        return {}

    board = Board()
    async with serving(board) as server, working(server.address, one):
        job = board.put("one")
        await begun.wait()
        board.cancel(job, "the workflow ended")
        following = board.put("one", {"go": True})
        await stopped.wait()
        await following.done.wait()

    assert job.result is None


async def test_a_task_handed_out_and_cancelled_in_one_frame_gives_its_place_back() -> None:
    together = asyncio.Barrier(2)

    @worker_task("two", tasks_max=2)
    async def two(task_input: dict[str, object]) -> dict[str, object]:
        if task_input:
            await together.wait()
        return {}

    board = Board()
    async with serving(board) as server, working(server.address, two):
        await board.until(lambda: any(each.credit(Queue("two")) for each, _ in board.workers))
        job = board.put("two")
        assert job.leased
        # Right after the hand-out, in the same turn of the loop: both wait for the same frame.
        asyncio.get_running_loop().call_soon(board.cancel, job, "the workflow ended")
        await board.put("two").done.wait()  # so the worker has heard of the cancel, too
        pair = [board.put("two", {"pair": True}) for _ in range(2)]
        for each in pair:
            await each.done.wait()

    assert job.result is None


async def test_a_worker_runs_in_a_thread_of_a_program_too() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    @worker_task("one")
    async def one(task_input: dict[str, object]) -> dict[str, object]:
        loops.append(asyncio.get_running_loop())
        return {"in": threading.current_thread() is not threading.main_thread()}

    board = Board()
    async with serving(board) as server:
        worker = Worker(server.address, tasks=[one])
        thread = threading.Thread(target=worker.run_forever, daemon=True)
        thread.start()
        job = board.put("one")
        await job.done.wait()
        loops[0].call_soon_threadsafe(worker.drain)
        await asyncio.to_thread(thread.join)

    assert job.result is not None
    assert job.result.output.value == {"in": True}


async def test_a_lost_lease_is_not_reported_and_the_task_runs_again() -> None:
    begun, cancelled = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    @worker_task("slow", tasks_max=1)
    def slow(task_input: dict[str, object], context: TaskContext) -> dict[str, object]:
        if context.info.poll_count == 1:
            loop.call_soon_threadsafe(begun.set)
            context.cancelled.wait(10)
            cancelled.set()
        return {"pass": context.info.poll_count}

    board = Board()
    async with serving(board) as server, working(server.address, slow):
        job = board.put("slow")
        await begun.wait()
        board.take_away(job)
        await job.done.wait()

    assert cancelled.is_set()
    assert job.result is not None
    assert job.result.output.value == {"pass": 2}
    assert board.verdicts == [ResultVerdict.OK]


def test_a_decorated_function_can_still_be_called() -> None:
    @worker_task("plain")
    def plain(task_input: dict[str, object]) -> dict[str, object]:
        return {"seen": task_input}

    assert plain({"a": 1}) == {"seen": {"a": 1}}


def test_a_function_of_a_wrong_shape_is_refused() -> None:
    with pytest.raises(TypeError, match=r"expected a function of \(input\)"):
        worker_task("none")(lambda: None)
    with pytest.raises(ValueError, match="expected one handler"):
        Worker(tasks=[echo, echo])
    with pytest.raises(ValueError, match="expected at least one task"):
        Worker(tasks=[])

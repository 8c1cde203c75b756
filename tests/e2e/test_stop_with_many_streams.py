"""SIGTERM with a hundred worker streams and starts in flight: what was accepted is answered, the
SDK's users see nothing of the restart, and the next life begins at once.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest

from podium.v1 import workflow_pb2 as pb
from podium.v1 import workflow_pb2_grpc
from podium_worker import Worker, worker_task
from tests.chaos.victim import Victim
from tests.e2e.client import OPTIONS, Client

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = "loaded"
STREAMS = 100
STARTERS = 8
BATCHERS = 2
BATCH = 20
BATCHES_AHEAD = 3
RUNS_MIN = 500
"""So many runs are load."""
STOP_S = 10
ALREADY_EXISTS = grpc.StatusCode.ALREADY_EXISTS.value[0]


class Load:
    """Starts, each under a key of its own and never repeated, until the server is gone."""

    def __init__(self, target: str) -> None:
        self._podium = workflow_pb2_grpc.WorkflowServiceStub(
            grpc.aio.insecure_channel(target, options=OPTIONS)
        )
        self._keys = (f"key-{number}" for number in itertools.count())
        self.answered: dict[str, str] = {}
        """Key -> execution."""
        self.unanswered: set[str] = set()
        self.ebbing = False

    def _batch(self, size: int) -> list[pb.StartItem]:
        keys = list(itertools.islice(self._keys, size))
        self.unanswered.update(keys)
        return [pb.StartItem(name=NAME, idempotency_key=each) for each in keys]

    def _note(self, items: list[pb.StartItem], results: list[pb.StartResult]) -> None:
        for item, result in zip(items, results, strict=True):
            assert result.workflow_id, result.error
            self.answered[item.idempotency_key] = result.workflow_id
            self.unanswered.remove(item.idempotency_key)

    async def call_by_call(self) -> None:
        """Until the server is gone."""
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await self._call_by_call()
        # CANCELLED: gRPC had it, and had not given it to the server yet.
        ways = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        assert ended.value.code() in ways, ended.value

    async def _call_by_call(self) -> None:
        while True:
            items = self._batch(1)
            answer = await self._podium.StartWorkflows(pb.StartWorkflowsRequest(items=items))
            self._note(items, list(answer.results))

    async def streamed(self) -> None:
        """Until the server ends the stream."""
        with pytest.raises(grpc.aio.AioRpcError, match="found the server stopping") as ended:
            await self._streamed()
        assert ended.value.code() == grpc.StatusCode.UNAVAILABLE

    async def _streamed(self) -> None:
        """Once `ebbing` nothing more is sent: a write that fails would make this client throw away
        the answers that are on their way.
        """
        stream = self._podium.StreamStarts()
        sent: list[list[pb.StartItem]] = []
        while True:
            while len(sent) < BATCHES_AHEAD and not self.ebbing:
                sent.append(self._batch(BATCH))
                await stream.write(pb.StreamStartsRequest(items=sent[-1]))
            answer = await stream.read()
            assert isinstance(answer, pb.StreamStartsResponse)
            self._note(sent.pop(0), list(answer.results))

    async def repeated(self) -> list[str]:
        """Of the unanswered ones those that were started; the others are started now."""
        items = [
            pb.StartItem(
                name=NAME,
                idempotency_key=key,
                idempotency_strategy=pb.IDEMPOTENCY_STRATEGY_FAIL,
            )
            for key in sorted(self.unanswered)
        ]
        request = pb.StartWorkflowsRequest(items=items)
        answer = await self._podium.StartWorkflows(request, wait_for_ready=True)
        started: list[str] = []
        for item, result in zip(items, answer.results, strict=True):
            if result.error.code == ALREADY_EXISTS:
                started.append(item.idempotency_key)
            else:
                self.answered[item.idempotency_key] = result.workflow_id
        return started


@pytest.mark.timeout(180)
async def test_a_stop_under_load_answers_what_it_accepted_and_a_restart_goes_on_at_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = 0
    loaded = asyncio.Event()

    @worker_task(NAME, tasks_max=5)
    async def run(task_input: Mapping[str, object]) -> dict[str, object]:
        nonlocal runs
        await asyncio.sleep(0.02)  # long enough to be in hand at the stop
        runs += 1
        if runs >= RUNS_MIN:
            loaded.set()
        return {"by": "many"}

    async with Victim(tmp_path) as server, Client(server.target) as client:
        await client.register(NAME)
        # Given a hundred streams of the SDK, and starts in flight, by calls and by streams
        workers = [Worker(server.target, tasks=[run], worker_id=f"w{n}") for n in range(STREAMS)]
        load = Load(server.target)
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(worker.run())
            starting = [group.create_task(load.call_by_call()) for _ in range(STARTERS)]
            starting += [group.create_task(load.streamed()) for _ in range(BATCHERS)]
            await loaded.wait()
            # When the server is asked to end, then it has ended within ten seconds, in good order
            load.ebbing = True
            async with asyncio.timeout(STOP_S):
                assert await server.stop() == (0, "")
            await asyncio.wait(starting)
            # And it serves again at once on the same store; the workers come by themselves
            await server.start()
            # And every start that it had accepted was answered
            assert await load.repeated() == []
            for workflow_id in load.answered.values():
                assert await client.ended(workflow_id) == ("COMPLETED", {"by": "many"})
            # And no user of the SDK saw anything of it
            for worker in workers:
                await worker.stop()
        assert await server.stop() == (0, "")
    assert capfd.readouterr().err == ""

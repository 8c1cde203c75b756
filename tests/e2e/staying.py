"""A worker in the test's own process, which outlives servers: it holds its tasks until `go`."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from podium_worker import TaskContext, Worker, worker_task
from tests.chaos.overheard import Overheard, OverheardTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.chaos.overheard import Hold

NAME = "staying"


class StayingWorker:
    """`taken` = hand-outs in their order; `go` completes them."""

    def __init__(self) -> None:
        self.taken: list[Hold] = []
        self.go = asyncio.Event()
        self.overheard = Overheard()
        self._news = asyncio.Event()

    async def has_taken(self) -> None:
        """A hand-out arrived at its handler."""
        await self._news.wait()

    async def hold(self, context: TaskContext) -> None:
        self.taken.append((context.task_id, context.info.lease_epoch))
        self._news.set()
        await self.go.wait()


@asynccontextmanager
async def staying(
    target: str, task_type: str, *, output: str = "", tasks_max: int = 1
) -> AsyncIterator[StayingWorker]:
    """A staying worker for the block, drained at its end. `output` goes beside its name."""
    stays = StayingWorker()

    @worker_task(task_type, tasks_max=tasks_max)
    async def hold(task_input: Mapping[str, object], context: TaskContext) -> dict[str, object]:
        del task_input
        await stays.hold(context)
        return {"by": NAME, "text": output}

    transport = OverheardTransport(target, stays.overheard)
    worker = Worker(target, tasks=[hold], worker_id=NAME, transport=transport)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(worker.run())
        try:
            yield stays
            stays.go.set()
            await worker.stop()
        except BaseException:
            running.cancel()
            raise

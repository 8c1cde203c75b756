"""Workers of one server port, each over connections of its own."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from podium_worker import Worker, WorkerTask, worker_task

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

TASKS_MAX = 4


class Crowd:
    """`begun` and `done`: who began and did a task, in turn. None ends while `free` is not set."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self._more = asyncio.Event()
        self.free = asyncio.Event()
        self.free.set()

    async def have_begun(self, count: int) -> None:
        """Until so many have."""
        while len(self.begun) < count:
            self._more.clear()
            await self._more.wait()

    def handler(self, task_type: str, name: str) -> WorkerTask:
        @worker_task(task_type, tasks_max=TASKS_MAX)
        async def act(task_input: Mapping[str, object]) -> dict[str, object]:
            del task_input
            self.begun.append(name)
            self._more.set()
            await self.free.wait()
            self.done.append(name)
            return {"by": name}

        return act


@asynccontextmanager
async def crowd(target: str, task_type: str, count: int) -> AsyncIterator[Crowd]:
    """`count` connected workers for the block."""
    people = Crowd()
    names = [f"worker {number}" for number in range(count)]
    workers = [
        Worker(target, tasks=[people.handler(task_type, name)], worker_id=name) for name in names
    ]
    async with asyncio.TaskGroup() as group:
        runs = [group.create_task(worker.run()) for worker in workers]
        yield people
        for run in runs:
            run.cancel()

"""A worker that runs beside a test, and the simplest task."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from podium_worker import (
    Worker,
    worker_task,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from podium_worker import WorkerTask


@asynccontextmanager
async def working(address: str, *tasks: WorkerTask, tasks_max: int = 0) -> AsyncIterator[Worker]:
    """A worker that runs; drained at the end."""
    worker = Worker(address, tasks=tasks, worker_id="w-1", tasks_max=tasks_max)
    async with asyncio.TaskGroup() as group:
        run = group.create_task(worker.run())
        try:
            yield worker
            await worker.stop()
        except BaseException:
            run.cancel()
            raise


@worker_task("echo")
async def echo(task_input: dict[str, object]) -> dict[str, object]:
    return {"echo": task_input}

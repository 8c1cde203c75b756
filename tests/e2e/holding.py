"""A worker in a process of its own, that holds each task until it is told to finish it.

`python -m tests.e2e.holding TARGET TASK_TYPE NAME` prints a JSON line per hand-out, with the moment
by the monotonic clock, which all processes of a machine share; it completes the task when it reads
a line. It takes one task at a time. `HoldingWorker` is that process as its parent sees it.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podium_worker import TaskContext, Worker, worker_task
from tests.bench.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping


@dataclass(frozen=True, slots=True)
class Taken:
    """A hand-out as the handler saw it."""

    task_id: str
    epoch: int
    retry_count: int
    at_ns: int


class HoldingWorker:
    """The process, from outside."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def taken(self) -> Taken:
        """The next hand-out, when it comes."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, "expected a hand-out, found the worker's end"
        return Taken(**json.loads(line))

    def finish(self) -> None:
        """Complete the task in hand."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    async def kill(self) -> int:
        """SIGKILL; the moment it was sent, as in Taken."""
        at_ns = time.monotonic_ns()
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        return at_ns


@asynccontextmanager
async def holding(target: str, task_type: str, name: str) -> AsyncIterator[HoldingWorker]:
    """A holding worker for the block; what it has in hand then is abandoned."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.e2e.holding", target, task_type, name),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield HoldingWorker(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def main(target: str, task_type: str, name: str) -> None:
    """The process, from inside."""

    @worker_task(task_type, tasks_max=1)
    def hold(task_input: Mapping[str, object], context: TaskContext) -> dict[str, object]:
        del task_input
        at_ns = time.monotonic_ns()
        info = context.info
        taken = {"task_id": info.task_id, "epoch": info.lease_epoch, "at_ns": at_ns}
        print(json.dumps({**taken, "retry_count": info.retry_count}), flush=True)
        sys.stdin.readline()
        return {"by": name}

    Worker(target, tasks=[hold], worker_id=name).run_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])

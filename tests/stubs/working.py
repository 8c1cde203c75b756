"""A stub worker's process as its parent sees it: what it says, and what it is told."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

EVENT_S = 60
"""What does not come in this time fails the test."""


class StubWorker:
    """`said` = its events in their order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._news = asyncio.Condition()
        self._over = False
        self.said: list[dict[str, Any]] = []

    async def listen(self) -> None:
        """Hear it until its end."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._news:
                self.said.append(json.loads(line))
                self._news.notify_all()
        async with self._news:
            self._over = True
            self._news.notify_all()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until what was said fulfils it."""
        async with asyncio.timeout(EVENT_S), self._news:
            await self._news.wait_for(lambda: self._over or holds())
        if not holds():
            code, words = await self.drained()
            raise AssertionError(f"expected more of the worker, found its end: {code} {words}")

    def of(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.said if each["event"] == event]

    def finish(self) -> None:
        """Let it finish what it holds."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    async def drained(self) -> tuple[int | None, str]:
        """Order it to drain; its exit code and what it wrote to stderr."""
        assert self._process.stdin is not None
        assert self._process.stderr is not None
        self._process.stdin.close()
        async with asyncio.timeout(EVENT_S):
            words = await self._process.stderr.read()
            return await self._process.wait(), words.decode()


@asynccontextmanager
async def working(
    command: list[str], environment: dict[str, str], *arguments: str
) -> AsyncIterator[StubWorker]:
    """The worker for the block."""
    process = await asyncio.create_subprocess_exec(
        *command,
        *arguments,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    worker = StubWorker(process)
    try:
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(worker.listen())
            try:
                yield worker
            finally:
                listening.cancel()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()

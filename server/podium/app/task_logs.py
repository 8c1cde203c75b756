"""Logs of tasks: lines that clients add and read (S-175)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from podium.app.failure import RequestUnsound
from podium.app.names import no_task
from podium.app.reading import Reader
from podium.engine.limits import LOG_CHARS_LIMIT

if TYPE_CHECKING:
    from podium.app.services import Services

ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of all lines that one answer brings; the oldest are left out."""


class LogLine(msgspec.Struct, frozen=True):
    """`at_ms` = epoch ms."""

    at_ms: int
    text: str


class TaskLogs:
    """Adds and reads lines. All may raise RequestUnsound, NotFound, StoreError."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._reader = Reader(services)

    async def add(self, task_id: str, text: str) -> None:
        """Keep a line; the task may have ended."""
        await self._require(task_id)
        if not text:
            raise RequestUnsound("log: expected a line, found none")
        line = (self._services.clock.now_ms(), text[:LOG_CHARS_LIMIT])
        if not await self._services.store.add_logs(task_id, [line]):
            raise no_task(task_id)  # its execution was removed, or archived

    async def read(self, task_id: str) -> list[LogLine]:
        """In the order they came; the newest that fit into an answer."""
        await self._require(task_id)
        room = ANSWER_BYTES_MAX
        found: list[LogLine] = []
        for at_ms, text in reversed(await self._services.store.logs(task_id)):
            room -= len(text.encode())
            if room < 0:
                break
            found.append(LogLine(at_ms, text))
        found.reverse()
        return found

    async def _require(self, task_id: str) -> None:
        if not task_id:
            raise RequestUnsound("task_id: expected a task id, found none")
        await self._reader.read_task(task_id)

"""The part of the store port that keeps what tasks log: the newest lines of each, in order.

The rules of store/port.py hold. Lines that a commit brings stand in the commit (Commit.logs).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

LOG_LINES_LIMIT: Final = 1_000
"""Lines that are kept of one task; the oldest go."""


class TaskLogs(Protocol):
    """A line is (epoch ms, text). Lines go with their execution."""

    async def add_logs(self, task_id: str, logs: Sequence[tuple[int, str]]) -> bool:
        """Append lines. False where the execution does not exist: nothing is kept."""
        ...

    async def logs(self, task_id: str) -> list[tuple[int, str]]:
        """The lines that are kept, in the order they were added."""
        ...

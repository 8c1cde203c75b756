"""System tasks of your own: classes that the server runs itself, without a worker.

A distribution that is installed beside Podium names them under the entry point group
`podium.tasks`, by their task type:

    [project.entry-points."podium.tasks"]
    USER_TASK = "shop.tasks:UserTask"

Each server makes one instance, starts it with itself and calls `run` for every task of the type.
Runs are leased like those of workers: one that a dying server did not end is run again elsewhere,
so what it does must bear being done twice. Every server of one store needs the same classes.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, TypeGuard

from podium.model.payload import EMPTY
from podium.model.system_call import SystemCall
from podium.tasks.outcome import TaskOutcome

if TYPE_CHECKING:
    from podium.model.payload import JsonObject, JsonValue
    from podium.tasks.outcome import TaskStatus

__all__ = ["Later", "SystemCall", "SystemTask", "TaskFailed"]


class TaskFailed(Exception):
    """Raised by `run`: the attempt failed. `reason` is shown to the workflow's users; `terminal` =
    no retry can help.
    """

    def __init__(
        self, reason: str, *, terminal: bool = False, output: Mapping[str, JsonValue] | None = None
    ) -> None:
        super().__init__(reason)
        self.reason: Final = reason
        self.terminal: Final = terminal
        self.output: Final = dict(output or {})


@dataclass(frozen=True, slots=True)
class Later:
    """Returned by `run`: not done yet; it is called again, on any server, after the delay."""

    after_s: float
    output: JsonObject = field(default_factory=dict)
    """Kept with the task; the next call has it."""


class SystemTask:
    """Base of a system task. `run` may be a plain method, which is called in a thread, or `async`.

    It returns the output, a JSON object (None = {}), or Later; it raises TaskFailed. Any other
    exception fails the attempt, and its text stays in the server's log. A task that is cancelled
    cancels an async run; a plain one runs to its end, and nobody hears its result.
    """

    tasks_max: ClassVar[int] = 10
    """Runs at once on one server; others wait in their queue."""

    async def start(self) -> None:
        """Called once, before the first run."""

    async def stop(self) -> None:
        """Called once, after the last run."""

    def run(self, call: SystemCall) -> object:
        """Do the work of one attempt."""
        raise NotImplementedError


class SystemTaskRunner:
    """Runs one system task for the server. Raises what its `start` raises."""

    def __init__(self, task_type: str, task: SystemTask) -> None:
        self.task_type: Final = task_type
        self._task: Final = task
        self._awaitable: Final = inspect.iscoroutinefunction(task.run)
        self._threads: ThreadPoolExecutor | None = None

    @property
    def tasks_max(self) -> int:
        """Runs at once."""
        return self._task.tasks_max

    async def start(self) -> None:
        if not self._awaitable:
            self._threads = ThreadPoolExecutor(self.tasks_max, f"podium-{self.task_type}")
        await self._task.start()

    async def stop(self) -> None:
        """Threads that still run are not waited for."""
        await self._task.stop()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, call: SystemCall) -> TaskOutcome:
        """One run; raises what the task raises, but for TaskFailed."""
        try:
            found = await self._found(call)
        except TaskFailed as failed:
            status: TaskStatus = "FAILED_WITH_TERMINAL_ERROR" if failed.terminal else "FAILED"
            return TaskOutcome(status, failed.output, failed.reason)
        if isinstance(found, Later):
            delay_ms = max(round(found.after_s * 1000), 1)
            return TaskOutcome("IN_PROGRESS", found.output, callback_after_ms=delay_ms)
        output: object = EMPTY.value if found is None else found
        if not is_map(output):
            raise TypeError(f"expected a map, Later or None, found {type(found)}")
        outside = call.input.get("asyncComplete") is True  # an update completes it (S-252)
        return TaskOutcome("IN_PROGRESS" if outside else "COMPLETED", dict(output))

    async def _found(self, call: SystemCall) -> object:
        if self._threads is not None:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._threads, self._task.run, call)
        else:
            found = self._task.run(call)
        return await found if inspect.isawaitable(found) else found


def is_map(value: object) -> TypeGuard[Mapping[str, JsonValue]]:
    """Whether a run returned an output; what is in it is judged when it is stored."""
    return isinstance(value, Mapping)

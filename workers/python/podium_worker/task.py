"""What a user writes and gets: the decorator, results, and the context of a running task."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

Handler = Callable[..., object]
"""f(input) or f(input, context), sync or async; returns a dict, None or a TaskResult."""

TASKS_MAX: Final = 10


class TerminalError(Exception):
    """Raised by a handler: the task failed for good and is not retried."""


class ResultStatus(StrEnum):
    """How a task went."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    FAILED_WITH_TERMINAL_ERROR = "FAILED_WITH_TERMINAL_ERROR"
    IN_PROGRESS = "IN_PROGRESS"
    """Not done: the task is handed out again, to any worker, after `callback_after_ms`."""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """A result in full; a handler that returns a dict means COMPLETED with that output."""

    status: ResultStatus = ResultStatus.COMPLETED
    output: Mapping[str, object] = field(default_factory=dict[str, object])
    reason: str = ""
    callback_after_ms: int = 0


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """What the server says of a task beside its input."""

    task_id: str
    lease_epoch: int
    task_type: str
    domain: str
    workflow_id: str
    workflow_name: str
    workflow_version: int
    reference_name: str
    retry_count: int
    """Attempts that failed before this one."""
    iteration: int
    """The pass of the loop, from 1; 0 = not in a loop."""
    poll_count: int
    """How often this attempt was handed out."""
    priority: int
    correlation_id: str
    response_timeout_ms: int
    """Longest silence before the task is given to another worker or fails; 0 = no limit."""
    scheduled_time_ms: int
    runtime_metadata: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Secrets and environment values that the task definition asks for; not to be reported."""


class TaskContext:
    """The task in a handler's hands. Its methods may be called from any thread."""

    def __init__(
        self, info: TaskInfo, *, log: Callable[[str], None], extend: Callable[[], None]
    ) -> None:
        self.info = info
        self.cancelled = threading.Event()
        """Set when nobody wants the result any more. An async handler is also cancelled."""
        self._log = log
        self._extend = extend

    @property
    def task_id(self) -> str:
        return self.info.task_id

    @property
    def workflow_id(self) -> str:
        return self.info.workflow_id

    @property
    def retry_count(self) -> int:
        return self.info.retry_count

    def log(self, text: str) -> None:
        """Send a log line; lost when the connection breaks before it is sent."""
        self._log(text)

    def extend(self) -> None:
        """Start the response timeout anew; a third of it is a good interval."""
        self._extend()


@dataclass(frozen=True, slots=True)
class WorkerTask:
    """A handler with the queue it serves; still callable as the plain function."""

    handler: Handler
    name: str
    domain: str
    tasks_max: int
    is_async: bool
    wants_context: bool

    def __call__(self, *args: object, **kwargs: object) -> object:
        return self.handler(*args, **kwargs)


def worker_task(
    name: str, *, domain: str = "", tasks_max: int = TASKS_MAX
) -> Callable[[Handler], WorkerTask]:
    """Make a function the worker of a task type; `tasks_max` of them run at once in a process.

    Raises:
        ValueError: the name is empty or the maximum is not positive.
        TypeError: the function takes neither (input) nor (input, context).
    """
    if not name:
        raise ValueError("expected a task type, found an empty name")
    if tasks_max < 1:
        raise ValueError(f"expected tasks_max of 1 or more for {name!r}, found {tasks_max}")

    def decorate(handler: Handler) -> WorkerTask:
        return WorkerTask(
            handler=handler,
            name=name,
            domain=domain,
            tasks_max=tasks_max,
            is_async=inspect.iscoroutinefunction(handler),
            wants_context=_takes(handler) == 2,  # noqa: PLR2004 - input and context
        )

    return decorate


def _takes(handler: Handler) -> int:
    """How many positional arguments the handler wants."""
    parameters = [
        parameter
        for parameter in inspect.signature(handler).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    wanted = [each for each in parameters if each.default is inspect.Parameter.empty]
    context = [each for each in parameters[1:2] if _is_context(each.annotation)]
    count = max(len(wanted), 2 if context else 0)
    if count not in (1, 2):
        raise TypeError(
            f"expected a function of (input) or (input, context), found {handler!r} "
            f"with {len(wanted)} parameters"
        )
    return count


def _is_context(annotation: Any) -> bool:  # pyright: ignore[reportExplicitAny] - as inspect has it
    return annotation is TaskContext or annotation in ("TaskContext", "TaskContext | None")

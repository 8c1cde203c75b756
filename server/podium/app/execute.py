"""Starting an execution and waiting until there is something to answer (S-177 to S-181)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from podium.app.document import reference_of
from podium.app.failure import RequestUnsound
from podium.app.names import require_name
from podium.app.reading import Reader
from podium.app.start import Started
from podium.app.tree import Tree, open_tasks
from podium.app.view import ExecutionView, TaskView
from podium.engine.timing import has
from podium.model.payload import Payload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.app.services import Services
    from podium.app.start import StartRequest, StartWorkflow
    from podium.model.payload import JsonObject

EXECUTE_MS: Final = 10_000
EXECUTE_MS_MAX: Final = 600_000
REFERENCES_MAX: Final = 100
WAIT: Final = "WAIT"


class Blocked(msgspec.Struct, frozen=True):
    """What the execution stands at: a task, and the execution of the tree that it is in."""

    view: ExecutionView
    task: TaskView


class Executed(msgspec.Struct, frozen=True):
    """How it stands; `timed_out` = neither ended nor blocked in time."""

    started: Started
    view: ExecutionView
    blocked: Blocked | None
    timed_out: bool = False


class Execute:
    """Synchronous executions."""

    def __init__(self, services: Services, starts: StartWorkflow) -> None:
        self._services = services
        self._starts = starts
        self._reader = Reader(services)

    async def execute(
        self, request: StartRequest, *, references: Sequence[str], timeout_ms: int
    ) -> Executed:
        """Start, and wait until it has ended, waits at a WAIT without a timeout, or one of the
        references is final in it or in its children; 0 ms = ten seconds.

        Raises as StartWorkflow.start.
        """
        if not 0 <= timeout_ms <= EXECUTE_MS_MAX:
            raise RequestUnsound(f"timeout_ms: expected 0 to {EXECUTE_MS_MAX}, found {timeout_ms}")
        if len(references) > REFERENCES_MAX:
            found = len(references)
            raise RequestUnsound(f"wait_until: expected at most {REFERENCES_MAX}, found {found}")
        for index, reference in enumerate(references):
            require_name(f"wait_until[{index}]", reference)
        clock = self._services.clock
        until_ms = clock.now_ms() + (timeout_ms or EXECUTE_MS)
        started = await self._starts.start(marked(request))
        tree = Tree(
            started.workflow_id, reader=self._reader, watch=self._services.watch, clock=clock
        )
        async with tree:
            while True:
                views = await tree.read()
                blocked = blocked_at(views, frozenset(references))
                if blocked is not None or views[0].header.status.terminal:
                    return Executed(started, views[0], blocked)
                if not await tree.changed(until_ms):
                    return Executed(started, views[0], None, timed_out=True)


def marked(request: StartRequest) -> StartRequest:
    """The request; where its definition is inline, its input says so (S-181)."""
    if request.definition is None:
        return request
    value: JsonObject = {**request.input.value, "_systemMetadata": {"dynamic": True}}
    return replace(request, input=Payload.of(value))


def blocked_at(views: Sequence[ExecutionView], references: frozenset[str]) -> Blocked | None:
    """The first task that is named and final, or that waits for a signal."""
    for view in views:
        for task in view.tasks:
            if task.record.status.terminal and names_of(task) & references:
                return Blocked(view, task)
    for view in views:
        for task in open_tasks(view):
            if task.record.task_type == WAIT and not has(task.record.deadlines, "wait"):
                return Blocked(view, task)
    return None


def names_of(task: TaskView) -> frozenset[str]:
    """What a client may call it: with the iteration, or without."""
    return frozenset((reference_of(task.record), task.record.ref))

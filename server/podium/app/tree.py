"""An execution with the children its tasks wait for: read as one, and waited on as one.

Nothing is polled: every execution of the tree wakes the waiter when it changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.app.failure import NotFound

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from podium.app.reading import Reader
    from podium.app.view import ExecutionView, TaskView
    from podium.runtime.clock import Clock
    from podium.runtime.watch import Watch

EXECUTIONS_MAX: Final = 1_000
"""Of one tree; those beyond are not looked into."""


class Tree:
    """Async context: the tree of `root`, as long as somebody waits for it."""

    def __init__(self, root: str, *, reader: Reader, watch: Watch, clock: Clock) -> None:
        self._root = root
        self._reader = reader
        self._watch = watch
        self._clock = clock
        self._event: asyncio.Event
        self._watched: dict[str, None] = {}

    async def __aenter__(self) -> Self:
        self._event = await self._watch.subscribe(self._root)
        self._watched[self._root] = None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for workflow_id in self._watched:
            self._watch.unsubscribe(workflow_id, self._event)

    async def read(self) -> list[ExecutionView]:
        """The root, then the children that it waits for, each followed by its own, in the order of
        the tasks. Those that end or come later wake the waiter. Raises NotFound for the root.
        """
        found = [await self._reader.read(self._root, tasks=True)]
        waiting = list(children_of(found[0]))[::-1]
        while waiting and len(found) < EXECUTIONS_MAX:
            workflow_id = waiting.pop()
            if workflow_id not in self._watched:
                await self._watch.subscribe(workflow_id, self._event)
                self._watched[workflow_id] = None
            try:
                view = await self._reader.read(workflow_id, tasks=True)
            except NotFound:
                continue  # it is about to be started, or was removed
            found.append(view)
            waiting += list(children_of(view))[::-1]
        return found

    async def changed(self, until_ms: int) -> bool:
        """Wait for a change of any of them; False when the time is over."""
        rest_ms = until_ms - self._clock.now_ms()
        if rest_ms <= 0:
            return False
        await self._watch.next_change(self._event, rest_ms)
        return True


def open_tasks(view: ExecutionView) -> Iterator[TaskView]:
    """The tasks that have not ended, in order."""
    return (task for task in view.tasks if not task.record.status.terminal)


def children_of(view: ExecutionView) -> Iterator[str]:
    """The executions that its tasks wait for, in the order of the tasks."""
    for task in open_tasks(view):
        if task.record.sub_workflow_id:
            yield task.record.sub_workflow_id

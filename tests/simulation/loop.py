"""An event loop whose clock jumps: where the real one would wait, this one moves its time.

Callbacks run in the order asyncio promises; interleavings come from seeded delays at the ports.
Waiting for ever is a deadlock and raises; there are no threads.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

Result = TypeVar("Result")


class Deadlock(Exception):
    """Nothing is ready and no timer is set: the run can never end."""


class Ticks:
    """Stands in for a selector: asked to wait, it moves the loop's time."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            raise Deadlock("expected a timer or something ready, found neither")
        if timeout > 0:
            self.now_s += timeout
        return []


class SimLoop(asyncio.BaseEventLoop):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = Ticks()
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._selector.now_s

    def _process_events(self, event_list: list[object]) -> None:
        assert event_list == []

    def _write_to_self(self) -> None:
        pass

    def run_in_executor(
        self, executor: object, func: Callable[..., object], *args: object
    ) -> asyncio.Future[object]:
        """What is pure and long goes to a thread (an archive is encoded there): here it is done."""
        if executor is not None:
            raise RuntimeError("a thread in the simulation")
        future = self.create_future()
        future.set_result(func(*args))
        return future


FOUND: list[Exception] = []
"""Exceptions of callbacks and of tasks that nobody awaited, of the present run."""


def run(coroutine: Coroutine[object, object, Result]) -> Result:
    """Run to the end on a virtual clock that starts at 0; what is left then is dropped."""
    loop = SimLoop()
    loop.set_exception_handler(_keep)
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.set_exception_handler(lambda *_: None)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(_turns())
        asyncio.set_event_loop(None)
        loop.close()


async def _turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def _keep(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """An exception that nobody awaits is a finding."""
    del loop
    error = context.get("exception")
    if isinstance(error, Exception):
        FOUND.append(error)

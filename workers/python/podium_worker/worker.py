"""The worker process: connects, runs tasks, reconnects, drains.

Tasks live on while connections come and go; what is in hand is named at each new connection. After
a lost connection the first attempt is made at once, later ones after growing random waits.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING, Final

from podium_worker.clock import SystemClock
from podium_worker.running import RunningTasks
from podium_worker.session import Session
from podium_worker.stream import Stream, Why
from podium_worker.transport import ConnectionLost, GrpcTransport

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium_worker.clock import Clock
    from podium_worker.credentials import Credentials
    from podium_worker.stream import Ending
    from podium_worker.task import WorkerTask
    from podium_worker.transport import Connection, Transport

SDK: Final = "podium-python/0.1.0"
WAIT_MS_MIN: Final = 200
WAIT_MS_MAX: Final = 5_000
"""A wait is drawn from the upper half of WAIT_MS_MIN * 2^n, at most WAIT_MS_MAX."""
LIVED_MS: Final = 1_000
"""A stream that lived this long was no failure: the next attempt is made at once."""


class WorkerRefused(Exception):
    """The server refuses this worker as it is; connecting again would not help."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class Worker:
    """Serves the task types of `tasks` over one stream.

    `tasks_max` bounds how many tasks run at once over all types, 0 = only each type's own maximum.
    `worker_id` names the process in views; default host and process id. Without `credentials`
    nothing is encrypted. Runs once. Raises ValueError.
    """

    def __init__(  # noqa: PLR0913 - the parts of a worker, all but the address by name
        self,
        address: str = "127.0.0.1:8090",
        *,
        tasks: Iterable[WorkerTask],
        worker_id: str | None = None,
        tasks_max: int = 0,
        credentials: Credentials | None = None,
        transport: Transport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._address = address
        self._tasks = _by_queue(tasks)
        self._credentials = credentials
        if credentials is not None:
            credentials.check(address)
        self._transport = transport
        self._clock: Clock = clock or SystemClock()
        self._session = Session(
            worker_id=worker_id or f"{socket.gethostname()}:{os.getpid()}",
            sdk=SDK,
            queues={queue: task.tasks_max for queue, task in self._tasks.items()},
            tasks_max=tasks_max,
        )
        self._wake = asyncio.Event()
        self._over = asyncio.Event()
        self._pause: asyncio.Task[None] | None = None
        self._failures = 0

    async def run(self) -> None:
        """Work until `stop`. Raises WorkerRefused. Cancelling it abandons what is in hand."""
        transport = self._transport or GrpcTransport(self._address, self._credentials)
        refusal: ConnectionLost | None = None
        try:
            async with asyncio.TaskGroup() as group:
                running = RunningTasks(
                    tasks=self._tasks,
                    session=self._session,
                    clock=self._clock,
                    group=group,
                    wake=self._wake.set,
                )
                try:
                    refusal = await self._stay_connected(transport, running, group)
                finally:
                    running.close()
        finally:
            await transport.close()
            self._over.set()
        if refusal is not None:
            raise WorkerRefused(refusal.code, refusal.text)

    async def stop(self) -> None:
        """Take no new tasks, finish those in hand, wait for the acknowledgements, and end `run`."""
        self.drain()
        await self._over.wait()

    def drain(self) -> None:
        """As stop, without waiting for its end."""
        self._session.drain()
        self._wake.set()
        if self._pause is not None and self._session.finished:
            self._pause.cancel()

    def run_forever(self) -> None:
        """For scripts: run until SIGTERM or SIGINT, then stop as `stop` does. In a thread, where no
        signals arrive: until the process ends.
        """
        asyncio.run(self._run_until_signal())

    async def _run_until_signal(self) -> None:
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for name in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(name, self.drain)
        await self.run()

    async def _stay_connected(
        self, transport: Transport, running: RunningTasks, group: asyncio.TaskGroup
    ) -> ConnectionLost | None:
        """Until everything is finished (None), or the server refuses for good."""
        former: Connection | None = None
        while not self._session.finished:
            await self._wait(group)
            if self._session.finished:
                break
            try:
                connection = await transport.connect(elsewhere=former is not None)
            except ConnectionLost as lost:
                self._failures += 1
                if lost.permanent:
                    return lost
                continue
            if former is not None:
                await former.half_close()
                former.close()
            ending = await self._serve(connection, running)
            former = connection if ending.why is Why.LEAVING else None
            if ending.lost is not None and ending.lost.permanent:
                return ending.lost
        if former is not None:
            former.close()
        return None

    async def _serve(self, connection: Connection, running: RunningTasks) -> Ending:
        self._session.connected()
        stream = Stream(
            connection=connection,
            session=self._session,
            desk=running,
            clock=self._clock,
            wake=self._wake,
        )
        began_ms = self._clock.now_ms()
        ending = await stream.serve()
        self._session.disconnected()
        if ending.why is Why.FINISHED:
            await stream.say_farewell()
        elif ending.why is Why.LOST:
            connection.close()
        lived = ending.welcomed and self._clock.now_ms() - began_ms >= LIVED_MS
        good = lived or ending.why is not Why.LOST
        self._failures = 0 if good else self._failures + 1
        return ending

    async def _wait(self, group: asyncio.TaskGroup) -> None:
        """Before connecting; a worker that is finished does not wait."""
        if self._failures == 0:
            return
        most_ms = min(WAIT_MS_MIN << min(self._failures - 1, 8), WAIT_MS_MAX)
        wait_ms = most_ms // 2 + self._clock.jitter(most_ms // 2)
        self._pause = group.create_task(self._clock.sleep(wait_ms))
        await asyncio.wait([self._pause])
        self._pause = None


def _by_queue(tasks: Iterable[WorkerTask]) -> dict[tuple[str, str], WorkerTask]:
    """Raises ValueError where there is no task, or two for one queue."""
    by_queue: dict[tuple[str, str], WorkerTask] = {}
    for task in tasks:
        queue = (task.name, task.domain)
        if queue in by_queue:
            raise ValueError(f"expected one handler for {queue}, found two")
        by_queue[queue] = task
    if not by_queue:
        raise ValueError("expected at least one task, found none")
    return by_queue

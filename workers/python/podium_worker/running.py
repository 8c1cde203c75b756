"""The tasks that run in this process: started on arrival, stopped when nobody wants their results.

A stopped handler keeps its place until it really ends; meanwhile the session takes its credit away.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from podium_worker.event import Lease
from podium_worker.outcome import outcome_of
from podium_worker.task import TaskContext, TaskInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from podium.v1 import worker_pb2 as pb
    from podium_worker.clock import Clock
    from podium_worker.session import Queue, Session
    from podium_worker.task import WorkerTask

THREADS_MAX: Final = 200
"""Threads are made when needed; above this, sync tasks wait for one."""


class Running:
    """One task at work."""

    __slots__ = ("context", "job", "queue", "stopped")

    def __init__(self, queue: Queue, context: TaskContext) -> None:
        self.queue = queue
        self.context = context
        self.job: asyncio.Task[None] | None = None
        self.stopped = False


class RunningTasks:
    """A stream.TaskDesk. Lives in the loop that made it; `wake` is called on every news."""

    def __init__(
        self,
        *,
        tasks: Mapping[Queue, WorkerTask],
        session: Session,
        clock: Clock,
        group: asyncio.TaskGroup,
        wake: Callable[[], None],
    ) -> None:
        self._tasks = tasks
        self._session = session
        self._clock = clock
        self._group = group
        self._wake = wake
        self._running: dict[Lease, Running] = {}
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._pool = _pool_for(tasks)

    def start(self, task: pb.Task) -> None:
        lease = Lease(task.task_id, task.lease_epoch)
        queue = (task.task_type, task.domain)
        context = TaskContext(
            _info_of(task),
            log=lambda text: self._in_loop(lambda: self._log(lease, text)),
            extend=lambda: self._in_loop(lambda: self._extend(lease)),
        )
        running = self._running[lease] = Running(queue, context)
        running.job = self._group.create_task(self._run(task, running))
        # Not a `finally` in the job: one that is cancelled before its first step never enters it.
        running.job.add_done_callback(lambda _: self._over(lease, running))

    def stop(self, lease: Lease, reason: str) -> None:
        """Tell the handler; what it returns is thrown away."""
        del reason
        running = self._running.get(lease)
        if running is None or running.stopped:
            return
        running.stopped = True
        running.context.cancelled.set()
        self._session.withdraw(running.queue)
        if running.job is not None and self._tasks[running.queue].is_async:
            running.job.cancel()

    def close(self) -> None:
        """Stop what still runs; threads end when their handlers do."""
        for lease, running in list(self._running.items()):
            running.context.cancelled.set()
            if running.job is not None:
                running.job.cancel()
            del self._running[lease]
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, task: pb.Task, running: Running) -> None:
        worker_task = self._tasks[running.queue]
        result = await outcome_of(task, worker_task, running.context, self._pool)
        self._session.finish(result)
        self._wake()

    def _over(self, lease: Lease, running: Running) -> None:
        self._running.pop(lease, None)
        if running.stopped:
            self._session.restore(running.queue)
        self._wake()

    def _log(self, lease: Lease, text: str) -> None:
        self._session.log(lease, text, self._clock.now_ms())
        self._wake()

    def _extend(self, lease: Lease) -> None:
        self._session.extend(lease)
        self._wake()

    def _in_loop(self, call: Callable[[], None]) -> None:
        """From whatever thread, in the order of calls."""
        if threading.get_ident() == self._thread:
            call()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)


def _pool_for(tasks: Mapping[Queue, WorkerTask]) -> ThreadPoolExecutor | None:
    """None where every handler is async: no thread is made then."""
    wanted = sum(task.tasks_max for task in tasks.values() if not task.is_async)
    if wanted == 0:
        return None
    return ThreadPoolExecutor(min(wanted, THREADS_MAX), thread_name_prefix="podium-worker")


def _info_of(task: pb.Task) -> TaskInfo:
    return TaskInfo(
        task_id=task.task_id,
        lease_epoch=task.lease_epoch,
        task_type=task.task_type,
        domain=task.domain,
        workflow_id=task.workflow_id,
        workflow_name=task.workflow_name,
        workflow_version=task.workflow_version,
        reference_name=task.reference_name,
        retry_count=task.retry_count,
        iteration=task.iteration,
        poll_count=task.poll_count,
        priority=task.priority,
        correlation_id=task.correlation_id,
        response_timeout_ms=task.response_timeout_ms,
        scheduled_time_ms=task.scheduled_time_ms,
        runtime_metadata=dict(task.runtime_metadata),
    )

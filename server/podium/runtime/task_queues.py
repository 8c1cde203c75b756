"""The queues of leases that workers come back with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.engine.identity import split_task_id
from podium.runtime.letter import UnknownExecution

if TYPE_CHECKING:
    from podium.model.queue import Queue
    from podium.protocol.frame import LeaseName
    from podium.runtime.executor import Executor


class TaskQueues:
    """Tells the queue of a lease that a worker came back with: its credit returns there."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def of(self, lease: LeaseName) -> Queue | None:
        """None where the task is gone. Raises StoreError."""
        parts = split_task_id(lease.task_id)
        if parts is None:
            return None
        workflow_id, key, _ = parts
        try:
            entry = await self._executor.read_task(workflow_id, lease.task_id)
        except UnknownExecution:
            return None
        task = entry.records.tasks.get(key)
        return None if task is None or task.id != lease.task_id else task.queue

"""Results by reference instead of task id (S-172, S-173)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from podium.app.document import reference_of
from podium.app.failure import NotFound, shown
from podium.app.names import bounded_text, no_workflow, require_name, require_workflow_id
from podium.app.reading import Reader
from podium.app.tree import open_tasks
from podium.engine.command import ReportResult, Verdict
from podium.model.execution import TaskStatus
from podium.model.payload import EMPTY, Payload
from podium.runtime.letter import Tombstoned, UnknownExecution

if TYPE_CHECKING:
    from podium.app.services import Services
    from podium.app.view import ExecutionView, TaskView

TRIES_MAX: Final = 100


class ReferenceResult(msgspec.Struct, frozen=True, kw_only=True):
    """A result for the task of a reference; its output is laid over the present one."""

    workflow_id: str
    reference: str
    status: TaskStatus = TaskStatus.COMPLETED
    output: Payload = EMPTY
    reason: str | None = None
    worker_id: str = ""


class Updates:
    """Takes results by reference."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._reader = Reader(services)

    async def update(self, result: ReferenceResult, *, must_wait: bool) -> str:
        """The task's id; "" where no task of that reference is open (`must_wait`: NotFound).

        Raises RequestUnsound, NotFound, Rejected, StoreError, DecisionFailed.
        """
        require_workflow_id("workflow_id", result.workflow_id)
        require_name("reference_name", result.reference)
        bounded_text("worker_id", result.worker_id)
        for _ in range(TRIES_MAX):
            view = await self._reader.read(result.workflow_id, tasks=True)
            task = pending(view, result.reference)
            if task is None:
                break
            if await self._report(result, task.record.id):
                return task.record.id
        if must_wait:
            raise NotFound(
                f"expected an open task {shown(result.reference)} in workflow"
                f" {shown(result.workflow_id)}, found none"
            )
        return ""

    async def view(self, workflow_id: str) -> ExecutionView:
        """The execution with its tasks. Raises NotFound."""
        return await self._reader.read(workflow_id, tasks=True)

    async def _report(self, result: ReferenceResult, task_id: str) -> bool:
        """False where the task has ended meanwhile: the next one of its reference may be open."""
        command = ReportResult(
            task_id=task_id,
            status=result.status,
            output=result.output,
            reason=result.reason,
            worker_id=result.worker_id,
            merges=True,
        )
        try:
            outcome = await self._services.executor.call(
                result.workflow_id, command, result.worker_id
            )
        except (UnknownExecution, Tombstoned):
            raise no_workflow(result.workflow_id) from None
        return outcome.verdict is Verdict.OK


def pending(view: ExecutionView, reference: str) -> TaskView | None:
    """The first open task of exactly this name, else of the name without its iteration."""
    tasks = list(open_tasks(view))
    exact = (task for task in tasks if reference_of(task.record) == reference)
    plain = (task for task in tasks if task.record.ref == reference)
    return next(exact, None) or next(plain, None)

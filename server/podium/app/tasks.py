"""What workers without a stream do: poll, report, extend, and read single tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from podium.app.failure import RequestUnsound, StorageMissing
from podium.app.names import bounded_text, no_task, no_workflow, require_name, require_workflow_id
from podium.app.reading import Reader
from podium.engine.command import ExtendLease, ReportResult
from podium.engine.identity import split_task_id
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.engine.schedule import too_large
from podium.model.execution import TaskStatus
from podium.model.payload import EMPTY, Payload
from podium.model.queue import Queue
from podium.runtime.letter import UnknownExecution
from podium.runtime.vault import CannotOpen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.app.services import Services
    from podium.app.view import TaskView

POLLS_PARKED_MAX: Final = 5_000
POLL_MS: Final = 100
POLL_MS_MAX: Final = 5_000
POLL_COUNT_MAX: Final = 1_000
CALLBACK_MS_MAX: Final = 100 * 365 * 24 * 3_600_000
"""A hundred years: stored times must stay within 64 bits."""


class TaskResult(msgspec.Struct, frozen=True, kw_only=True):
    """A result without a lease. `logs`: (epoch ms or 0 = now, text); the last ten are kept."""

    workflow_id: str
    task_id: str
    status: TaskStatus
    output: Payload = EMPTY
    reason: str | None = None
    worker_id: str = ""
    callback_after_ms: int = 0
    extend_lease: bool = False
    external_output_path: str = ""
    logs: tuple[tuple[int, str], ...] = ()


class PollRequest(msgspec.Struct, frozen=True):
    """`count` tasks at most; `timeout_ms` = how long to wait for the first one."""

    task_type: str
    domain: str = ""
    worker_id: str = ""
    count: int = 1
    timeout_ms: int = POLL_MS


class WorkerTasks:
    """Hands tasks to polling workers and takes their results."""

    def __init__(self, services: Services, *, polls_parked_max: int = POLLS_PARKED_MAX) -> None:
        self._services = services
        self._reader = Reader(services)
        self._polls_parked_max = polls_parked_max

    async def poll(self, request: PollRequest) -> list[TaskView]:
        """Empty where none came in time or too many polls are parked. Raises RequestUnsound.

        The tasks are the caller's; what it cannot deliver it must `give_back`.
        """
        require_name("task_type", request.task_type)
        bounded_text("domain", request.domain)
        bounded_text("worker_id", request.worker_id)
        if not 0 < request.count <= POLL_COUNT_MAX:
            raise RequestUnsound(f"count: expected 1 to {POLL_COUNT_MAX}, found {request.count}")
        if not 0 <= request.timeout_ms <= POLL_MS_MAX:
            raise RequestUnsound(
                f"timeout: expected 0 to {POLL_MS_MAX} ms, found {request.timeout_ms}"
            )
        polls = self._services.polls
        if polls.parked_count >= self._polls_parked_max:
            polls.refused_count += 1
            return []
        queue = Queue(request.task_type, request.domain)
        polled = await polls.poll(queue, request.worker_id, request.count, request.timeout_ms)
        views = [self._reader.hand_out(record, header) for record, header in polled]
        return [opened for view in views if (opened := self._opened(view)) is not None]

    def _opened(self, view: TaskView) -> TaskView | None:
        """The task with its secrets in place; None where it is too large then, and has failed."""
        record, vault = view.record, self._services.vault
        if not (record.secrets or record.runtime_metadata):
            return view
        try:
            record = vault.opened(record)
        except CannotOpen as problem:
            self.refuse(view, problem.reason)
            return None
        metadata = vault.runtime_metadata(record)
        return msgspec.structs.replace(view, record=record, runtime_metadata=metadata)

    def give_back(self, views: Sequence[TaskView]) -> None:
        """The caller is gone: its tasks are ready again at once, with nothing charged."""
        self._services.polls.give_back([(view.record, view.header) for view in views])

    def trace_of(self, view: TaskView) -> tuple[str, str]:
        """traceparent and tracestate of a task that was polled; empty = in no trace."""
        header = view.header
        if not header.trace_parent:
            return "", ""
        tracer = self._services.runtime.progress.tracer
        return tracer.under(header.trace_parent, view.record.id), header.trace_state

    def refuse(self, view: TaskView, reason: str) -> None:
        """The task can never be handed to this kind of worker: end it with the reason."""
        command = ReportResult(
            task_id=view.record.id,
            status=TaskStatus.FAILED_WITH_TERMINAL_ERROR,
            lease_epoch=view.record.lease_epoch,
            reason=reason,
        )
        self._services.executor.submit(view.header.id, command, view.record.worker_id or "")

    async def update(self, result: TaskResult) -> None:
        """Take a result (S-159 to S-168); for what has ended it is accepted without effect.

        Raises RequestUnsound, NotFound, StorageMissing, Rejected, StoreError, DecisionFailed.
        """
        self._check(result)
        command = self._command(result)
        try:
            await self._services.executor.call(result.workflow_id, command, result.worker_id)
        except UnknownExecution:
            raise no_workflow(result.workflow_id) from None

    async def get(self, task_id: str) -> TaskView:
        """One attempt. Raises RequestUnsound, NotFound, StoreError."""
        if not task_id:
            raise RequestUnsound("task_id: expected a task id, found none")
        return await self._reader.read_task(task_id)

    def _check(self, result: TaskResult) -> None:
        require_workflow_id("result.workflow_instance_id", result.workflow_id)
        if not result.task_id:
            raise RequestUnsound("result.task_id: expected a task id, found none")
        parts = split_task_id(result.task_id)
        if parts is None or parts[0] != result.workflow_id:
            raise no_task(result.task_id, result.workflow_id)
        bounded_text("result.worker_id", result.worker_id)
        if not 0 <= result.callback_after_ms <= CALLBACK_MS_MAX:
            raise RequestUnsound(
                f"result.callback_after_seconds: expected 0 to {CALLBACK_MS_MAX // 1000}, "
                f"found {result.callback_after_ms // 1000}"
            )
        if result.external_output_path:
            raise StorageMissing(
                "result.external_output_payload_storage_path: expected none, since no external "
                "storage is configured, found one"
            )

    def _command(self, result: TaskResult) -> ReportResult | ExtendLease:
        if result.extend_lease:
            return ExtendLease(task_id=result.task_id)
        status, output, reason = result.status, result.output, result.reason
        if len(output) > PAYLOAD_BYTES_LIMIT:  # S-640
            status, reason = (
                TaskStatus.FAILED_WITH_TERMINAL_ERROR,
                too_large("task output", len(output)),
            )
            output = EMPTY
        return ReportResult(
            task_id=result.task_id,
            status=status,
            output=output,
            reason=reason,
            worker_id=result.worker_id,
            callback_after_ms=result.callback_after_ms,
            logs=result.logs,
        )

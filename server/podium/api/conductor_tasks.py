"""Conductor's TaskService: polling workers, their results, single tasks.

A task that was claimed for a call is given back when the call is gone before it was answered. There
is no acknowledgement in this protocol, so what is lost after that is the response timeout's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import grpc.aio

from podium.api.method_table import Context, Served, service_handler
from podium.api.off_loop import LARGE_BYTES, convert, fields_size
from podium.api.trace_metadata import tell_trace
from podium.api.value import ValueUnsound, values_of
from podium.app.tasks import POLL_COUNT_MAX, POLL_MS, PollRequest, TaskResult
from podium.conductor import execution_pb2 as plain
from podium.conductor import task_service_pb2 as pb
from podium.conductor.twin import execution_pb2, task_service_pb2
from podium.model.execution import TaskStatus
from podium.model.payload import EMPTY, Payload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podium.api.execution_out import ExecutionMessages
    from podium.app.tasks import WorkerTasks
    from podium.app.view import TaskView

SECOND_MS: Final = 1_000
STATUSES: Final[Mapping[int, TaskStatus]] = {
    plain.TaskResult.IN_PROGRESS: TaskStatus.IN_PROGRESS,
    plain.TaskResult.FAILED: TaskStatus.FAILED,
    plain.TaskResult.FAILED_WITH_TERMINAL_ERROR: TaskStatus.FAILED_WITH_TERMINAL_ERROR,
    plain.TaskResult.COMPLETED: TaskStatus.COMPLETED,
    plain.TaskResult.CANCELED: TaskStatus.CANCELED,
}


class TaskService:
    """Poll, BatchPoll, UpdateTask, GetTask; `others` are methods that stand in other modules."""

    def __init__(
        self,
        *,
        tasks: WorkerTasks,
        messages: ExecutionMessages,
        message_bytes_max: int,
        others: Mapping[str, Served],
    ) -> None:
        self._tasks = tasks
        self._others = others
        self._messages = messages
        self._message_bytes_max = message_bytes_max

    def handler(self) -> grpc.GenericRpcHandler:
        """For the server."""
        return service_handler(
            pb.DESCRIPTOR.services_by_name["TaskService"],
            {
                "Poll": Served(self.poll, pb.PollRequest),
                "BatchPoll": Served(self.batch_poll, pb.BatchPollRequest),
                "UpdateTask": Served(self.update_task, task_service_pb2.UpdateTaskRequest),
                "GetTask": Served(self.get_task, pb.GetTaskRequest),
                **self._others,
            },
        )

    async def poll(
        self, request: pb.PollRequest, context: Context
    ) -> task_service_pb2.PollResponse:
        asked = PollRequest(request.task_type, request.domain, request.worker_id)
        views = await self._tasks.poll(asked)
        if not views:
            return task_service_pb2.PollResponse()
        try:
            message = await self._message(views[0])
        except asyncio.CancelledError:
            self._tasks.give_back(views)
            raise
        if context.done():
            self._tasks.give_back(views)
        tell_trace(context, *self._tasks.trace_of(views[0]))
        return task_service_pb2.PollResponse(task=message)

    async def batch_poll(self, request: pb.BatchPollRequest, context: Context) -> None:
        asked = PollRequest(
            request.task_type,
            request.domain,
            request.worker_id,
            min(request.count or 1, POLL_COUNT_MAX),
            request.timeout or POLL_MS,
        )
        views = await self._tasks.poll(asked)
        sent = 0
        try:
            for view in views:
                message = await self._message(view)
                if message is not None:
                    await context.write(message)
                sent += 1
        except (asyncio.CancelledError, grpc.aio.UsageError, grpc.aio.InternalError):
            self._tasks.give_back(views[sent:])
            raise

    async def update_task(
        self, request: task_service_pb2.UpdateTaskRequest, context: Context
    ) -> pb.UpdateTaskResponse:
        del context
        if not request.HasField("result"):
            raise ValueUnsound("result: expected a task result, found none")
        size = fields_size(request.result.output_data)
        result = await convert(size, _result_of, request.result)
        await self._tasks.update(result)
        return pb.UpdateTaskResponse(task_id=result.task_id)

    async def get_task(
        self, request: pb.GetTaskRequest, context: Context
    ) -> task_service_pb2.GetTaskResponse:
        del context
        view = await self._tasks.get(request.task_id)
        message = await convert(_size(view), self._messages.task, view)
        return task_service_pb2.GetTaskResponse(task=message)

    async def _message(self, view: TaskView) -> execution_pb2.Task | None:
        """The task's message; None where no client could take it, and the task has failed."""
        size = _size(view)
        message = await convert(size, self._messages.task, view)
        if size > LARGE_BYTES and (found := message.ByteSize()) > self._message_bytes_max:
            limit = self._message_bytes_max
            self._tasks.refuse(
                view, f"expected a task of at most {limit} bytes as a message, found {found}"
            )
            return None
        return message


def _result_of(result: execution_pb2.TaskResult) -> TaskResult:
    status = STATUSES.get(result.status)
    if status is None:
        expected = ", ".join(STATUSES.values())
        raise ValueUnsound(f"result.status: expected one of {expected}, found {result.status}")
    if result.HasField("output_message"):
        raise ValueUnsound("result.output_message: expected output_data, found a typed message")
    if result.extend_lease:  # S-160: all else is ignored
        output = EMPTY
    else:
        output = Payload.of(values_of("result.output_data", result.output_data))
    return TaskResult(
        workflow_id=result.workflow_instance_id,
        task_id=result.task_id,
        status=status,
        output=output,
        reason=result.reason_for_incompletion or None,
        worker_id=result.worker_id,
        callback_after_ms=result.callback_after_seconds * SECOND_MS,
        extend_lease=result.extend_lease,
        external_output_path=result.external_output_payload_storage_path,
        logs=tuple((line.created_time, line.log) for line in result.logs),
    )


def _size(view: TaskView) -> int:
    return len(view.record.input) + len(view.output)

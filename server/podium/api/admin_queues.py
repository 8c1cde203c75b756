"""The part of podium.v1.AdminService that shows queues and pending tasks, and mends queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.api.method_table import Context, Served
from podium.v1 import admin_queues_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podium.app.pending import PendingReport, PendingTasks
    from podium.app.queues import QueueReport, TaskQueues
    from podium.model.queue import LeaseKind
    from podium.store.queue_view import PendingState

KINDS: Final[Mapping[LeaseKind, pb.QueueWant.Kind.ValueType]] = {
    "stream": pb.QueueWant.KIND_STREAM,
    "poll": pb.QueueWant.KIND_POLL,
}
STATES: Final[Mapping[PendingState, pb.PendingTask.State.ValueType]] = {
    "ready": pb.PendingTask.STATE_READY,
    "leased": pb.PendingTask.STATE_LEASED,
    "delayed": pb.PendingTask.STATE_DELAYED,
    "awaited": pb.PendingTask.STATE_AWAITED,
}


class QueueAdmin:
    """ListQueues, ListPollers, ListPendingTasks, RequeueTasks, RebuildQueues."""

    def __init__(self, queues: TaskQueues, pending: PendingTasks) -> None:
        self._queues = queues
        self._pending = pending

    def served(self) -> dict[str, Served]:
        """For the service's table."""
        return {
            "ListQueues": Served(self.list_queues, pb.ListQueuesRequest),
            "ListPollers": Served(self.list_pollers, pb.ListPollersRequest),
            "ListPendingTasks": Served(self.list_pending, pb.ListPendingTasksRequest),
            "RequeueTasks": Served(self.requeue, pb.RequeueTasksRequest),
            "RebuildQueues": Served(self.rebuild, pb.RebuildQueuesRequest),
        }

    async def list_queues(
        self, request: pb.ListQueuesRequest, context: Context
    ) -> pb.ListQueuesResponse:
        del context
        page = await self._queues.page(
            request.task_type,
            request.domain if request.HasField("domain") else None,
            size=request.page_size,
            token=request.page_token,
        )
        return pb.ListQueuesResponse(
            queues=[queue_message(each) for each in page.queues], next_page_token=page.next_token
        )

    async def list_pollers(
        self, request: pb.ListPollersRequest, context: Context
    ) -> pb.ListPollersResponse:
        del context
        return pb.ListPollersResponse(
            pollers=[
                pb.Poller(
                    task_type=each.queue.task_type,
                    domain=each.queue.domain,
                    worker_id=each.worker_id,
                    seen_ms=each.seen_ms,
                )
                for each in await self._queues.pollers(request.task_type)
            ]
        )

    async def list_pending(
        self, request: pb.ListPendingTasksRequest, context: Context
    ) -> pb.ListPendingTasksResponse:
        del context
        page = await self._pending.page(
            request.task_type, size=request.page_size, token=request.page_token
        )
        return pb.ListPendingTasksResponse(
            tasks=[task_message(each) for each in page.tasks], next_page_token=page.next_token
        )

    async def requeue(
        self, request: pb.RequeueTasksRequest, context: Context
    ) -> pb.RequeueTasksResponse:
        del context
        return pb.RequeueTasksResponse(requeued_count=await self._queues.requeue(request.task_type))

    async def rebuild(
        self, request: pb.RebuildQueuesRequest, context: Context
    ) -> pb.RebuildQueuesResponse:
        del context
        return pb.RebuildQueuesResponse(
            queues=[
                pb.RebuiltQueue(
                    task_type=each.queue.task_type,
                    domain=each.queue.domain,
                    before_count=each.before,
                    after_count=each.after,
                )
                for each in await self._queues.rebuild(request.task_type)
            ]
        )


def queue_message(report: QueueReport) -> pb.TaskQueue:
    """One queue on the wire."""
    count, limits = report.count, report.limits
    return pb.TaskQueue(
        task_type=count.queue.task_type,
        domain=count.queue.domain,
        ready_count=count.ready,
        claimed_count=count.claimed,
        leased_count=report.leased,
        delayed_count=report.delayed,
        awaited_count=report.awaited,
        oldest_ready_ms=report.oldest_ready_ms,
        wants=[
            pb.QueueWant(server=want.server, kind=KINDS[want.kind], count=want.count)
            for want in count.wants
        ],
        limits=pb.QueueLimits(
            concurrent=limits.concurrent, rate=limits.rate, rate_window_ms=limits.rate_window_ms
        ),
    )


def task_message(report: PendingReport) -> pb.PendingTask:
    """One pending task on the wire."""
    record = report.record
    return pb.PendingTask(
        workflow_id=report.workflow_id,
        task_id=record.id,
        reference_task_name=report.reference,
        task_type=record.task_type,
        domain=record.domain,
        status=record.status.value,
        state=STATES[report.state],
        since_ms=report.since_ms,
        due_ms=report.due_ms,
        worker_id=record.worker_id or "",
        server=report.server,
        lease_epoch=record.lease_epoch,
    )

"""The part of Conductor's TaskService that shows logs and queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.api.method_table import Context, Served
from podium.conductor import execution_pb2
from podium.conductor import task_service_pb2 as pb

if TYPE_CHECKING:
    from podium.app.queues import TaskQueues
    from podium.app.task_logs import TaskLogs
    from podium.model.queue import Queue

SHARD: Final = "a"
"""Of a queue that has but one, as Conductor calls it (S-557)."""
INT32_MAX: Final = 2**31 - 1


class LogMethods:
    """AddLog, GetTaskLogs."""

    def __init__(self, logs: TaskLogs) -> None:
        self._logs = logs

    def served(self) -> dict[str, Served]:
        """For the service's table."""
        return {
            "AddLog": Served(self.add_log, pb.AddLogRequest),
            "GetTaskLogs": Served(self.get_task_logs, pb.GetTaskLogsRequest),
        }

    async def add_log(self, request: pb.AddLogRequest, context: Context) -> pb.AddLogResponse:
        del context
        await self._logs.add(request.task_id, request.log)
        return pb.AddLogResponse()

    async def get_task_logs(
        self, request: pb.GetTaskLogsRequest, context: Context
    ) -> pb.GetTaskLogsResponse:
        del context
        lines = await self._logs.read(request.task_id)
        return pb.GetTaskLogsResponse(
            logs=[
                execution_pb2.TaskExecLog(
                    log=line.text, task_id=request.task_id, created_time=line.at_ms
                )
                for line in lines
            ]
        )


class QueueMethods:
    """GetQueueSizesForTasks, GetQueueInfo, GetQueueAllInfo."""

    def __init__(self, queues: TaskQueues) -> None:
        self._queues = queues

    def served(self) -> dict[str, Served]:
        """For the service's table."""
        return {
            "GetQueueSizesForTasks": Served(self.sizes, pb.QueueSizesRequest),
            "GetQueueInfo": Served(self.info, pb.QueueInfoRequest),
            "GetQueueAllInfo": Served(self.all_info, pb.QueueAllInfoRequest),
        }

    async def sizes(self, request: pb.QueueSizesRequest, context: Context) -> pb.QueueSizesResponse:
        del context
        found = await self._queues.sizes(request.task_types)
        return pb.QueueSizesResponse(
            queue_for_task={name: min(size, INT32_MAX) for name, size in found.items()}
        )

    async def info(self, request: pb.QueueInfoRequest, context: Context) -> pb.QueueInfoResponse:
        del request, context
        reports = await self._queues.all()
        return pb.QueueInfoResponse(
            queues={name_of(each.count.queue): each.waiting for each in reports}
        )

    async def all_info(
        self, request: pb.QueueAllInfoRequest, context: Context
    ) -> pb.QueueAllInfoResponse:
        del request, context
        answer = pb.QueueAllInfoResponse()
        for each in await self._queues.all():
            shard = answer.queues[name_of(each.count.queue)].shards[SHARD]
            shard.size, shard.uacked = each.waiting, each.leased
        return answer


def name_of(queue: Queue) -> str:
    """As Conductor names a queue (S-529)."""
    return f"{queue.domain}:{queue.task_type}" if queue.domain else queue.task_type

"""The searches of Conductor's WorkflowService and TaskService, and lists by correlation id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.api.execution_out import task_size, view_size
from podium.api.method_table import Context, Served
from podium.api.off_loop import convert
from podium.api.summary_out import SUMMARY_BYTES, summaries_size, task_summary, workflow_summary
from podium.app.search import SearchRequest
from podium.conductor import search_pb2
from podium.conductor import task_service_pb2 as tasks_pb
from podium.conductor import workflow_service_pb2 as workflows_pb
from podium.conductor.twin import task_service_pb2 as tasks_twin
from podium.conductor.twin import workflow_service_pb2 as workflows_twin

if TYPE_CHECKING:
    from podium.api.execution_out import ExecutionMessages
    from podium.app.search import Searches
    from podium.app.view import ExecutionView
    from podium.index.document import WorkflowDocument
    from podium.index.port import Found


class WorkflowSearch:
    """Methods of WorkflowService."""

    def __init__(self, searches: Searches, messages: ExecutionMessages) -> None:
        self._searches = searches
        self._messages = messages

    def served(self) -> dict[str, Served]:
        """For its table."""
        return {
            "GetWorkflows": Served(self.get_workflows, workflows_pb.GetWorkflowsRequest),
            "GetRunningWorkflows": Served(
                self.get_running_workflows, workflows_pb.GetRunningWorkflowsRequest
            ),
            "Search": Served(self.search, search_pb2.Request),
            "SearchByTasks": Served(self.search_by_tasks, search_pb2.Request),
            "SearchV2": Served(self.search_v2, search_pb2.Request),
            "SearchByTasksV2": Served(self.search_by_tasks_v2, search_pb2.Request),
        }

    async def get_workflows(
        self, request: workflows_pb.GetWorkflowsRequest, context: Context
    ) -> workflows_twin.GetWorkflowsResponse:
        del context
        found = await self._searches.correlated(
            request.name,
            request.correlation_id,
            closed=request.include_closed,
            tasks=request.include_tasks,
        )
        size = sum(view_size(view) for views in found.values() for view in views)
        return await convert(size, self._by_id, found)

    async def get_running_workflows(
        self, request: workflows_pb.GetRunningWorkflowsRequest, context: Context
    ) -> workflows_pb.GetRunningWorkflowsResponse:
        del context
        ids = await self._searches.running(
            request.name, request.version, request.start_time, request.end_time
        )
        return workflows_pb.GetRunningWorkflowsResponse(workflow_ids=ids)

    async def search(
        self, request: search_pb2.Request, context: Context
    ) -> workflows_pb.WorkflowSummarySearchResult:
        del context
        return await _summaries(await self._searches.workflows(asked_of(request)))

    async def search_by_tasks(
        self, request: search_pb2.Request, context: Context
    ) -> workflows_pb.WorkflowSummarySearchResult:
        del context
        return await _summaries(await self._searches.workflows_by_tasks(asked_of(request)))

    async def search_v2(
        self, request: search_pb2.Request, context: Context
    ) -> workflows_twin.WorkflowSearchResult:
        del context
        return await self._whole(await self._searches.workflows(asked_of(request)))

    async def search_by_tasks_v2(
        self, request: search_pb2.Request, context: Context
    ) -> workflows_twin.WorkflowSearchResult:
        del context
        return await self._whole(await self._searches.workflows_by_tasks(asked_of(request)))

    async def _whole(self, found: Found[WorkflowDocument]) -> workflows_twin.WorkflowSearchResult:
        total, views = await self._searches.executions(found)
        size = sum(view_size(view) for view in views)
        results = await convert(size, lambda: [self._messages.execution(view) for view in views])
        return workflows_twin.WorkflowSearchResult(total_hits=total, results=results)

    def _by_id(self, found: dict[str, list[ExecutionView]]) -> workflows_twin.GetWorkflowsResponse:
        return workflows_twin.GetWorkflowsResponse(
            workflows_by_id={
                correlation_id: workflows_twin.GetWorkflowsResponse.Workflows(
                    workflows=[self._messages.execution(view) for view in views]
                )
                for correlation_id, views in found.items()
            }
        )


class TaskSearch:
    """Methods of TaskService."""

    def __init__(self, searches: Searches, messages: ExecutionMessages) -> None:
        self._searches = searches
        self._messages = messages

    def served(self) -> dict[str, Served]:
        """For its table."""
        return {
            "Search": Served(self.search, search_pb2.Request),
            "SearchV2": Served(self.search_v2, search_pb2.Request),
        }

    async def search(
        self, request: search_pb2.Request, context: Context
    ) -> tasks_pb.TaskSummarySearchResult:
        del context
        found = await self._searches.tasks(asked_of(request))
        size = sum(SUMMARY_BYTES + len(hit.task.input) + len(hit.task.output) for hit in found.hits)
        results = await convert(size, lambda: [task_summary(hit) for hit in found.hits])
        return tasks_pb.TaskSummarySearchResult(total_hits=found.total, results=results)

    async def search_v2(
        self, request: search_pb2.Request, context: Context
    ) -> tasks_twin.TaskSearchResult:
        del context
        found = await self._searches.tasks(asked_of(request))
        total, views = await self._searches.whole_tasks(found)
        size = sum(task_size(view) for view in views)
        results = await convert(size, lambda: [self._messages.task(view) for view in views])
        return tasks_twin.TaskSearchResult(total_hits=total, results=results)


def asked_of(request: search_pb2.Request) -> SearchRequest:
    """The request as it came."""
    return SearchRequest(
        start=request.start,
        size=request.size,
        sort=request.sort,
        free_text=request.free_text,
        query=request.query,
    )


async def _summaries(
    found: Found[WorkflowDocument],
) -> workflows_pb.WorkflowSummarySearchResult:
    size = summaries_size(found.hits)
    results = await convert(size, lambda: [workflow_summary(each) for each in found.hits])
    return workflows_pb.WorkflowSummarySearchResult(total_hits=found.total, results=results)

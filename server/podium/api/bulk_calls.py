"""The calls of podium.v1.WorkflowService that do one thing to many executions (S-155 ff.)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from podium.api.item import item_status
from podium.api.method_table import Context, Served
from podium.app.bulk import each
from podium.engine.command import Pause, Resume, Retry
from podium.v1 import bulk_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from podium.app.executions import Executions
    from podium.app.removal import Removal


class BulkCalls:
    """One method per verb; what an id raises is its own result."""

    def __init__(self, *, executions: Executions, removal: Removal) -> None:
        self._executions = executions
        self._removal = removal

    def served(self) -> dict[str, Served]:
        """For the table of the service."""
        return {
            "PauseWorkflows": Served(self.pause, pb.PauseWorkflowsRequest),
            "ResumeWorkflows": Served(self.resume, pb.ResumeWorkflowsRequest),
            "TerminateWorkflows": Served(self.terminate, pb.TerminateWorkflowsRequest),
            "RetryWorkflows": Served(self.retry, pb.RetryWorkflowsRequest),
            "RestartWorkflows": Served(self.restart, pb.RestartWorkflowsRequest),
            "RemoveWorkflows": Served(self.remove, pb.RemoveWorkflowsRequest),
            "TerminateAndRemoveWorkflows": Served(
                self.terminate_and_remove, pb.TerminateAndRemoveWorkflowsRequest
            ),
        }

    async def pause(
        self, request: pb.PauseWorkflowsRequest, context: Context
    ) -> pb.PauseWorkflowsResponse:
        del context
        act = partial(self._executions.command, command=Pause())
        return pb.PauseWorkflowsResponse(results=await _results(request.workflow_ids, act))

    async def resume(
        self, request: pb.ResumeWorkflowsRequest, context: Context
    ) -> pb.ResumeWorkflowsResponse:
        del context
        act = partial(self._executions.command, command=Resume())
        return pb.ResumeWorkflowsResponse(results=await _results(request.workflow_ids, act))

    async def terminate(
        self, request: pb.TerminateWorkflowsRequest, context: Context
    ) -> pb.TerminateWorkflowsResponse:
        del context
        act = partial(self._executions.terminate, reason=request.reason)
        return pb.TerminateWorkflowsResponse(results=await _results(request.workflow_ids, act))

    async def retry(
        self, request: pb.RetryWorkflowsRequest, context: Context
    ) -> pb.RetryWorkflowsResponse:
        del context
        command = Retry(resume_children=request.resume_subworkflow_tasks)
        act = partial(self._executions.command, command=command)
        return pb.RetryWorkflowsResponse(results=await _results(request.workflow_ids, act))

    async def restart(
        self, request: pb.RestartWorkflowsRequest, context: Context
    ) -> pb.RestartWorkflowsResponse:
        del context
        act = partial(self._executions.restart, latest_definition=request.use_latest_definitions)
        return pb.RestartWorkflowsResponse(results=await _results(request.workflow_ids, act))

    async def remove(
        self, request: pb.RemoveWorkflowsRequest, context: Context
    ) -> pb.RemoveWorkflowsResponse:
        del context
        act = partial(self._removal.remove, archive=request.archive_workflow)
        return pb.RemoveWorkflowsResponse(results=await _results(request.workflow_ids, act))

    async def terminate_and_remove(
        self, request: pb.TerminateAndRemoveWorkflowsRequest, context: Context
    ) -> pb.TerminateAndRemoveWorkflowsResponse:
        del context
        act = partial(self._removal.remove, archive=request.archive_workflow, reason=request.reason)
        results = await _results(request.workflow_ids, act)
        return pb.TerminateAndRemoveWorkflowsResponse(results=results)


async def _results(
    workflow_ids: Sequence[str], act: Callable[[str], Awaitable[None]]
) -> list[pb.BulkResult]:
    async def result_of(workflow_id: str) -> pb.BulkResult:
        try:
            await act(workflow_id)
        except Exception as error:  # noqa: BLE001 - ids stand for themselves: none harms another
            code, message = item_status(f"workflow {workflow_id}", error)
            fault = pb.BulkError(code=code, message=message)
            return pb.BulkResult(workflow_id=workflow_id, error=fault)
        return pb.BulkResult(workflow_id=workflow_id)

    return await each(workflow_ids, result_of)

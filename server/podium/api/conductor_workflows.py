"""Conductor's WorkflowService: start and read executions, and what operators do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.api.conductor_search import WorkflowSearch
from podium.api.definition_in import workflow_def_of
from podium.api.execution_out import view_size
from podium.api.method_table import Context, Served, service_handler
from podium.api.off_loop import convert, fields_size
from podium.api.trace_metadata import note_trace_of
from podium.api.value import values_of
from podium.app.executions import RerunRequest
from podium.app.failure import StorageMissing
from podium.app.start import StartRequest
from podium.conductor import workflow_service_pb2 as pb
from podium.conductor.twin import execution_pb2, request_pb2
from podium.engine.command import Pause, ResetCallbacks, Resume, Retry, SkipTask
from podium.model.payload import Payload

if TYPE_CHECKING:
    from collections.abc import Mapping

    import grpc
    from google.protobuf.message import Message

    from podium.api.execution_out import ExecutionMessages
    from podium.app.executions import Executions
    from podium.app.removal import Removal
    from podium.app.search import Searches
    from podium.app.start import StartWorkflow

IDEMPOTENCY_KEY: Final = "podium-idempotency-key"
"""Metadata key: Conductor's message has no field for it."""


class WorkflowService:
    """All of it is served."""

    def __init__(
        self,
        *,
        starts: StartWorkflow,
        executions: Executions,
        removal: Removal,
        searches: Searches,
        messages: ExecutionMessages,
    ) -> None:
        self._search = WorkflowSearch(searches, messages)
        self._starts = starts
        self._removal = removal
        self._executions = executions
        self._messages = messages

    def handler(self) -> grpc.GenericRpcHandler:
        """For the server."""
        return service_handler(
            pb.DESCRIPTOR.services_by_name["WorkflowService"],
            {
                "StartWorkflow": Served(self.start_workflow, request_pb2.StartWorkflowRequest),
                "GetWorkflowStatus": Served(self.get_workflow_status, pb.GetWorkflowStatusRequest),
                "TerminateWorkflow": Served(self.terminate_workflow, pb.TerminateWorkflowRequest),
                "DecideWorkflow": Served(self.decide_workflow, pb.DecideWorkflowRequest),
                "PauseWorkflow": Served(self.pause_workflow, pb.PauseWorkflowRequest),
                "ResumeWorkflow": Served(self.resume_workflow, pb.ResumeWorkflowRequest),
                "ResetWorkflowCallbacks": Served(
                    self.reset_callbacks, pb.ResetWorkflowCallbacksRequest
                ),
                "RetryWorkflow": Served(self.retry_workflow, pb.RetryWorkflowRequest),
                "RestartWorkflow": Served(self.restart_workflow, pb.RestartWorkflowRequest),
                "RerunWorkflow": Served(self.rerun_workflow, request_pb2.RerunWorkflowRequest),
                "RemoveWorkflow": Served(self.remove_workflow, pb.RemoveWorkflowRequest),
                "SkipTaskFromWorkflow": Served(self.skip_task, pb.SkipTaskRequest),
                **self._search.served(),
            },
        )

    async def start_workflow(
        self, request: request_pb2.StartWorkflowRequest, context: Context
    ) -> pb.StartWorkflowResponse:
        size = (
            request.ByteSize() if request.HasField("workflow_def") else fields_size(request.input)
        )
        note_trace_of(context)
        asked = await convert(size, _start_request_of, request, _idempotency_key(context))
        started = await self._starts.start(asked)
        return pb.StartWorkflowResponse(workflow_id=started.workflow_id)

    async def get_workflow_status(
        self, request: pb.GetWorkflowStatusRequest, context: Context
    ) -> execution_pb2.Workflow:
        del context
        view = await self._executions.get(request.workflow_id, tasks=request.include_tasks)
        return await convert(view_size(view), self._messages.execution, view)

    async def terminate_workflow(
        self, request: pb.TerminateWorkflowRequest, context: Context
    ) -> pb.TerminateWorkflowResponse:
        del context
        await self._executions.terminate(request.workflow_id, request.reason)
        return pb.TerminateWorkflowResponse()

    async def decide_workflow(
        self, request: pb.DecideWorkflowRequest, context: Context
    ) -> pb.DecideWorkflowResponse:
        """Every commit decides all that follows from it: there is nothing to do but to look."""
        del context
        await self._executions.get(request.workflow_id, tasks=False)
        return pb.DecideWorkflowResponse()

    async def pause_workflow(
        self, request: pb.PauseWorkflowRequest, context: Context
    ) -> pb.PauseWorkflowResponse:
        del context
        await self._executions.command(request.workflow_id, Pause())
        return pb.PauseWorkflowResponse()

    async def resume_workflow(
        self, request: pb.ResumeWorkflowRequest, context: Context
    ) -> pb.ResumeWorkflowResponse:
        del context
        await self._executions.command(request.workflow_id, Resume())
        return pb.ResumeWorkflowResponse()

    async def reset_callbacks(
        self, request: pb.ResetWorkflowCallbacksRequest, context: Context
    ) -> pb.ResetWorkflowCallbacksResponse:
        del context
        await self._executions.command(request.workflow_id, ResetCallbacks())
        return pb.ResetWorkflowCallbacksResponse()

    async def retry_workflow(
        self, request: pb.RetryWorkflowRequest, context: Context
    ) -> pb.RetryWorkflowResponse:
        del context
        command = Retry(resume_children=request.resume_subworkflow_tasks)
        await self._executions.command(request.workflow_id, command)
        return pb.RetryWorkflowResponse()

    async def restart_workflow(
        self, request: pb.RestartWorkflowRequest, context: Context
    ) -> pb.RestartWorkflowResponse:
        del context
        await self._executions.restart(
            request.workflow_id, latest_definition=request.use_latest_definitions
        )
        return pb.RestartWorkflowResponse()

    async def rerun_workflow(
        self, request: request_pb2.RerunWorkflowRequest, context: Context
    ) -> pb.RerunWorkflowResponse:
        """The id in the answer is the one in the request: nothing new is made (S-106)."""
        del context
        size = fields_size(request.workflow_input) + fields_size(request.task_input)
        asked = await convert(size, _rerun_request_of, request)
        await self._executions.rerun(asked)
        return pb.RerunWorkflowResponse(workflow_id=asked.workflow_id)

    async def remove_workflow(
        self, request: pb.RemoveWorkflowRequest, context: Context
    ) -> pb.RemoveWorkflowResponse:
        """The id's field is `workflod_id`, as upstream spells it."""
        del context
        await self._removal.remove(request.workflod_id, archive=request.archive_workflow)
        return pb.RemoveWorkflowResponse()

    async def skip_task(self, request: pb.SkipTaskRequest, context: Context) -> pb.SkipTaskResponse:
        del context
        given = request.request
        command = SkipTask(
            ref=request.task_reference_name,
            input=_payload_of("request.task_input", given.task_input),
            output=_payload_of("request.task_output", given.task_output),
        )
        await self._executions.command(request.workflow_id, command)
        return pb.SkipTaskResponse()


def _start_request_of(
    request: request_pb2.StartWorkflowRequest, idempotency_key: str
) -> StartRequest:
    if request.external_input_payload_storage_path:
        raise StorageMissing(
            "external_input_payload_storage_path: expected none, since no external storage is "
            "configured, found one"
        )
    definition = None
    if request.HasField("workflow_def"):
        definition = workflow_def_of("workflow_def", request.workflow_def)
    return StartRequest(
        name=request.name,
        version=request.version,
        definition=definition,
        input=Payload.of(values_of("input", request.input)),
        correlation_id=request.correlation_id,
        priority=request.priority,
        task_to_domain=dict(request.task_to_domain),
        created_by=request.created_by,
        idempotency_key=idempotency_key,
    )


def _rerun_request_of(request: request_pb2.RerunWorkflowRequest) -> RerunRequest:
    """An empty map is none: a message does not tell them apart."""
    given = request.workflow_input
    task_input = request.task_input
    return RerunRequest(
        workflow_id=request.re_run_from_workflow_id,
        task_id=request.re_run_from_task_id,
        task_input=Payload.of(values_of("task_input", task_input)) if task_input else None,
        input=Payload.of(values_of("workflow_input", given)) if given else None,
        correlation_id=request.correlation_id,
    )


def _payload_of(place: str, fields: Mapping[str, Message]) -> Payload:
    """A `map<string, Value>` of a message that is no twin."""
    return Payload.of(
        values_of(place, {name: value.SerializeToString() for name, value in fields.items()})
    )


def _idempotency_key(context: Context) -> str:
    for name, value in context.invocation_metadata() or ():
        if name == IDEMPOTENCY_KEY:
            return value if isinstance(value, str) else value.decode("utf-8", "replace")
    return ""

"""podium.v1.WorkflowService: starts in batches, waiting, streams of changes, and bulk calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.api.bulk_calls import BulkCalls
from podium.api.changes_out import changes_of, portions
from podium.api.frames import STATUSES
from podium.api.json_payload import payload_of
from podium.api.method_table import Context, Served, service_handler
from podium.api.off_loop import convert
from podium.api.start_items import StartItems, check_count
from podium.api.trace_metadata import note_trace_of
from podium.api.value import ValueUnsound
from podium.app.masking import masked
from podium.engine.command import Signal, UpdateVariables
from podium.engine.limits import VARIABLES_BYTES_LIMIT
from podium.model.execution import TaskStatus
from podium.v1 import worker_pb2
from podium.v1 import workflow_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc

    from podium.api.execute_calls import ExecuteCalls
    from podium.api.list_calls import ListCalls
    from podium.api.start_stream import Context as StreamContext
    from podium.api.start_stream import StartStreams
    from podium.app.executions import Executions
    from podium.app.removal import Removal
    from podium.app.start import StartWorkflow
    from podium.model.payload import Payload


class WorkflowService:
    """All of it is served."""

    def __init__(  # noqa: PLR0913 - its parts, all by name
        self,
        *,
        starts: StartWorkflow,
        executions: Executions,
        removal: Removal,
        streams: StartStreams,
        execute: ExecuteCalls,
        lists: ListCalls,
    ) -> None:
        self._lists = lists
        self._items = StartItems(starts)
        self._streams = streams
        self._executions = executions
        self._execute = execute
        self._bulk = BulkCalls(executions=executions, removal=removal)

    def handler(self) -> grpc.GenericRpcHandler:
        """For the server."""
        return service_handler(
            pb.DESCRIPTOR.services_by_name["WorkflowService"],
            {
                "StartWorkflows": Served(self.start_workflows, pb.StartWorkflowsRequest),
                "StreamStarts": Served(self.stream_starts, pb.StreamStartsRequest),
                **self._lists.served(),
                "Wait": Served(self.wait, pb.WaitRequest),
                "Watch": Served(self.watch, pb.WatchRequest),
                "Signal": Served(self.signal, pb.SignalRequest),
                "UpdateVariables": Served(self.update_variables, pb.UpdateVariablesRequest),
                "PushMessage": Served(self.push_message, pb.PushMessageRequest),
                **self._bulk.served(),
                **self._execute.served(),
            },
        )

    async def start_workflows(
        self, request: pb.StartWorkflowsRequest, context: Context
    ) -> pb.StartWorkflowsResponse:
        note_trace_of(context)
        check_count("items", request.items)
        return pb.StartWorkflowsResponse(results=await self._items.start_all(request.items))

    async def stream_starts(
        self, requests: AsyncIterator[pb.StreamStartsRequest], context: StreamContext
    ) -> None:
        del requests  # read by the context, as it is written
        note_trace_of(context)
        await self._streams.serve(self._items, context)

    async def wait(self, request: pb.WaitRequest, context: Context) -> pb.WaitResponse:
        del context
        view = await self._executions.wait(request.workflow_id, request.timeout_ms)
        header = view.header
        shown = await convert(len(view.output), masked, view)
        output = worker_pb2.Payload(json=shown.output.json) if view.output else None
        return pb.WaitResponse(
            status=header.status.value,
            output=output,
            reason=header.reason or "",
            finished=header.status.terminal,
        )

    async def watch(
        self, request: pb.WatchRequest, context: Context
    ) -> AsyncIterator[pb.WatchResponse]:
        del context
        async for commits in self._executions.watch(request.workflow_id, request.from_position):
            for some in portions(commits):
                yield pb.WatchResponse(
                    changes=[change for seen in some for change in changes_of(seen)]
                )

    async def signal(self, request: pb.SignalRequest, context: Context) -> pb.SignalResponse:
        del context
        command = await convert(len(request.output.json), _signal_of, request)
        found = await self._executions.signal(request.workflow_id, command)
        if found is None:
            return pb.SignalResponse()
        return pb.SignalResponse(workflow_id=found[0], task_id=found[1])

    async def update_variables(
        self, request: pb.UpdateVariablesRequest, context: Context
    ) -> pb.UpdateVariablesResponse:
        del context
        variables = payload_of("variables", request.variables, bytes_limit=VARIABLES_BYTES_LIMIT)
        await self._executions.command(request.workflow_id, UpdateVariables(variables=variables))
        return pb.UpdateVariablesResponse()

    async def push_message(
        self, request: pb.PushMessageRequest, context: Context
    ) -> pb.PushMessageResponse:
        del context
        payload = await convert(len(request.payload.json), _message_of, request)
        message_id = await self._executions.push(request.workflow_id, payload)
        return pb.PushMessageResponse(message_id=message_id)


def _message_of(request: pb.PushMessageRequest) -> Payload:
    return payload_of("payload", request.payload)


def _signal_of(request: pb.SignalRequest) -> Signal:
    status = TaskStatus.COMPLETED
    if request.status != worker_pb2.RESULT_STATUS_UNSPECIFIED:
        found = STATUSES.get(request.status)
        if found is None:
            raise ValueUnsound(
                f"status: expected one of {', '.join(map(str, STATUSES))}, found {request.status}"
            )
        status = found
    return Signal(
        status=status,
        output=payload_of("output", request.output),
        reason=request.reason or None,
    )

"""podium.v1.WorkflowService: starts in batches, waiting, and streams of changes."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import grpc

from podium.api.changes_out import changes_of, portions
from podium.api.errors import status_of
from podium.api.frames import STATUSES
from podium.api.json_payload import payload_of
from podium.api.method_table import Context, Served, service_handler
from podium.api.off_loop import convert
from podium.api.value import ValueUnsound
from podium.app.masking import masked
from podium.app.start import StartRequest
from podium.engine.command import Signal, UpdateVariables
from podium.engine.limits import VARIABLES_BYTES_LIMIT
from podium.model.execution import TaskStatus
from podium.v1 import worker_pb2
from podium.v1 import workflow_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from podium.app.executions import Executions
    from podium.app.start import IdempotencyStrategy, StartWorkflow

LOG = logging.getLogger("podium.api")
ITEMS_MAX: Final = 1_000
STRATEGIES: Final[Mapping[int, IdempotencyStrategy]] = {
    pb.IDEMPOTENCY_STRATEGY_UNSPECIFIED: "RETURN_EXISTING",
    pb.IDEMPOTENCY_STRATEGY_FAIL: "FAIL",
    pb.IDEMPOTENCY_STRATEGY_RETURN_EXISTING: "RETURN_EXISTING",
    pb.IDEMPOTENCY_STRATEGY_FAIL_ON_RUNNING: "FAIL_ON_RUNNING",
}
FAULT: Final = "expected an execution, found a fault of the server"


class WorkflowService:
    """All of it is served."""

    def __init__(self, *, starts: StartWorkflow, executions: Executions) -> None:
        self._starts = starts
        self._executions = executions

    def handler(self) -> grpc.GenericRpcHandler:
        """For the server."""
        return service_handler(
            pb.DESCRIPTOR.services_by_name["WorkflowService"],
            {
                "StartWorkflows": Served(self.start_workflows, pb.StartWorkflowsRequest),
                "Wait": Served(self.wait, pb.WaitRequest),
                "Watch": Served(self.watch, pb.WatchRequest),
                "Signal": Served(self.signal, pb.SignalRequest),
                "UpdateVariables": Served(self.update_variables, pb.UpdateVariablesRequest),
            },
        )

    async def start_workflows(
        self, request: pb.StartWorkflowsRequest, context: Context
    ) -> pb.StartWorkflowsResponse:
        """All items at once, so that they share commits."""
        del context
        if not 0 < len(request.items) <= ITEMS_MAX:
            raise ValueUnsound(f"items: expected 1 to {ITEMS_MAX}, found {len(request.items)}")
        async with asyncio.TaskGroup() as group:
            started = [
                group.create_task(self._start(f"items[{index}]", item))
                for index, item in enumerate(request.items)
            ]
        return pb.StartWorkflowsResponse(results=[each.result() for each in started])

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

    async def _start(self, place: str, item: pb.StartItem) -> pb.StartResult:
        try:
            asked = await convert(len(item.input.json), _start_request_of, place, item)
            started = await self._starts.start(asked)
        except Exception as error:
            # Items stand for themselves: one that fails does not touch the others.
            status = status_of(error)
            if status is None:
                LOG.exception("StartWorkflows: %s failed", place)
                status = grpc.StatusCode.INTERNAL, FAULT
            code, message = status
            number: int = code.value[0]
            return pb.StartResult(error=pb.StartError(code=number, message=message))
        return pb.StartResult(workflow_id=started.workflow_id, existing=started.existing)


def _start_request_of(place: str, item: pb.StartItem) -> StartRequest:
    strategy = STRATEGIES.get(item.idempotency_strategy)
    if strategy is None:
        raise ValueUnsound(
            f"{place}.idempotency_strategy: expected one of {', '.join(map(str, STRATEGIES))}, "
            f"found {item.idempotency_strategy}"
        )
    return StartRequest(
        name=item.name,
        version=item.version,
        input=payload_of(f"{place}.input", item.input),
        correlation_id=item.correlation_id,
        priority=item.priority,
        task_to_domain=dict(item.task_to_domain),
        idempotency_key=item.idempotency_key,
        idempotency_strategy=strategy,
    )


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

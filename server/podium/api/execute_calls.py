"""Methods of podium.v1.WorkflowService that run executions to an answer, and update by reference.

Executions and tasks are answered as Conductor's JSON (app/document.py), as they may be shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.api.frames import STATUSES
from podium.api.json_payload import payload_of
from podium.api.method_table import Context, Served
from podium.api.off_loop import convert, payloads_size
from podium.api.start_items import start_request_of
from podium.api.value import ValueUnsound
from podium.app.definitions import read_workflow_json
from podium.app.document import execution_document, task_document
from podium.app.masking import masked, masked_task
from podium.app.trial import Mock, Mocks
from podium.app.update import ReferenceResult
from podium.model.execution import TaskStatus
from podium.model.payload import Payload
from podium.v1 import worker_pb2
from podium.v1 import workflow_pb2 as pb

if TYPE_CHECKING:
    from podium.app.execute import Blocked, Execute, Executed
    from podium.app.start import StartRequest
    from podium.app.trial import Trials
    from podium.app.update import Updates
    from podium.app.view import ExecutionView, TaskView

PLACE: Final = "start"


class ExecuteCalls:
    """See WorkflowService."""

    def __init__(self, *, execute: Execute, trials: Trials, updates: Updates) -> None:
        self._execute = execute
        self._trials = trials
        self._updates = updates

    def served(self) -> dict[str, Served]:
        """The methods by name."""
        return {
            "Execute": Served(self.execute, pb.ExecuteRequest),
            "TestWorkflow": Served(self.test_workflow, pb.TestWorkflowRequest),
            "UpdateTask": Served(self.update_task, pb.UpdateTaskRequest),
        }

    async def execute(self, request: pb.ExecuteRequest, context: Context) -> pb.ExecuteResponse:
        del context
        if request.return_strategy not in pb.ReturnStrategy.values():
            choices = ", ".join(map(str, pb.ReturnStrategy.values()))
            raise ValueUnsound(
                f"return_strategy: expected one of {choices}, found {request.return_strategy}"
            )
        found = await self._execute.execute(
            await _start_of(request),
            references=list(request.wait_until),
            timeout_ms=request.timeout_ms,
        )
        return pb.ExecuteResponse(
            workflow_id=found.started.workflow_id,
            existing=found.started.existing,
            timed_out=found.timed_out,
            result=await _result_of(request.return_strategy, found),
        )

    async def test_workflow(
        self, request: pb.TestWorkflowRequest, context: Context
    ) -> pb.TestWorkflowResponse:
        del context
        mocks = await convert(request.ByteSize(), _mocks_of, "mocks", request.mocks)
        tried = await self._trials.run(
            await _start_of(request), mocks, timeout_ms=request.timeout_ms
        )
        header = tried.view.header
        return pb.TestWorkflowResponse(
            workflow_id=header.id,
            workflow=await _workflow(tried.view),
            finished=header.status.terminal,
            timed_out=tried.timed_out,
            problems=tried.problems,
        )

    async def update_task(
        self, request: pb.UpdateTaskRequest, context: Context
    ) -> pb.UpdateTaskResponse:
        del context
        result = ReferenceResult(
            workflow_id=request.workflow_id,
            reference=request.reference_name,
            status=_status_of("status", request.status),
            output=payload_of("output", request.output),
            reason=request.reason or None,
            worker_id=request.worker_id,
        )
        task_id = await self._updates.update(result, must_wait=request.return_workflow)
        workflow = None
        if request.return_workflow:
            workflow = await _workflow(await self._updates.view(request.workflow_id))
        return pb.UpdateTaskResponse(task_id=task_id, workflow=workflow)


async def _start_of(request: pb.ExecuteRequest | pb.TestWorkflowRequest) -> StartRequest:
    definition = None
    if request.definition_json:
        definition = await read_workflow_json("definition_json", request.definition_json)
    return await convert(
        len(request.start.input.json), start_request_of, PLACE, request.start, definition
    )


def _status_of(place: str, status: int) -> TaskStatus:
    if status == worker_pb2.RESULT_STATUS_UNSPECIFIED:
        return TaskStatus.COMPLETED
    found = STATUSES.get(status)
    if found is None:
        raise ValueUnsound(
            f"{place}: expected one of {', '.join(map(str, STATUSES))}, found {status}"
        )
    return found


def _mocks_of(place: str, message: pb.WorkflowMocks) -> Mocks:
    """The parser's limit of 100 nested messages bounds the recursion."""
    tasks: dict[str, tuple[Mock, ...]] = {}
    for reference, some in message.tasks.items():
        where = f"{place}.tasks[{reference[:80]}]"
        if not some.mocks:
            raise ValueUnsound(f"{where}.mocks: expected at least one mock, found none")
        tasks[reference] = tuple(
            Mock(
                _status_of(f"{where}.mocks[{index}].status", mock.status),
                payload_of(f"{where}.mocks[{index}].output", mock.output),
                mock.reason or None,
            )
            for index, mock in enumerate(some.mocks)
        )
    children = {
        reference: _mocks_of(f"{place}.sub_workflows[{reference[:80]}]", inner)
        for reference, inner in message.sub_workflows.items()
    }
    return Mocks(tasks, children)


async def _result_of(strategy: int, found: Executed) -> worker_pb2.Payload | None:
    blocked = found.blocked
    if strategy in (pb.RETURN_STRATEGY_BLOCKING_TASK, pb.RETURN_STRATEGY_BLOCKING_TASK_INPUT):
        return None if blocked is None else _task(blocked, strategy)
    if strategy == pb.RETURN_STRATEGY_BLOCKING_WORKFLOW and blocked is not None:
        return await _workflow(blocked.view)
    return await _workflow(found.view)


def _task(blocked: Blocked, strategy: int) -> worker_pb2.Payload:
    task = masked_task(blocked.task, blocked.view.graph.definition.masked_fields)
    if strategy == pb.RETURN_STRATEGY_BLOCKING_TASK_INPUT:
        return worker_pb2.Payload(json=task.record.input.json)
    return worker_pb2.Payload(json=_task_json(task))


def _task_json(task: TaskView) -> bytes:
    return Payload.of(task_document(task)).json


async def _workflow(view: ExecutionView) -> worker_pb2.Payload:
    size = payloads_size([view.input, view.output, *(task.output for task in view.tasks)])
    return worker_pb2.Payload(json=await convert(size, _workflow_json, view))


def _workflow_json(view: ExecutionView) -> bytes:
    return Payload.of(execution_document(masked(view))).json

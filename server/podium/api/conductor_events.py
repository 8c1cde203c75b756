"""Conductor's EventService: event handlers, which are kept and read back; nothing acts on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.api.method_table import Context, Served, service_handler
from podium.api.off_loop import convert
from podium.api.value import ValueUnsound, bytes_of_values, values_of
from podium.app.failure import RequestUnsound
from podium.app.names import require_name
from podium.conductor import event_pb2 as plain
from podium.conductor import event_service_pb2 as pb
from podium.conductor.twin import event_pb2 as twin
from podium.conductor.twin import event_service_pb2 as twin_service
from podium.model.event_handler import (
    AgentDetails,
    EventAction,
    EventHandler,
    StartWorkflowDetails,
    TaskDetails,
    TerminateDetails,
    VariablesDetails,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import grpc

    from podium.model.event_handler import ActionType
    from podium.registry.event_handlers import EventHandlers

Action = plain.EventHandler.Action
TYPES: Final[Mapping[int, ActionType]] = {
    Action.START_WORKFLOW: "start_workflow",
    Action.COMPLETE_TASK: "complete_task",
    Action.FAIL_TASK: "fail_task",
    Action.TERMINATE_WORKFLOW: "terminate_workflow",
    Action.UPDATE_WORKFLOW_VARIABLES: "update_workflow_variables",
    Action.START_AGENT: "start_agent",
}
NUMBERS: Final = {name: number for number, name in TYPES.items()}


class EventService:
    """All of it is served."""

    def __init__(self, handlers: EventHandlers) -> None:
        self._handlers = handlers

    def handler(self) -> grpc.GenericRpcHandler:
        """For the server."""
        return service_handler(
            pb.DESCRIPTOR.services_by_name["EventService"],
            {
                "AddEventHandler": Served(self.add, twin_service.AddEventHandlerRequest),
                "UpdateEventHandler": Served(self.update, twin_service.UpdateEventHandlerRequest),
                "RemoveEventHandler": Served(self.remove, pb.RemoveEventHandlerRequest),
                "GetEventHandlers": Served(self.get_all, pb.GetEventHandlersRequest),
                "GetEventHandlersForEvent": Served(
                    self.get_for_event, pb.GetEventHandlersForEventRequest
                ),
            },
        )

    async def add(
        self, request: twin_service.AddEventHandlerRequest, context: Context
    ) -> pb.AddEventHandlerResponse:
        del context
        await self._handlers.add(await _handler_in(request))
        return pb.AddEventHandlerResponse()

    async def update(
        self, request: twin_service.UpdateEventHandlerRequest, context: Context
    ) -> pb.UpdateEventHandlerResponse:
        del context
        await self._handlers.update(await _handler_in(request))
        return pb.UpdateEventHandlerResponse()

    async def remove(
        self, request: pb.RemoveEventHandlerRequest, context: Context
    ) -> pb.RemoveEventHandlerResponse:
        del context
        await self._handlers.remove(require_name("name", request.name))
        return pb.RemoveEventHandlerResponse()

    async def get_all(self, request: pb.GetEventHandlersRequest, context: Context) -> None:
        del request
        await _send(context, await self._handlers.listed())

    async def get_for_event(
        self, request: pb.GetEventHandlersForEventRequest, context: Context
    ) -> None:
        if not request.event:
            raise RequestUnsound("event: expected an event as <provider>:<queue>, found none")
        found = await self._handlers.listed(request.event, active_only=request.active_only)
        await _send(context, found)


async def _send(context: Context, handlers: Iterable[EventHandler]) -> None:
    for each in handlers:
        await context.write(handler_message(each))


async def _handler_in(
    request: twin_service.AddEventHandlerRequest | twin_service.UpdateEventHandlerRequest,
) -> EventHandler:
    if not request.HasField("handler"):
        raise ValueUnsound("handler: expected an event handler, found none")
    return await convert(request.ByteSize(), handler_of, "handler", request.handler)


def handler_of(place: str, message: twin.EventHandler) -> EventHandler:
    """An empty text is absent. Raises ValueUnsound."""
    return EventHandler(
        name=message.name,
        event=message.event,
        condition=message.condition or None,
        actions=[
            _action_of(f"{place}.actions[{index}]", each)
            for index, each in enumerate(message.actions)
        ],
        active=message.active,
        evaluator_type=message.evaluator_type or None,
    )


def _action_of(place: str, message: twin.EventHandler.Action) -> EventAction:
    kind = TYPES.get(message.action)
    if kind is None:
        raise ValueUnsound(
            f"{place}.action: expected one of {', '.join(NUMBERS)}, found {message.action}"
        )
    has = message.HasField
    return EventAction(
        action=kind,
        start_workflow=_start_of(f"{place}.start_workflow", message.start_workflow)
        if has("start_workflow")
        else None,
        complete_task=_task_of(f"{place}.complete_task", message.complete_task)
        if has("complete_task")
        else None,
        fail_task=_task_of(f"{place}.fail_task", message.fail_task) if has("fail_task") else None,
        expand_inline_json=message.expand_inline_json,
        terminate_workflow=TerminateDetails(
            workflow_id=message.terminate_workflow.workflow_id or None,
            termination_reason=message.terminate_workflow.termination_reason or None,
        )
        if has("terminate_workflow")
        else None,
        update_workflow_variables=_variables_of(
            f"{place}.update_workflow_variables", message.update_workflow_variables
        )
        if has("update_workflow_variables")
        else None,
        start_agent=_agent_of(f"{place}.start_agent", message.start_agent)
        if has("start_agent")
        else None,
    )


def _start_of(place: str, message: twin.EventHandler.StartWorkflow) -> StartWorkflowDetails:
    if message.HasField("input_message"):
        raise ValueUnsound(f"{place}.input_message: expected input, found a typed message")
    return StartWorkflowDetails(
        name=message.name,
        version=message.version or None,
        correlation_id=message.correlation_id or None,
        input=values_of(f"{place}.input", message.input),
        task_to_domain=dict(message.task_to_domain),
    )


def _task_of(place: str, message: twin.EventHandler.TaskDetails) -> TaskDetails:
    if message.HasField("output_message"):
        raise ValueUnsound(f"{place}.output_message: expected output, found a typed message")
    return TaskDetails(
        workflow_id=message.workflow_id or None,
        task_ref_name=message.task_ref_name or None,
        output=values_of(f"{place}.output", message.output),
        task_id=message.task_id or None,
        reason_for_incompletion=message.reason_for_incompletion or None,
    )


def _variables_of(
    place: str, message: twin.EventHandler.UpdateWorkflowVariables
) -> VariablesDetails:
    return VariablesDetails(
        workflow_id=message.workflow_id or None,
        variables=values_of(f"{place}.variables", message.variables),
        append_array=message.append_array,
    )


def _agent_of(place: str, message: twin.EventHandler.StartAgent) -> AgentDetails:
    return AgentDetails(
        name=message.name,
        version=message.version or None,
        prompt=message.prompt or None,
        session_id=message.session_id or None,
        media=list(message.media),
        context=values_of(f"{place}.context", message.context),
        idempotency_key=message.idempotency_key or None,
    )


def handler_message(handler: EventHandler) -> twin.EventHandler:
    """A handler on the wire."""
    return twin.EventHandler(
        name=handler.name,
        event=handler.event,
        condition=handler.condition or "",
        actions=[_action_message(each) for each in handler.actions],
        active=handler.active,
        evaluator_type=handler.evaluator_type or "",
    )


def _action_message(action: EventAction) -> twin.EventHandler.Action:
    message = twin.EventHandler.Action(
        expand_inline_json=action.expand_inline_json,
    )
    message.action = NUMBERS[action.action]  # pyright: ignore[reportAttributeAccessIssue] - an int
    if (start := action.start_workflow) is not None:
        message.start_workflow.CopyFrom(_start_message(start))
    for field, task in (("complete_task", action.complete_task), ("fail_task", action.fail_task)):
        if task is not None:
            getattr(message, field).CopyFrom(_task_message(task))
    if (end := action.terminate_workflow) is not None:
        message.terminate_workflow.CopyFrom(
            plain.EventHandler.TerminateWorkflow(
                workflow_id=end.workflow_id or "", termination_reason=end.termination_reason or ""
            )
        )
    if (variables := action.update_workflow_variables) is not None:
        message.update_workflow_variables.CopyFrom(
            twin.EventHandler.UpdateWorkflowVariables(
                workflow_id=variables.workflow_id or "",
                variables=bytes_of_values(variables.variables),
                append_array=variables.append_array,
            )
        )
    if (agent := action.start_agent) is not None:
        message.start_agent.CopyFrom(_agent_message(agent))
    return message


def _start_message(start: StartWorkflowDetails) -> twin.EventHandler.StartWorkflow:
    return twin.EventHandler.StartWorkflow(
        name=start.name,
        version=start.version or 0,
        correlation_id=start.correlation_id or "",
        input=bytes_of_values(start.input),
        task_to_domain=start.task_to_domain,
    )


def _task_message(task: TaskDetails) -> twin.EventHandler.TaskDetails:
    return twin.EventHandler.TaskDetails(
        workflow_id=task.workflow_id or "",
        task_ref_name=task.task_ref_name or "",
        output=bytes_of_values(task.output),
        task_id=task.task_id or "",
        reason_for_incompletion=task.reason_for_incompletion or "",
    )


def _agent_message(agent: AgentDetails) -> twin.EventHandler.StartAgent:
    return twin.EventHandler.StartAgent(
        name=agent.name,
        version=agent.version or 0,
        prompt=agent.prompt or "",
        session_id=agent.session_id or "",
        media=agent.media,
        context=bytes_of_values(agent.context),
        idempotency_key=agent.idempotency_key or "",
    )

"""Event handlers over a real channel: kept, changed, removed, listed, refused (S-571 to S-573)."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as Typed

from podium.conductor import event_pb2 as event
from podium.conductor import event_service_pb2 as service
from podium.conductor import event_service_pb2_grpc as service_grpc
from tests.api.bad_definitions import BAD_BYTES, LONG, NAN
from tests.api.calls import EVENTS, entry, field, refusal, values
from tests.api.edge import Edge

Handler = event.EventHandler
Action = event.EventHandler.Action


def simple(name: str = "h", at: str = "conductor:w:ref", **fields: Any) -> event.EventHandler:
    start = event.EventHandler.StartWorkflow(name="w")
    fields.setdefault("actions", [Action(start_workflow=start)])
    return Handler(name=name, event=at, **fields)


def every_action() -> event.EventHandler:
    """One action of each type, each field set."""
    handler = simple(
        "all", condition="$.n > 1", active=True, evaluator_type="javascript", actions=[]
    )
    start = handler.actions.add(action=Action.START_WORKFLOW, expand_inline_json=True)
    start.start_workflow.CopyFrom(
        Handler.StartWorkflow(
            name="w", version=3, correlation_id="${id}", task_to_domain={"a": "eu"}
        )
    )
    values(start.start_workflow, "input", {"n": 1, "l": [None, {"x": 1.5}], "t": "${text}"})
    for kind, name in ((Action.COMPLETE_TASK, "complete_task"), (Action.FAIL_TASK, "fail_task")):
        details = getattr(handler.actions.add(action=kind), name)
        details.CopyFrom(
            Handler.TaskDetails(
                workflow_id="w", task_ref_name="r", task_id="t", reason_for_incompletion="no"
            )
        )
        values(details, "output", {"ok": True})
    handler.actions.add(action=Action.TERMINATE_WORKFLOW).terminate_workflow.CopyFrom(
        Handler.TerminateWorkflow(workflow_id="w", termination_reason="over")
    )
    change = handler.actions.add(action=Action.UPDATE_WORKFLOW_VARIABLES)
    change.update_workflow_variables.CopyFrom(
        Handler.UpdateWorkflowVariables(workflow_id="w", append_array=True)
    )
    values(change.update_workflow_variables, "variables", {"v": ["x"]})
    agent = handler.actions.add(action=Action.START_AGENT).start_agent
    agent.CopyFrom(
        Handler.StartAgent(
            name="a", version=2, prompt="p", session_id="s", media=["m"], idempotency_key="k"
        )
    )
    values(agent, "context", {"c": {}})
    return handler


class Events:
    """Calls of the service."""

    def __init__(self, edge: Edge) -> None:
        self._stub = service_grpc.EventServiceStub(edge.channel)

    async def add(self, handler: event.EventHandler) -> None:
        await self._stub.AddEventHandler(service.AddEventHandlerRequest(handler=handler))

    async def update(self, handler: event.EventHandler) -> None:
        await self._stub.UpdateEventHandler(service.UpdateEventHandlerRequest(handler=handler))

    async def remove(self, name: str) -> None:
        await self._stub.RemoveEventHandler(service.RemoveEventHandlerRequest(name=name))

    async def all(self) -> list[event.EventHandler]:
        calls = self._stub.GetEventHandlers(service.GetEventHandlersRequest())
        return [each async for each in calls]

    async def at(self, name: str, *, active_only: bool = False) -> list[str]:
        asked = service.GetEventHandlersForEventRequest(event=name, active_only=active_only)
        return [each.name async for each in self._stub.GetEventHandlersForEvent(asked)]


async def test_s_678_every_action_is_read_back_as_it_was_sent() -> None:
    async with Edge() as edge:
        events = Events(edge)
        await events.add(every_action())
        assert await events.all() == [every_action()]


async def test_s_571_handlers_are_added_changed_removed_and_listed_by_event() -> None:
    async with Edge() as edge:
        events = Events(edge)
        await events.add(simple("b", active=True))
        await events.add(simple("a"))
        await events.add(simple("c", "sqs:other", active=True))
        assert [each.name for each in await events.all()] == ["a", "b", "c"]
        assert await events.at("conductor:w:ref") == ["a", "b"]
        assert await events.at("conductor:w:ref", active_only=True) == ["b"]
        assert await events.at("never:heard") == []
        again = service.AddEventHandlerRequest(handler=simple("a", active=True))
        assert await refusal(edge, f"{EVENTS}AddEventHandler", again) == (
            "ALREADY_EXISTS",
            "expected a name without an event handler, found a registered",
        )
        await events.update(simple("a", "sqs:other", active=True))
        assert await events.at("sqs:other", active_only=True) == ["a", "c"]
        await events.remove("b")
        assert await events.at("conductor:w:ref") == []
        missing = "expected a registered event handler, found none with name b"
        gone = service.RemoveEventHandlerRequest(name="b")
        assert await refusal(edge, f"{EVENTS}RemoveEventHandler", gone) == ("NOT_FOUND", missing)
        change = service.UpdateEventHandlerRequest(handler=simple("b"))
        found = await refusal(edge, f"{EVENTS}UpdateEventHandler", change)
        assert found == ("NOT_FOUND", missing)
        assert [each.name for each in await events.all()] == ["a", "c"]


async def test_s_573_the_provider_of_an_event_need_not_exist() -> None:
    async with Edge() as edge:
        await Events(edge).add(simple(at="nobody:knows?this=1"))
        assert await Events(edge).at("nobody:knows?this=1") == ["h"]


def bad(**fields: Any) -> bytes:
    return service.AddEventHandlerRequest(handler=simple(**fields)).SerializeToString()


def acting(**fields: Any) -> bytes:
    return bad(actions=[Action(**fields)])


NOT_FINITE = field(1, simple().SerializeToString() + field(
    4, field(2, field(1, b"w") + field(4, entry("n", NAN)))
))  # fmt: skip
WRONG: dict[str, tuple[bytes, str]] = {
    "bytes": (BAD_BYTES, "found bytes that are none"),
    "no handler": (b"", "handler: expected an event handler, found none"),
    "no name": (bad(name=""), "handler.name: expected a name, found none"),
    "long name": (bad(name=LONG), "handler.name: expected at most 255 characters"),
    "no event": (bad(at=""), "handler.event: expected an event as <provider>:<queue>, found none"),
    "no queue": (bad(at="sqs:"), "handler.event: expected an event as <provider>:<queue>, found"),
    "no provider": (bad(at="queue"), "handler.event: expected an event as <provider>:<queue>"),
    "condition": (bad(condition="$.a >"), "handler.condition: "),
    "no actions": (bad(actions=[]), "handler.actions: expected 1 to 100 actions, found 0"),
    "many actions": (bad(actions=[Action()] * 101), "expected 1 to 100 actions, found 101"),
    "no details": (
        acting(action=Action.FAIL_TASK),
        "handler.actions[0].fail_task: expected what the action is about, found none",
    ),
    "other details": (
        acting(action=Action.START_AGENT, start_workflow=Handler.StartWorkflow(name="w")),
        "handler.actions[0].start_agent: expected what the action is about",
    ),
    "no workflow": (
        acting(start_workflow=Handler.StartWorkflow()),
        "handler.actions[0].start_workflow.name: expected a name, found none",
    ),
    "version": (
        acting(start_workflow=Handler.StartWorkflow(name="w", version=-1)),
        "handler.actions[0].start_workflow.version: expected 0 or more, found -1",
    ),
    "no task": (
        acting(action=Action.COMPLETE_TASK, complete_task=Handler.TaskDetails(workflow_id="w")),
        "handler.actions[0].complete_task.task_ref_name: expected a reference or a task_id",
    ),
    "no execution": (
        acting(action=Action.TERMINATE_WORKFLOW, terminate_workflow=Handler.TerminateWorkflow()),
        "handler.actions[0].terminate_workflow.workflow_id: expected a workflow id, found none",
    ),
    "typed input": (
        acting(start_workflow=Handler.StartWorkflow(name="w", input_message=Typed())),
        "handler.actions[0].start_workflow.input_message: expected input, found a typed message",
    ),
    "typed output": (
        acting(action=Action.FAIL_TASK, fail_task=Handler.TaskDetails(output_message=Typed())),
        "handler.actions[0].fail_task.output_message: expected output, found a typed message",
    ),
    "not finite": (NOT_FINITE, "start_workflow.input.n: expected finite numbers, found nan"),
}


@pytest.mark.parametrize("method", ["AddEventHandler", "UpdateEventHandler"])
@pytest.mark.parametrize("case", WRONG)
async def test_a_bad_handler_is_refused_with_its_place(case: str, method: str) -> None:
    sent, text = WRONG[case]
    async with Edge() as edge:
        await Events(edge).add(simple())
        code, found = await refusal(edge, f"{EVENTS}{method}", sent)
        assert (code, text in found) == ("INVALID_ARGUMENT", True), found
        assert await Events(edge).all() == [simple()]


async def test_an_unknown_action_and_an_event_that_is_not_named_are_refused() -> None:
    async with Edge() as edge:
        unknown = field(1, simple().SerializeToString() + field(4, b"\x08\x09"))
        code, text = await refusal(edge, f"{EVENTS}AddEventHandler", unknown)
        assert code == "INVALID_ARGUMENT"
        assert text.startswith("handler.actions[1].action: expected one of start_workflow, ")
        assert text.endswith(", start_agent, found 9")
        asked = {"RemoveEventHandler": "name", "GetEventHandlersForEvent": "event"}
        for method, place in asked.items():
            code, text = await refusal(edge, f"{EVENTS}{method}", b"")
            assert (code, text.startswith(f"{place}: expected")) == ("INVALID_ARGUMENT", True)

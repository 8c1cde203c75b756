"""Rows of Conductor's EventService."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.api.every.calling import REFUSALS, row

if TYPE_CHECKING:
    from tests.api.every.calling import Bad, Fields, Rpcs

EVENTS = "conductor.grpc.events.EventService/"
HANDLER = {
    "name": "h",
    "event": "sqs:queue",
    "actions": [{"start_workflow": {"name": "w"}}],
}
UNSOUND: list[Bad] = [
    ({}, "INVALID_ARGUMENT", "handler: expected an event handler, found none"),
    ({"handler": {**HANDLER, "event": ""}}, "INVALID_ARGUMENT", "handler.event: expected"),
]
REFUSALS.update(
    {
        f"{EVENTS}AddEventHandler": UNSOUND,
        f"{EVENTS}UpdateEventHandler": [*UNSOUND, ({"handler": HANDLER}, "NOT_FOUND", "name h")],
        f"{EVENTS}RemoveEventHandler": [({"name": "none"}, "NOT_FOUND", "none with name none")],
        f"{EVENTS}GetEventHandlers": [],
        f"{EVENTS}GetEventHandlersForEvent": [({}, "INVALID_ARGUMENT", "event: expected")],
    }
)


async def kept(rpcs: Rpcs) -> list[Fields]:
    return await rpcs.listed(f"{EVENTS}GetEventHandlers")


@row(f"{EVENTS}AddEventHandler")
@row(f"{EVENTS}GetEventHandlers")
async def add(rpcs: Rpcs) -> None:
    await rpcs.ask(f"{EVENTS}AddEventHandler", handler=HANDLER)
    assert await kept(rpcs) == [HANDLER]


@row(f"{EVENTS}UpdateEventHandler")
async def update(rpcs: Rpcs) -> None:
    await rpcs.ask(f"{EVENTS}AddEventHandler", handler=HANDLER)
    await rpcs.ask(f"{EVENTS}UpdateEventHandler", handler={**HANDLER, "active": True})
    assert await kept(rpcs) == [{**HANDLER, "active": True}]


@row(f"{EVENTS}RemoveEventHandler")
async def remove(rpcs: Rpcs) -> None:
    await rpcs.ask(f"{EVENTS}AddEventHandler", handler=HANDLER)
    await rpcs.ask(f"{EVENTS}RemoveEventHandler", name="h")
    assert await kept(rpcs) == []


@row(f"{EVENTS}GetEventHandlersForEvent")
async def get_for_event(rpcs: Rpcs) -> None:
    await rpcs.ask(f"{EVENTS}AddEventHandler", handler=HANDLER)
    asked = f"{EVENTS}GetEventHandlersForEvent"
    assert await rpcs.listed(asked, event="sqs:queue") == [HANDLER]
    assert await rpcs.listed(asked, event="sqs:queue", active_only=True) == []

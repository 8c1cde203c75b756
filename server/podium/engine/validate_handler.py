"""What a sound event handler is: its name, its event, and what each action needs (S-571, S-572)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.engine.problem import Problem, check_least, check_name, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from podium.model.event_handler import EventAction, EventHandler, TaskDetails

ACTIONS_MAX: Final = 100
EVENT_CHARS_MAX: Final = 1_000
CONDITION_CHARS_MAX: Final = 64 * 1024


def validate_handler(place: str, handler: EventHandler) -> list[Problem]:
    """All problems. Whether the event's provider exists is not asked (S-573)."""
    return [
        *check_name(f"{place}.name", handler.name),
        *check_event(f"{place}.event", handler.event),
        *check_condition(f"{place}.condition", handler.condition or ""),
        *check_actions(f"{place}.actions", handler.actions),
    ]


def check_event(place: str, event: str) -> Iterator[Problem]:
    """`<provider>:<queue>`."""
    provider, colon, queue = event.partition(":")
    if not event:
        yield Problem(place, "expected an event as <provider>:<queue>, found none")
    elif not (provider.strip() and colon and queue.strip()):
        yield Problem(place, f"expected an event as <provider>:<queue>, found {shown(event)}")
    elif len(event) > EVENT_CHARS_MAX:
        yield Problem(place, f"expected at most {EVENT_CHARS_MAX} characters, found {len(event)}")
    elif not event.isprintable():
        yield Problem(place, "expected an event without control characters, found one with them")


def check_condition(place: str, condition: str) -> Iterator[Problem]:
    """Its length; whether it parses is asked of the sandbox."""
    if len(condition) > CONDITION_CHARS_MAX:
        yield Problem(
            place, f"expected at most {CONDITION_CHARS_MAX} characters, found {len(condition)}"
        )


def check_actions(place: str, actions: list[EventAction]) -> Iterator[Problem]:
    """At least one, each with its details."""
    if not 0 < len(actions) <= ACTIONS_MAX:
        yield Problem(place, f"expected 1 to {ACTIONS_MAX} actions, found {len(actions)}")
        return
    for index, action in enumerate(actions):
        yield from check_action(f"{place}[{index}]", action)


def check_action(place: str, action: EventAction) -> Iterator[Problem]:
    """The details that its type reads."""
    place = f"{place}.{action.action}"
    details = getattr(action, action.action)
    if details is None:
        yield Problem(place, "expected what the action is about, found none")
        return
    match action.action:
        case "start_workflow" | "start_agent":
            if not details.name.strip():
                yield Problem(f"{place}.name", "expected a name, found none")
            yield from check_least(f"{place}.version", details.version, 0)
        case "complete_task" | "fail_task":
            yield from check_task(place, details)
        case "terminate_workflow" | "update_workflow_variables":
            if not details.workflow_id:
                yield Problem(f"{place}.workflow_id", "expected a workflow id, found none")


def check_task(place: str, details: TaskDetails) -> Iterator[Problem]:
    """A task is named by its id, or by its execution and reference (S-583)."""
    if details.task_id:
        return
    if not details.workflow_id:
        yield Problem(f"{place}.workflow_id", "expected a workflow id or a task_id, found none")
    if not details.task_ref_name:
        yield Problem(f"{place}.task_ref_name", "expected a reference or a task_id, found none")

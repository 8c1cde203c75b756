"""What a task's onStateChange says: which events its changes of state raise (S-044).

A map from moments to lists of `{type, payload}`. A key may name several moments, with commas
between them. What a definition stored before it was checked says wrongly raises nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

import msgspec

from podium.engine.expression import Template, compile_value
from podium.engine.limits import STATE_EVENTS_LIMIT
from podium.engine.problem import Problem, check_depth, check_name, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from podium.model.payload import JsonValue

Moment = Literal["onScheduled", "onStart", "onFailed", "onSuccess", "onCancelled"]
MOMENTS: Final[tuple[Moment, ...]] = get_args(Moment)


class Hook(msgspec.Struct, frozen=True, eq=False):
    """One event that a moment raises; `payload` was compiled from a map."""

    moment: Moment
    type: str
    payload: Template


def moments_in(key: str) -> tuple[Moment, ...]:
    """The moments that a key names, each once; what is none is left out."""
    named = {each.strip() for each in key.split(",")}
    return tuple(moment for moment in MOMENTS if moment in named)


def compile_hooks(value: JsonValue) -> tuple[Hook, ...]:
    """The events in the order of the document."""
    return tuple(
        Hook(moment, kind, compile_value(event.get("payload") or {}))
        for key, events in _lists(value)
        for moment in moments_in(key)
        for event in events
        if isinstance(event, dict) and isinstance(kind := event.get("type"), str)
    )


def payloads_in(value: JsonValue) -> Iterator[tuple[str, JsonValue]]:
    """The values that are evaluated, each with its place in the task."""
    for key, events in _lists(value):
        for index, event in enumerate(events):
            if isinstance(event, dict):
                yield f"onStateChange.{key}[{index}].payload", event.get("payload")


def _lists(value: JsonValue) -> Iterator[tuple[str, list[JsonValue]]]:
    if isinstance(value, dict):
        for key, events in value.items():
            if isinstance(events, list):
                yield key, events


def hook_problems(place: str, value: JsonValue) -> Iterator[Problem]:
    """What is wrong with an onStateChange, but for the expressions in it."""
    if value is None:
        return
    if not isinstance(value, dict):
        yield Problem(place, f"expected an object of lists of events, found {shown(value)}")
        return
    for key, events in value.items():
        where = f"{place}.{shown(key)}"
        odd = [each for each in key.split(",") if each.strip() not in MOMENTS]
        if odd:
            expected = f"expected {', '.join(MOMENTS)}"
            yield Problem(where, f"{expected} (or some of them, with commas), found {shown(key)}")
        if not isinstance(events, list):
            yield Problem(where, f"expected a list of events, found {shown(events)}")
        elif len(events) > STATE_EVENTS_LIMIT:
            expected = f"expected at most {STATE_EVENTS_LIMIT} events"
            yield Problem(where, f"{expected}, found {len(events)}")
        else:
            for index, event in enumerate(events):
                yield from _event_problems(f"{where}[{index}]", event)


def _event_problems(place: str, event: JsonValue) -> Iterator[Problem]:
    if not isinstance(event, dict):
        yield Problem(place, f"expected an object with type and payload, found {shown(event)}")
        return
    kind, payload = event.get("type"), event.get("payload")
    if isinstance(kind, str):
        yield from check_name(f"{place}.type", kind)
    else:
        yield Problem(f"{place}.type", f"expected a name, found {shown(kind)}")
    if payload is None or isinstance(payload, dict):
        yield from check_depth(f"{place}.payload", payload)
    else:
        yield Problem(f"{place}.payload", f"expected an object, found {shown(payload)}")

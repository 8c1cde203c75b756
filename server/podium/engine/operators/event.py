"""EVENT: says that something happened, on `conductor` or `conductor:<name>` (S-460 to S-465).

What is published is the task's output. With asyncComplete the task waits for an update.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.bind import DYNAMIC
from podium.engine.evaluation import evaluate, evaluate_map
from podium.engine.expression import compile_value
from podium.engine.operators.operator import Operator
from podium.engine.report import ASYNC_COMPLETE, cut
from podium.engine.schedule import (
    draft_task,
    ended,
    shown,
    under_way,
)
from podium.engine.settle import enter, settle_at
from podium.engine.trial import is_trial
from podium.model.execution import TaskStatus
from podium.model.payload import Payload

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import ExecutionHeader, TaskRecord
    from podium.model.payload import JsonObject, JsonValue

EVENT_TYPE: Final = "EVENT"
OWN_SINK: Final = "conductor"


def run(draft: State, place: Place) -> Asking[None]:
    """Record the event; it is COMPLETED at once, or waits, or fails for its sink."""
    task = draft_task(draft, place, EVENT_TYPE, place.node.task.name)
    value = yield from inputs(draft, place, task)
    yield from enter(draft, place, started(draft, place, task, value), value)


def inputs(draft: State, place: Place, task: TaskRecord) -> Asking[JsonObject]:
    """Parameters, sink and asyncComplete (S-460). A DYNAMIC task has its sink among the parameters
    (S-326).
    """
    template = place.node.task
    value = yield from evaluate_map(draft, place.node.template, task_id=task.id, place=place)
    if template.type != DYNAMIC:
        sink = compile_value(template.sink)
        value["sink"] = yield from evaluate(draft, sink, task_id=task.id, place=place)
    given = value.get(ASYNC_COMPLETE)
    value[ASYNC_COMPLETE] = given if isinstance(given, bool) else template.async_complete
    return value


def begin(draft: State, place: Place, task: TaskRecord) -> Asking[None]:
    """The delay of a retry is over."""
    after = draft.put(task, started(draft, place, task, task.input.value))
    if after.status.terminal:
        yield from settle_at(draft, place, after)


def started(draft: State, place: Place, task: TaskRecord, value: JsonObject) -> TaskRecord:
    """The record once the event was produced."""
    sink = value.get("sink")
    produced = event_name(draft.head, task.ref, sink)
    if produced is None:
        reason = (
            "expected sink conductor or conductor:<name>, as there is no message broker,"
            f" found {shown(sink)}"
        )
        output = Payload.of(output_of(draft.head, value, sink))
        return replace(ended(draft, task, TaskStatus.FAILED), output=output, reason=cut(reason))
    output = Payload.of(output_of(draft.head, value, produced))
    if value.get(ASYNC_COMPLETE) is not True and not is_trial(draft.head):
        return replace(ended(draft, task), output=output)
    return replace(under_way(draft, place, task), output=output)


def event_name(header: ExecutionHeader, ref: str, sink: object) -> str | None:
    """The queue an event goes to (S-462); None where Podium has no such provider."""
    if not isinstance(sink, str):
        return None
    provider, _, name = sink.partition(":")
    if provider != OWN_SINK:
        return None
    return f"{OWN_SINK}:{header.name}:{name or ref}"


def output_of(header: ExecutionHeader, value: JsonObject, produced: JsonValue) -> JsonObject:
    """S-461; also of an event that could not be sent (a real server's output says so, too)."""
    return {
        **value,
        "workflowInstanceId": header.id,
        "workflowType": header.name,
        "workflowVersion": header.version,
        "correlationId": header.correlation_id or None,
        "taskToDomain": dict(header.task_to_domain),
        "event_produced": produced,
    }


EVENT: Final = Operator(run, inputs, begin)

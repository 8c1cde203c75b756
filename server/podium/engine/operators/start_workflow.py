"""START_WORKFLOW: starts an execution of its own, which is no child of this one (S-434 to S-438).

The start is an effect of the commit that begins the task, with an id derived from the task: carried
out twice, it starts one execution. The task ends when the relay says how the start went.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from podium.engine.gathering import latest
from podium.engine.identity import child_id
from podium.engine.operators.instant import failed, parameters_without_id
from podium.engine.operators.operator import Operator
from podium.engine.problem import check_name
from podium.engine.report import START_WORKFLOW as START_WORKFLOW_TYPE
from podium.engine.schedule import definition_of, draft_task, start_delay_ms
from podium.engine.secret import INPUT, below, under
from podium.engine.settle import enter, settle_at
from podium.engine.timing import first_deadlines, started_deadlines
from podium.engine.transition import StartChild
from podium.engine.trial import is_trial
from podium.model.execution import ParentLink, TaskStatus
from podium.model.payload import JsonValue, Payload
from podium.model.queue import PRIORITY_MAX

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord
    from podium.model.payload import JsonObject

REQUEST: Final = "startWorkflow"


class Wanted(msgspec.Struct, frozen=True, rename="camel"):
    """The request, as far as the start heeds it; a field that is null counts as left out."""

    name: str | None = None
    version: int | None = None
    input: dict[str, JsonValue] | None = None
    correlation_id: str | None = None
    task_to_domain: dict[str, str] | None = None
    workflow_def: dict[str, JsonValue] | None = None
    priority: int | None = None


def run(draft: State, place: Place) -> Asking[None]:
    """Record the task and start the workflow, or delay that by startDelay (S-253)."""
    delay_ms = start_delay_ms(draft, place)
    task = draft_task(draft, place, START_WORKFLOW_TYPE, place.node.task.name)
    value = yield from parameters_without_id(draft, place, task)
    deadlines = first_deadlines(
        task, definition_of(place, task), now_ms=draft.now_ms, delay_ms=delay_ms
    )
    task = replace(task, deadlines=deadlines, start_delay_ms=delay_ms, callback_after_ms=delay_ms)
    yield from enter(draft, place, task, value)
    entered = latest(draft, task.key)
    if delay_ms == 0 and entered is not None and not entered.status.terminal:
        yield from begin(draft, place, entered)


def begin(draft: State, place: Place, task: TaskRecord) -> Asking[None]:
    """The delay is over: the start goes on its way, or the request is no good."""
    wanted = wanted_of(task.input.value)
    if isinstance(wanted, str):
        yield from settle_at(draft, place, draft.put(task, failed(draft, task, wanted)))
        return
    if not is_trial(draft.head):
        draft.effects.append(start_of(draft, task, wanted))
    now_ms = draft.now_ms
    begun = replace(task, status=TaskStatus.IN_PROGRESS, start_ms=now_ms, update_ms=now_ms)
    deadlines = started_deadlines(begun, definition_of(place, task), now_ms)
    draft.put(task, replace(begun, deadlines=deadlines))


def wanted_of(value: JsonObject) -> Wanted | str:
    """The request of a task's input, or what is wrong with it."""
    given = value.get(REQUEST)
    if given is None:
        return f"Missing '{REQUEST}' in input data."
    try:
        wanted = msgspec.convert(given, Wanted)
    except msgspec.ValidationError as error:
        _, _, where = str(error).partition("`$")
        place = REQUEST + where.rstrip("`")
        return (
            f"Error reading StartWorkflowRequest. {place}: expected a value of the field's type,"
            " found another"
        )
    faults = "".join(f"'{place}' -> {message}. " for place, message in faults_of(wanted))
    return f"{REQUEST} validation failed. {faults}" if faults else wanted


def faults_of(wanted: Wanted) -> list[tuple[str, str]]:
    """Constraints that the request breaks, as (place, message)."""
    faults: list[tuple[str, str]] = []
    if wanted.workflow_def is None:
        faults += [(each.place, each.message) for each in check_name("name", wanted.name or "")]
    if (wanted.version or 0) < 0:
        faults.append(("version", f"expected 0 (the latest) or more, found {wanted.version}"))
    if not 0 <= (wanted.priority or 0) <= PRIORITY_MAX:
        faults.append(("priority", f"expected 0 to {PRIORITY_MAX}, found {wanted.priority}"))
    return faults


def start_of(draft: State, task: TaskRecord, wanted: Wanted) -> StartChild:
    """The start; domains and correlation id are this execution's where none are given (S-435)."""
    header = draft.head
    correlation_id = wanted.correlation_id or ""
    inline = wanted.workflow_def
    return StartChild(
        workflow_id=child_id(task.id, task.run_epoch),
        name=wanted.name or "",
        version=wanted.version or None,
        definition=None if inline is None else msgspec.json.encode(inline),
        input=Payload.of(wanted.input or {}),
        correlation_id=correlation_id if correlation_id.strip() else header.correlation_id,
        priority=wanted.priority or 0,
        task_to_domain=wanted.task_to_domain or header.task_to_domain,
        starter=ParentLink(workflow_id=header.id, task_id=task.id, run_epoch=task.run_epoch),
        secrets=tuple(below(INPUT, under((REQUEST, INPUT), task.secrets))),
        trace_parent=header.trace_parent,
        trace_state=header.trace_state,
    )


START_WORKFLOW: Final = Operator(run, parameters_without_id, begin)

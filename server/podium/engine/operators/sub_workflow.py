"""SUB_WORKFLOW: starts a child execution and waits for its report.

The child's id is derived from the task, so a start that is carried out twice starts one child. The
task is IN_PROGRESS as soon as it is not delayed; the start itself is an effect of the same commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from podium.engine.bind import DYNAMIC
from podium.engine.evaluation import evaluate, evaluate_map
from podium.engine.gathering import latest
from podium.engine.identity import child_id
from podium.engine.limits import DEPTH_LIMIT
from podium.engine.operators.operator import Operator
from podium.engine.schedule import (
    EndExecution,
    definition_of,
    draft_task,
    failed_at_once,
    start_delay_ms,
)
from podium.engine.secret import INPUT, below, under
from podium.engine.settle import enter, settle_at
from podium.engine.timing import first_deadlines, started_deadlines
from podium.engine.transition import StartChild
from podium.engine.trial import is_trial
from podium.model.execution import ParentLink, TaskStatus
from podium.model.payload import EMPTY, Payload
from podium.model.queue import PRIORITY_MAX

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import ExecutionHeader, TaskRecord
    from podium.model.payload import JsonObject, JsonValue

SUB_WORKFLOW_TYPE: Final = "SUB_WORKFLOW"
ID_KEY: Final = "subWorkflowId"
INPUT_KEY: Final = "workflowInput"


def run(draft: State, place: Place) -> Asking[None]:
    """Record the task and start its child, or delay that by startDelay."""
    delay_ms = start_delay_ms(draft, place)
    template = place.node.task
    task = draft_task(draft, place, SUB_WORKFLOW_TYPE, template.name)
    value = yield from inputs(draft, place, task)
    now_ms, task_def = draft.now_ms, definition_of(place, task)
    deadlines = first_deadlines(task, task_def, now_ms=now_ms, delay_ms=delay_ms)
    task = replace(task, deadlines=deadlines, start_delay_ms=delay_ms, callback_after_ms=delay_ms)
    yield from enter(draft, place, task, value)
    entered = latest(draft, task.key)
    if delay_ms == 0 and entered is not None and not entered.status.terminal:
        yield from begin(draft, place, entered)


def inputs(draft: State, place: Place, task: TaskRecord) -> Asking[JsonObject]:
    """S-415, S-419; no task id is at hand (S-516). The parameters of a DYNAMIC task are this input
    themselves (S-326).
    """
    params, template = place.node.task.sub_workflow_param, place.node.params
    dynamic = place.node.task.type == DYNAMIC
    where = () if dynamic else (INPUT_KEY,)
    value = yield from evaluate_map(draft, place.node.template, place=place, under=where)
    if dynamic:
        given = value
    elif params is None or template is None:
        raise EndExecution(f"expected subWorkflowParam at {task.ref}, found none")
    else:
        evaluated = yield from evaluate(draft, template, place=place)
        assert isinstance(evaluated, dict), evaluated
        given = dict(evaluated)
        if isinstance(params.workflow_definition, dict):  # as it is, its expressions are its own
            given["subWorkflowDefinition"] = params.workflow_definition
        given[INPUT_KEY] = value
    definition = given.get("subWorkflowDefinition")
    if isinstance(definition, dict):
        given["subWorkflowName"] = definition.get("name")
        given["subWorkflowVersion"] = definition.get("version", 1)
    if not isinstance(given.get("subWorkflowName"), str):
        raise EndExecution(
            f"expected the name of a workflow for {task.ref}, found {given.get('subWorkflowName')}"
        )
    return given


def begin(draft: State, place: Place, task: TaskRecord) -> Asking[None]:
    """The delay is over."""
    after = draft.put(task, started(draft, place, task, task.input.value))
    if after.status.terminal:
        yield from settle_at(draft, place, after)


def started(draft: State, place: Place, task: TaskRecord, value: JsonObject) -> TaskRecord:
    """IN_PROGRESS with its child on the way, or failed where children would be too deep."""
    depth = draft.head.depth + 1
    if depth > DEPTH_LIMIT:
        return failed_at_once(
            draft, task, f"expected sub-workflows at most {DEPTH_LIMIT} deep, found {depth}"
        )
    child = child_id(task.id, task.run_epoch)
    draft.effects.append(start_of(draft, task, value, child))
    now_ms = draft.now_ms
    task = replace(
        task,
        status=TaskStatus.IN_PROGRESS,
        start_ms=now_ms,
        update_ms=now_ms,
        sub_workflow_id=child,
        output=Payload.of({ID_KEY: child}),
    )
    return replace(task, deadlines=started_deadlines(task, definition_of(place, task), now_ms))


def start_of(draft: State, task: TaskRecord, value: JsonObject, child: str) -> StartChild:
    """The start of the child (S-420 to S-423)."""
    header = draft.head
    definition = value.get("subWorkflowDefinition")
    given = value.get(INPUT_KEY)
    payload = Payload.of(given) if isinstance(given, dict) else EMPTY
    inline = None
    if isinstance(definition, dict):
        inline = msgspec.json.encode(definition)
        payload = Payload.of({**payload.value, "_systemMetadata": {"dynamic": True}})
    domains = value.get("subWorkflowTaskToDomain")
    return StartChild(
        workflow_id=child,
        name=str(value.get("subWorkflowName")),
        version=version_of(value.get("subWorkflowVersion")),
        definition=inline,
        input=payload,
        correlation_id=header.correlation_id,
        priority=priority_of(value.get("priority")),
        task_to_domain=domains_for(header, domains),
        parent=ParentLink(
            workflow_id=header.id,
            task_id=task.id,
            run_epoch=task.run_epoch,
            depth=header.depth + 1,
        ),
        secrets=tuple(below(INPUT, under((INPUT_KEY,), task.secrets))),
        trace_parent=header.trace_parent,
        trace_state=header.trace_state,
    )


def version_of(value: JsonValue) -> int | None:
    """The version, None for the latest; 0 means the latest too (S-421)."""
    return value if isinstance(value, int) and value else None


def priority_of(value: JsonValue) -> int:
    """A number given is taken within 0..99; it is not inherited (S-423)."""
    return min(max(value, 0), PRIORITY_MAX) if isinstance(value, int) else 0


def domains_for(header: ExecutionHeader, given: JsonValue) -> dict[str, str]:
    """Those of the parameters, or the parent's; the children of a trial stay in it."""
    if is_trial(header):
        return header.task_to_domain
    return domains_of(given) or header.task_to_domain


def domains_of(value: JsonValue) -> dict[str, str]:
    """The entries of a domain map that are text."""
    if not isinstance(value, dict):
        return {}
    return {key: each for key, each in value.items() if isinstance(each, str)}


SUB_WORKFLOW: Final = Operator(run, inputs, begin)

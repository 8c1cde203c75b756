"""DYNAMIC: a task whose name is a value of its input: a worker's, or a type that only needs that.

The task definition is the one attached to the DYNAMIC task, else the registered one of the task it
turns out to be (S-324 describes Conductor's, which then never retries).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.bind import ad_hoc
from podium.engine.caching import answered
from podium.engine.evaluation import evaluate_map
from podium.engine.operators.event import EVENT
from podium.engine.operators.inline import INLINE, LAMBDA
from podium.engine.operators.jq import JQ
from podium.engine.operators.noop import NOOP
from podium.engine.operators.operator import Operator
from podium.engine.operators.pull_messages import PULL_MESSAGES
from podium.engine.operators.queued import HTTP, SIMPLE, inputs
from podium.engine.operators.set_variable import SET_VARIABLE
from podium.engine.operators.start_workflow import START_WORKFLOW
from podium.engine.operators.sub_workflow import SUB_WORKFLOW
from podium.engine.operators.terminate import TERMINATE
from podium.engine.operators.wait import HUMAN, WAIT
from podium.engine.schedule import (
    EndExecution,
    draft_task,
    queued,
    shown,
    start_delay_ms,
    want_domains,
)
from podium.engine.settle import enter
from podium.engine.transition import FetchTaskDefs
from podium.engine.validate_operators import TYPES_NOT_BUILT

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.definition import TaskDef

BY_NAME: Final[dict[str, Operator]] = {
    "EVENT": EVENT,
    "HUMAN": HUMAN,
    "INLINE": INLINE,
    "JSON_JQ_TRANSFORM": JQ,
    "LAMBDA": LAMBDA,
    "NOOP": NOOP,
    "PULL_WORKFLOW_MESSAGES": PULL_MESSAGES,
    "SET_VARIABLE": SET_VARIABLE,
    "START_WORKFLOW": START_WORKFLOW,
    "SUB_WORKFLOW": SUB_WORKFLOW,
    "TERMINATE": TERMINATE,
    "WAIT": WAIT,
}
"""Types that need nothing but an input, which run where their name is given (S-326)."""
NEVER_BY_NAME: Final = TYPES_NOT_BUILT | {
    "DECISION", "DO_WHILE", "DYNAMIC", "EXCLUSIVE_JOIN", "FORK", "FORK_JOIN", "FORK_JOIN_DYNAMIC",
    "JOIN", "SWITCH",
}  # fmt: skip
"""Types that need branches, members or a body, which a DYNAMIC task has not."""


def run(draft: State, place: Place) -> Asking[None]:
    """Find the name and its definition, and run what has that name (S-323, S-326)."""
    template = place.node.task
    value = yield from evaluate_map(draft, place.node.template, place=place)
    name = value.get(template.dynamic_task_name_param or "")
    if not isinstance(name, str) or not name:
        raise EndExecution(
            "Cannot map a dynamic task based on the parameter and input. Parameter="
            f" {template.dynamic_task_name_param}, input= {shown(value)}"
        )
    if name in NEVER_BY_NAME:
        raise EndExecution(
            "expected the name of a worker's task, or of a type that needs only an input, for"
            f" {place.node.ref}, found {name}"
        )
    found = None if place.node.task_def is not None else (yield from registered(name))
    if name in BY_NAME:
        node = replace(place.node, task=replace(template, name=name))
        yield from BY_NAME[name].run(draft, replace(place, node=node, task_def=found))
        return
    yield from run_queued(draft, place, name, found or place.node.task_def)


def run_queued(draft: State, place: Place, name: str, task_def: TaskDef | None) -> Asking[None]:
    """Queue the task under its name."""
    delay_ms = start_delay_ms(draft, place)
    task = draft_task(draft, place, name, name)
    if draft.head.task_to_domain:
        yield from want_domains(draft, task.task_type)
    task = queued(draft, place, task, task_def=task_def, delay_ms=delay_ms)
    value = yield from inputs(draft, place, task)
    if place.node.cache is not None:
        task = yield from answered(draft, place, task, value)
    yield from enter(draft, place, task, value)


def registered(name: str) -> Asking[TaskDef]:
    """The registered definition of the task, or one made for the occasion."""
    answer = yield FetchTaskDefs((name,))
    assert isinstance(answer, dict), answer
    worker = name != HTTP and name not in BY_NAME
    return answer.get(name) or ad_hoc(name, SIMPLE if worker else name)


DYNAMIC: Final = Operator(run, inputs)

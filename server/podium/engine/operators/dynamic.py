"""DYNAMIC: a queued task whose name is a value of its input.

The task definition is the one attached to the DYNAMIC task, else the registered one of the task it
turns out to be (S-324 describes Conductor's, which then never retries).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.engine.bind import ad_hoc
from podium.engine.caching import answered
from podium.engine.evaluation import evaluate_map
from podium.engine.operators.operator import Operator
from podium.engine.operators.queued import HTTP, SIMPLE, inputs
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

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.definition import TaskDef

OPERATORS_BY_NAME: Final = frozenset(
    {
        "DECISION",
        "DO_WHILE",
        "DYNAMIC",
        "EVENT",
        "EXCLUSIVE_JOIN",
        "FORK",
        "FORK_JOIN",
        "FORK_JOIN_DYNAMIC",
        "INLINE",
        "JOIN",
        "JSON_JQ_TRANSFORM",
        "LAMBDA",
        "NOOP",
        "SET_VARIABLE",
        "START_WORKFLOW",
        "SUB_WORKFLOW",
        "SWITCH",
        "TERMINATE",
    }
)


def run(draft: State, place: Place) -> Asking[None]:
    """Find the name, its definition, and queue the task under it (S-323, S-326)."""
    template, delay_ms = place.node.task, start_delay_ms(draft, place)
    value = yield from evaluate_map(draft, place.node.template, place=place)
    name = value.get(template.dynamic_task_name_param or "")
    if not isinstance(name, str) or not name:
        raise EndExecution(
            "Cannot map a dynamic task based on the parameter and input. Parameter="
            f" {template.dynamic_task_name_param}, input= {shown(value)}"
        )
    if name in OPERATORS_BY_NAME:
        raise EndExecution(
            f"expected the name of a worker's task for {place.node.ref}, found {name}"
        )
    task_def = place.node.task_def
    if task_def is None:
        task_def = yield from registered(name)
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
    return answer.get(name) or ad_hoc(name, HTTP if name == HTTP else SIMPLE)


DYNAMIC: Final = Operator(run, inputs)

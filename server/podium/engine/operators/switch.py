"""SWITCH and DECISION: an input value, or a script's, chooses which tasks come next.

Both are COMPLETED as soon as they exist; the first task of the chosen case follows in the same
decision, or, where the case is empty, what comes after the choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.evaluation import evaluate_map
from podium.engine.graph import NONE
from podium.engine.identity import task_id, task_key
from podium.engine.java_text import java_text
from podium.engine.operators.instant import evaluated, failed, text_of
from podium.engine.operators.operator import Operator
from podium.engine.schedule import EndExecution, draft_task, ended, shown
from podium.engine.script import SCRIPTS, VALUE_PARAM
from podium.engine.settle import choose
from podium.model.payload import Payload

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.payload import JsonObject

HAS_CHILDREN: Final = "hasChildren"


def run_switch(draft: State, place: Place) -> Asking[None]:
    """S-328 to S-335: a case that is present is taken also when it is empty."""
    node = place.node
    kind, expression = node.task.evaluator_type, node.task.expression or ""
    value = yield from evaluate_map(draft, node.template, place=place)
    if kind == VALUE_PARAM:
        chosen = java_text(value.get(expression))
    elif kind in SCRIPTS:
        found = yield from evaluated(draft, "javascript", expression, value, seed_of(draft, place))
        if found.error:
            yield from fail_switch(draft, place, value, found.error)
            return
        chosen = java_text(found.value)
    else:
        raise EndExecution(f"No evaluator registered for type: {kind}")
    first = node.cases.get(chosen, node.default)
    output: JsonObject = {"evaluationResult": [chosen], "selectedCase": chosen}
    yield from take(draft, place, {**value, "case": chosen}, output, first=first)


def run_decision(draft: State, place: Place) -> Asking[None]:
    """S-339 to S-342: an empty case counts as absent; parameters are not stored."""
    node = place.node
    value = yield from evaluate_map(draft, node.template, place=place)
    script = text_of(node.task.case_expression)
    if script:
        found = yield from evaluated(draft, "javascript", script, value, seed_of(draft, place))
        if found.error:
            raise EndExecution(f"Error while evaluating script: {shown(script)}: {found.error}")
        chosen = java_text(found.value)
    else:
        chosen = java_text(value.get(node.task.case_value_param or ""))
    first = node.cases.get(chosen, NONE)
    if first == NONE:
        first = node.default
    yield from take(draft, place, {"case": chosen}, {"caseOutput": [chosen]}, first=first)


def seed_of(draft: State, place: Place) -> str:
    """The id of the choice's task, which a script's chance is made of."""
    return task_id(draft.workflow_id, task_key(place.node.ref, place.iteration), 0)


def fail_switch(draft: State, place: Place, value: JsonObject, reason: str) -> Asking[None]:
    """S-334: the choice failed; it is not tried again."""
    task = draft_task(draft, place, place.node.task.type, place.node.task.type)
    yield from choose(draft, place, failed(draft, task, reason), value, first=NONE)


def take(
    draft: State, place: Place, input_: JsonObject, output: JsonObject, *, first: int
) -> Asking[None]:
    """Record the choice and go on with the node `first`, or after the choice."""
    if first != NONE:
        input_[HAS_CHILDREN] = "true"
    task_type = place.node.task.type
    task = ended(draft, draft_task(draft, place, task_type, task_type))
    yield from choose(draft, place, replace(task, output=Payload.of(output)), input_, first=first)


SWITCH: Final = Operator(run_switch)
DECISION: Final = Operator(run_decision)

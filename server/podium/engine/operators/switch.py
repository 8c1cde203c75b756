"""SWITCH and DECISION: an input value chooses which tasks come next.

Both are COMPLETED as soon as they exist; the first task of the chosen case follows in the same
decision, or, where the case is empty, what comes after the choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.evaluation import evaluate_map
from podium.engine.graph import NONE
from podium.engine.java_text import java_text
from podium.engine.operators.operator import Operator
from podium.engine.schedule import EndExecution, draft_task, ended
from podium.engine.settle import choose
from podium.model.payload import Payload

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.payload import JsonObject

VALUE_PARAM: Final = "value-param"
HAS_CHILDREN: Final = "hasChildren"


def run_switch(draft: State, place: Place) -> Asking[None]:
    """S-328 to S-335: a case that is present is taken also when it is empty."""
    node = place.node
    if node.task.evaluator_type != VALUE_PARAM:
        raise EndExecution(
            f"expected evaluatorType value-param, found {node.task.evaluator_type} at {node.ref}"
        )
    value = yield from evaluate_map(draft, node.template)
    chosen = java_text(value.get(node.task.expression or ""))
    first = node.cases.get(chosen, node.default)
    output: JsonObject = {"evaluationResult": [chosen], "selectedCase": chosen}
    yield from take(draft, place, {**value, "case": chosen}, output, first=first)


def run_decision(draft: State, place: Place) -> Asking[None]:
    """S-339 to S-342: an empty case counts as absent; parameters are not stored."""
    node = place.node
    if node.task.case_expression and node.task.case_expression.strip():
        raise EndExecution(f"expected caseValueParam, found a script at {node.ref} (not built yet)")
    value = yield from evaluate_map(draft, node.template)
    chosen = java_text(value.get(node.task.case_value_param or ""))
    first = node.cases.get(chosen, NONE)
    if first == NONE:
        first = node.default
    yield from take(draft, place, {"case": chosen}, {"caseOutput": [chosen]}, first=first)


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

"""DO_WHILE: its body again and again, while a condition holds or items are left (S-393 to S-414).

The record is IN_PROGRESS until the loop is over and tells the present iteration; a counter tells
how many tasks of that are open. What is decided between two iterations is in loops.py. Tasks of the
body are records of their own, with the iteration in their keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.evaluation import evaluate, evaluate_map
from podium.engine.expression import compile_value
from podium.engine.gathering import ITERATION, latest
from podium.engine.graph import LOOP, NONE
from podium.engine.operators.operator import Operator
from podium.engine.schedule import (
    EndExecution,
    draft_task,
    ended,
    under_way,
)
from podium.engine.settle import enter
from podium.engine.work import Step
from podium.model.execution import JoinRecord
from podium.model.payload import Payload

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.payload import JsonObject, JsonValue

ITEMS: Final = "_items"


def run(draft: State, place: Place) -> Asking[None]:
    """Record the loop and begin its first iteration; a list of no items ends it at once (S-404)."""
    node = place.node
    if node.body == NONE:
        raise EndExecution(f"expected tasks in loopOver of {node.ref}, found none")
    task = draft_task(draft, place, LOOP, node.task.name)
    value = yield from evaluate_map(draft, node.template, place=place)
    items = yield from items_of(draft, place, value)
    if items is not None and not items:
        done = replace(ended(draft, task), output=Payload.of({ITERATION: 0}))
        yield from enter(draft, place, done, value)
        return
    task = replace(under_way(draft, place, task), output=Payload.of(progress(1, items)))
    draft.joins.changed[task.key] = JoinRecord(key=task.key, open_count=0, loop=True)
    yield from enter(draft, place, task, value)
    entered = latest(draft, task.key)
    if entered is not None and not entered.status.terminal:
        draft.now.append(Step("run", node.body, place.branch, (*place.iteration, 1)))


def items_of(draft: State, place: Place, value: JsonObject) -> Asking[list[JsonValue] | None]:
    """The list to go through; None = the loop has none. One value is a list of it (S-403)."""
    if place.node.task.items is not None:
        found = yield from evaluate(draft, compile_value(place.node.task.items), place=place)
    elif ITEMS in value:
        found = value[ITEMS]
    else:
        return None
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def progress(number: int, items: list[JsonValue] | None) -> JsonObject:
    """The loop's own output in its iteration `number` (S-405)."""
    if items is None:
        return {ITERATION: number}
    return {ITERATION: number, "loopIndex": number - 1, "loopItem": items[number - 1]}


DO_WHILE: Final = Operator(run)

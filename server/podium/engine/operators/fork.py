"""FORK_JOIN: the first task of each branch, then the JOIN, all in one pass (S-352)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.engine.evaluation import evaluate_map
from podium.engine.gathering import latest
from podium.engine.graph import NONE
from podium.engine.operators.operator import Operator
from podium.engine.schedule import EndExecution, draft_task, ended
from podium.engine.settle import enter
from podium.engine.work import Step
from podium.model.execution import TaskStatus

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord
    from podium.model.payload import JsonObject

FORK_TYPE: Final = "FORK"


def run(draft: State, place: Place) -> Asking[None]:
    """Record the fork and put its branches and its join on the stack."""
    node = place.node
    if node.join == NONE:
        raise EndExecution(
            "Fork task definition is not followed by a join task.  Check the blueprint"
        )
    value = yield from evaluate_map(draft, node.template, place=place)
    yield from enter_fork(draft, place, value)
    first = [branch for branch in node.branches if branch != NONE]
    for index in reversed([*first, node.join]):
        draft.now.append(Step("run", index, place.branch, place.iteration))


def enter_fork(draft: State, place: Place, value: JsonObject) -> Asking[TaskRecord]:
    """The record of a fork, COMPLETED. A failed one is not forgiven: nothing leads on from it."""
    task = ended(draft, draft_task(draft, place, FORK_TYPE, FORK_TYPE))
    yield from enter(draft, place, task, value)
    entered = latest(draft, task.key)
    assert entered is not None, task.id
    if entered.status is not TaskStatus.COMPLETED:
        raise EndExecution(entered.reason or "the fork failed", task=entered)
    return entered


FORK: Final = Operator(run)

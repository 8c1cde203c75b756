"""TERMINATE: ends the whole execution, from wherever it stands (S-468 to S-470)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.evaluation import evaluate_map
from podium.engine.operators.operator import Operator
from podium.engine.schedule import draft_task, ended
from podium.engine.settle import TERMINATE as TERMINATE_TYPE
from podium.engine.settle import enter
from podium.model.execution import TaskStatus
from podium.model.payload import EMPTY, Payload

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State

STATUSES: Final = frozenset({"COMPLETED", "FAILED", "TERMINATED"})


def run(draft: State, place: Place) -> Asking[None]:
    """Record how the execution is to end; it ends when this pass is over."""
    task = draft_task(draft, place, TERMINATE_TYPE, TERMINATE_TYPE)
    value = yield from evaluate_map(draft, place.node.template, task_id=task.id)
    if str(value.get("terminationStatus")) not in STATUSES:
        failed = ended(draft, task, TaskStatus.FAILED)
        reason = "given termination status is not valid"
        yield from enter(draft, place, replace(failed, reason=reason), value)
        return
    given = value.get("workflowOutput")
    output = EMPTY
    if isinstance(given, dict):
        output = Payload.of(given)
    elif given is not None:
        output = Payload.of({"output": given})
    yield from enter(draft, place, replace(ended(draft, task), output=output), value)


TERMINATE: Final = Operator(run)

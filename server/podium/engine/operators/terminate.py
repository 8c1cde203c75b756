"""TERMINATE: ends the whole execution, from wherever it stands (S-468 to S-470)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.operators.instant import failed, instant, parameters
from podium.engine.schedule import ended
from podium.engine.settle import TERMINATE as TERMINATE_TYPE
from podium.model.payload import EMPTY, Payload

if TYPE_CHECKING:
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord
    from podium.model.payload import JsonObject

STATUSES: Final = frozenset({"COMPLETED", "FAILED", "TERMINATED"})


def work(draft: State, task: TaskRecord, value: JsonObject) -> Asking[TaskRecord]:
    """Record how the execution is to end; it ends when this pass is over."""
    if str(value.get("terminationStatus")) not in STATUSES:
        return failed(draft, task, "given termination status is not valid")
    given = value.get("workflowOutput")
    output = EMPTY
    if isinstance(given, dict):
        output = Payload.of(given)
    elif given is not None:
        output = Payload.of({"output": given})
    return replace(ended(draft, task), output=output)
    yield  # a part of a decision is a generator also where it asks nothing


TERMINATE: Final = instant(TERMINATE_TYPE, work, parameters, def_name=TERMINATE_TYPE)

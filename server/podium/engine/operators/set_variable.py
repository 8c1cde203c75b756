"""SET_VARIABLE: puts each entry of its input into the workflow's variables (S-471 to S-473).

Variables are a payload of the execution and change in the commit that completes the task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.engine.limits import VARIABLES_BYTES_LIMIT
from podium.engine.operators.instant import failed, instant, parameters_without_id
from podium.engine.schedule import ended
from podium.engine.signalling import note_variables
from podium.engine.state import payload, want_payloads
from podium.model.execution import TaskStatus
from podium.model.payload import Payload

if TYPE_CHECKING:
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord
    from podium.model.payload import JsonObject

KIB: Final = 1024


def work(draft: State, task: TaskRecord, value: JsonObject) -> Asking[TaskRecord]:
    """COMPLETED with the variables set, or failed with the sizes and none of them set."""
    yield from want_payloads(draft)
    variables = Payload.of({**payload(draft.variables).value, **value})
    if len(variables) > VARIABLES_BYTES_LIMIT:
        reason = (
            f"The variables payload size: {len(variables)} of workflow: {draft.workflow_id} is"
            f" greater than the permissible limit: {VARIABLES_BYTES_LIMIT // KIB} kilobytes"
        )
        return failed(draft, task, reason, TaskStatus.FAILED_WITH_TERMINAL_ERROR)
    draft.variables = variables
    note_variables(draft, value, task.secrets)
    return ended(draft, task)


SET_VARIABLE: Final = instant("SET_VARIABLE", work, parameters_without_id)

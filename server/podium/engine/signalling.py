"""What comes from outside to an execution that waits: signals and variables (S-174, S-457)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.command import Outcome, Rejected, ReportResult, Signal, UpdateVariables, Verdict
from podium.engine.lifecycle import require_state
from podium.engine.limits import VARIABLES_BYTES_LIMIT
from podium.engine.pausing import waiting_for
from podium.engine.report import report_result
from podium.engine.secret import VARIABLES, below
from podium.engine.state import payload, want_all, want_payloads
from podium.model.payload import Payload

if TYPE_CHECKING:
    from podium.engine.state import Asking, State
    from podium.model.execution import SecretMark
    from podium.model.payload import JsonObject

WAIT: Final = "WAIT"


def signal(draft: State, command: Signal) -> Asking[Outcome]:
    """End the first WAIT that is open; NOOP without a task where there is none. A HUMAN is never
    meant.
    """
    require_state(draft.head, "Signal")
    yield from want_all(draft)
    waiting = waiting_for(draft, lambda task: task.task_type == WAIT and not task.status.terminal)
    if not waiting:
        return Outcome(Verdict.NOOP)
    report = ReportResult(
        task_id=waiting[0].id,
        status=command.status,
        output=command.output,
        reason=command.reason,
    )
    return (yield from report_result(draft, report))


def update_variables(draft: State, command: UpdateVariables) -> Asking[Outcome]:
    """Set these entries, all or none."""
    require_state(draft.head, "UpdateVariables")
    yield from want_payloads(draft)
    variables = Payload.of({**payload(draft.variables).value, **command.variables.value})
    if len(variables) > VARIABLES_BYTES_LIMIT:
        raise Rejected(
            "INVALID_ARGUMENT",
            f"variables: expected at most {VARIABLES_BYTES_LIMIT} bytes in all as JSON,"
            f" found {len(variables)}",
        )
    draft.variables = variables
    note_variables(draft, command.variables.value, ())
    return Outcome(Verdict.OK)


def note_variables(draft: State, value: JsonObject, marks: tuple[SecretMark, ...]) -> None:
    """Those of `value` are set: of them, only what `marks` say names secrets."""
    known = draft.head.secrets
    kept = [mark for mark in known if mark.path[0] != VARIABLES or mark.path[1] not in value]
    if marks or len(kept) < len(known):
        secrets = (*kept, *below(VARIABLES, marks))
        draft.header = replace(draft.head, secrets=secrets)

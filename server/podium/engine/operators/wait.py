"""WAIT and HUMAN: tasks that time, or somebody outside, ends (S-452 to S-459).

Both are IN_PROGRESS from the start and no worker takes them: an update of the task ends them. A
WAIT with a duration or an instant has a deadline for it, and costs nothing until that is due.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.operators.instant import failed, parameters
from podium.engine.operators.operator import Operator
from podium.engine.schedule import (
    draft_task,
    ended,
    shown,
    under_way,
)
from podium.engine.settle import enter, settle_at
from podium.engine.timing import MS, armed
from podium.engine.wait_text import DURATION_FORM, SECONDS_MAX, duration_ms, instant_ms
from podium.model.execution import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord
    from podium.model.payload import JsonObject, JsonValue

    Work = Callable[[State, Place, TaskRecord, JsonObject], TaskRecord]

FOR_EVER_MS: Final = SECONDS_MAX * MS
"""What callbackAfterSeconds says of a WAIT that only an update ends (S-455)."""
BOTH: Final = "Both 'duration' and 'until' specified. Please provide only one input"


class Unsound(Exception):
    """The text of a duration or an instant that is none."""


def work_wait(draft: State, place: Place, task: TaskRecord, value: JsonObject) -> TaskRecord:
    """Waiting, over already, or failed: what is wrong in the input stays wrong (S-454)."""
    try:
        wait_ms = wait_of(value, draft.now_ms)
    except Unsound as unsound:
        return failed(draft, task, str(unsound), TaskStatus.FAILED_WITH_TERMINAL_ERROR)
    if wait_ms is None:
        return replace(under_way(draft, place, task), callback_after_ms=FOR_EVER_MS)
    if wait_ms <= 0:
        return ended(draft, task)
    task = replace(under_way(draft, place, task), callback_after_ms=wait_ms)
    deadlines = armed(task.deadlines, task.id, "wait", draft.now_ms + wait_ms)
    return replace(task, deadlines=deadlines)


def work_human(draft: State, place: Place, task: TaskRecord, value: JsonObject) -> TaskRecord:
    """Waiting for somebody, whatever the input says."""
    del value
    return under_way(draft, place, task)


def wait_of(value: JsonObject, now_ms: int) -> int | None:
    """How long to wait; None = until an update comes. Raises Unsound."""
    duration, until = value.get("duration"), value.get("until")
    if given(duration) and given(until):
        raise Unsound(BOTH)
    if given(duration):
        found = duration_ms(duration) if isinstance(duration, str) else None
        if found is None:
            raise Unsound(
                f"expected a duration of the form {DURATION_FORM}, found {shown(duration)}"
            )
        return found
    if given(until):
        at_ms = instant_ms(until) if isinstance(until, str) else None
        if at_ms is None:
            raise Unsound(f"Invalid/Unsupported Wait Until format.  Provided: {shown(until)}")
        return at_ms - now_ms
    return None


def given(value: JsonValue) -> bool:
    """Blank text counts as nothing."""
    return bool(value.strip()) if isinstance(value, str) else value is not None


def outside(task_type: str, work: Work) -> Operator:
    """The operator of a type whose attempts begin with `work`."""

    def run(draft: State, place: Place) -> Asking[None]:
        task = draft_task(draft, place, task_type, place.node.task.name)
        value = yield from parameters(draft, place, task)
        yield from enter(draft, place, work(draft, place, task, value), value)

    def begin(draft: State, place: Place, task: TaskRecord) -> Asking[None]:
        now = replace(task, update_ms=draft.now_ms)
        begun = draft.put(task, work(draft, place, now, task.input.value))
        if begun.status.terminal:
            yield from settle_at(draft, place, begun)

    return Operator(run, parameters, begin)


WAIT: Final = outside("WAIT", work_wait)
HUMAN: Final = outside("HUMAN", work_human)

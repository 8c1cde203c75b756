"""How causes name tasks, and what they look up in records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.app.cause import NamedTask
from podium.engine.identity import reference_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium.engine.open_tasks import Missing
    from podium.model.execution import HistoryRow, TaskRecord
    from podium.model.queue import DeadlineKind


def at_of(task: TaskRecord, kind: DeadlineKind) -> int:
    """When a deadline of this kind is due; 0 = there is none."""
    return next((each.at_ms for each in task.deadlines if each.kind == kind), 0)


def ref_of(task: TaskRecord) -> str:
    """As clients see it."""
    return reference_in(task.ref, task.iteration)


def named(task: TaskRecord) -> NamedTask:
    """The task as causes name it."""
    return NamedTask(ref_of(task), task.id, task.task_type, task.status.value)


def named_missing(missing: Missing) -> NamedTask:
    """A member of a join."""
    return NamedTask(missing.ref) if missing.task is None else named(missing.task)


def last_row(history: Iterable[HistoryRow], command: str) -> HistoryRow | None:
    """The newest row that decided a command of this name."""
    found = None
    for row in history:
        if command in row.commands:
            found = row
    return found

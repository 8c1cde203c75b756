"""NOOP: does nothing, at once (S-484)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.engine.operators.instant import instant
from podium.engine.schedule import ended

if TYPE_CHECKING:
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord
    from podium.model.payload import JsonObject


def work(draft: State, task: TaskRecord, value: JsonObject) -> Asking[TaskRecord]:
    """COMPLETED without an output."""
    del value
    return ended(draft, task)
    yield  # a part of a decision is a generator also where it asks nothing


NOOP: Final = instant("NOOP", work)

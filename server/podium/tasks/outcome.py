"""How a run of a system task ended: what every task of this folder answers with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from podium.model.payload import JsonObject

TaskStatus: TypeAlias = Literal["COMPLETED", "IN_PROGRESS", "FAILED", "FAILED_WITH_TERMINAL_ERROR"]


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """`reason` (<= 500 characters) is None unless it failed; `callback_after_ms` > 0 = it is to be
    called again (runtime/local.py, Ran).
    """

    status: TaskStatus
    output: JsonObject
    reason: str | None = None
    callback_after_ms: int = 0

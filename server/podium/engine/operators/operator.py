"""The shape of an operator, which every file of this folder fills and table.py registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord
    from podium.model.payload import JsonObject

Run: TypeAlias = "Callable[[State, Place], Asking[None]]"
Inputs: TypeAlias = "Callable[[State, Place, TaskRecord], Asking[JsonObject]]"
Begin: TypeAlias = "Callable[[State, Place, TaskRecord], Asking[None]]"


class Operator(msgspec.Struct, frozen=True):
    """How a task type is scheduled.

    `run` makes the record and what comes with it. `inputs` evaluates the input of an attempt, for
    types that are retried. `begin` starts a stored, SCHEDULED task that no worker takes, now that
    its delay is over.
    """

    run: Run
    inputs: Inputs | None = None
    begin: Begin | None = None

"""Finds the system tasks of installed distributions: the entry point group `podium.tasks`.

Failures: SystemTaskUnsound (which entry point of which distribution, expected what, found what).
"""

from __future__ import annotations

import logging
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from podium.engine.operators.table import OPERATORS
from podium.engine.problem import check_name
from podium.engine.validate_operators import TYPES_NOT_BUILT
from podium.tasks.system import SystemTask, SystemTaskRunner

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

LOG = logging.getLogger("podium.tasks")
GROUP: Final = "podium.tasks"
TAKEN: Final = OPERATORS.keys() | TYPES_NOT_BUILT


class SystemTaskUnsound(Exception):
    """A system task that cannot be used; the text is for the operator."""


def installed_tasks() -> list[SystemTaskRunner]:
    """A runner for each task type that is installed, by type. Raises SystemTaskUnsound."""
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        if entry.name in found and entry.value != found[entry.name].value:
            raise _unsound(entry, "one class for a task type", f"{found[entry.name].value} too")
        found[entry.name] = entry
    return [SystemTaskRunner(name, _loaded(entry)) for name, entry in found.items()]


def _loaded(entry: EntryPoint) -> SystemTask:
    for problem in check_name("name", entry.name):
        raise _unsound(entry, "the name of a task type", problem.message)
    if entry.name in TAKEN:
        raise _unsound(entry, "a task type that is free", "one that Podium or Conductor has")
    try:
        kind = entry.load()
        task = kind()
    except Exception as error:
        noted = {"event": "system_task_unloadable", "entry": str(entry)}
        LOG.exception("a system task cannot be loaded", extra=noted)
        raise _unsound(entry, "a class that can be made", type(error).__name__) from None
    if not isinstance(task, SystemTask):
        raise _unsound(entry, "a class derived from SystemTask", type(task).__name__)
    if task.tasks_max < 1:
        raise _unsound(entry, "tasks_max of 1 or more", str(task.tasks_max))
    return task


def _unsound(entry: EntryPoint, expected: str, found: str) -> SystemTaskUnsound:
    origin = f" of {entry.dist.name}" if entry.dist is not None else ""
    return SystemTaskUnsound(
        f"entry point {GROUP}:{entry.name} = {entry.value}{origin}: expected {expected}, found"
        f" {found}"
    )

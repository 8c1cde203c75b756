"""What is sound in a definition, yet hardly meant: said when it is registered, never refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.engine.problem import Problem, shown
from podium.engine.schema import schema_warnings
from podium.engine.tree import walk_tasks
from podium.engine.validate_operators import MARK, is_own_sink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from podium.engine.tree import Placed
    from podium.model.definition import WorkflowDef

STATIC_FORK: Final = "FORK_JOIN"


def warnings_of(definition: WorkflowDef) -> list[Problem]:
    """Everything that the author should know, each with its place."""
    found = list(schema_warnings("", definition))
    for placed in walk_tasks(definition.tasks):
        found += task_warnings(placed)
    return found


def task_warnings(placed: Placed) -> Iterator[Problem]:
    """Of one task: a JOIN that waits for nothing (S-384), an event that nobody can take (S-464),
    schemas that cannot be enforced.
    """
    task, before = placed.task, placed.before
    forked = before is not None and before.type == STATIC_FORK
    if task.type == "JOIN" and forked and not task.join_on:
        yield Problem(
            f"{placed.place}.joinOn",
            "expected the references to wait for, found none: the JOIN completes at once",
        )
    sink = task.sink or ""
    if task.type == "EVENT" and MARK not in sink and not is_own_sink(sink):
        yield Problem(
            f"{placed.place}.sink",
            f"expected conductor or conductor:<name>, found {shown(sink)}: without a message "
            "broker the task fails",
        )
    if task.task_definition is not None:
        yield from schema_warnings(f"{placed.place}.taskDefinition.", task.task_definition)

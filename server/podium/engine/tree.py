"""The task tree of a definition, walked with the place of every task; iterative, in document order.

Only the branches that a task's type really has are descended into; inline sub-workflows are other
definitions and are not part of the tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import orjson

from podium.model.definition import WorkflowTask

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHOICES: Final = frozenset({"SWITCH", "DECISION"})


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """One task and where it stands. `place` reads like `tasks[2].decisionCases["0"][1]`."""

    place: str
    task: WorkflowTask
    before: WorkflowTask | None
    after: WorkflowTask | None
    depth: int
    """Sequences around it: 1 at the top level."""
    certain: bool
    """Reached whenever the definition runs so far: no choice and no TERMINATE stands before it."""
    loop: str
    """Reference of the innermost DO_WHILE around it; "" = none."""


def branches(task: WorkflowTask) -> list[tuple[str, list[WorkflowTask]]]:
    """The sequences inside a task, each with its name as part of a place."""
    if task.type in CHOICES:
        cases = [
            (f".decisionCases[{orjson.dumps(key).decode()}]", inner)
            for key, inner in task.decision_cases.items()
        ]
        return [*cases, (".defaultCase", task.default_case)]
    if task.type == "FORK_JOIN":
        return [(f".forkTasks[{index}]", inner) for index, inner in enumerate(task.fork_tasks)]
    return [(".loopOver", task.loop_over)] if task.type == "DO_WHILE" else []


def walk_tasks(tasks: Sequence[WorkflowTask]) -> Iterator[Placed]:
    """Every task of the tree, outer before inner, siblings in order."""
    waiting = place_sequence("tasks", tasks, depth=1, certain=True, loop="")[::-1]
    while waiting:
        placed = waiting.pop()
        yield placed
        task = placed.task
        inner_certain = placed.certain and task.type not in CHOICES
        loop = task.task_reference_name if task.type == "DO_WHILE" else placed.loop
        for name, inner in reversed(branches(task)):
            waiting += place_sequence(
                f"{placed.place}{name}",
                inner,
                depth=placed.depth + 1,
                certain=inner_certain,
                loop=loop,
            )[::-1]


def place_sequence(
    where: str, tasks: Sequence[WorkflowTask], *, depth: int, certain: bool, loop: str
) -> list[Placed]:
    """The tasks of one sequence with their neighbours."""
    placed: list[Placed] = []
    for index, task in enumerate(tasks):
        placed.append(
            Placed(
                place=f"{where}[{index}]",
                task=task,
                before=tasks[index - 1] if index else None,
                after=tasks[index + 1] if index + 1 < len(tasks) else None,
                depth=depth,
                certain=certain,
                loop=loop,
            )
        )
        certain = certain and task.type != "TERMINATE"
    return placed

"""Attaching task definitions to a workflow definition when it is started (S-054 to S-056).

An embedded definition stays; else the registered one of the task's name (S-023: of any type); else
one made for the occasion. A DYNAMIC task is left without one where neither exists, so that the
definition of the task it turns out to be is used (unlike S-324). Inline sub-workflows are left as
they are: a child binds itself when it starts. Definitions are validated before, which bounds the
depth of the recursion here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from podium.engine.tree import walk_tasks
from podium.model.definition import TaskDef, WorkflowDef, WorkflowTask

if TYPE_CHECKING:
    from collections.abc import Mapping

DYNAMIC: Final = "DYNAMIC"
SIMPLE: Final = "SIMPLE"


def task_names(definition: WorkflowDef) -> tuple[str, ...]:
    """Names whose registered definition `bind` wants, each once, in document order."""
    return tuple(
        dict.fromkeys(
            placed.task.name
            for placed in walk_tasks(definition.tasks)
            if placed.task.task_definition is None and placed.task.name
        )
    )


def bind(definition: WorkflowDef, task_defs: Mapping[str, TaskDef | None]) -> WorkflowDef:
    """The definition with a task definition at every task; `task_defs` = registered, by name."""
    return msgspec.structs.replace(definition, tasks=bound(definition.tasks, task_defs))


def bound(tasks: list[WorkflowTask], task_defs: Mapping[str, TaskDef | None]) -> list[WorkflowTask]:
    """One sequence, with everything inside it."""
    return [
        msgspec.structs.replace(
            task,
            task_definition=definition_for(task, task_defs),
            decision_cases={
                key: bound(inner, task_defs) for key, inner in task.decision_cases.items()
            },
            default_case=bound(task.default_case, task_defs),
            fork_tasks=[bound(inner, task_defs) for inner in task.fork_tasks],
            loop_over=bound(task.loop_over, task_defs),
        )
        for task in tasks
    ]


def definition_for(task: WorkflowTask, task_defs: Mapping[str, TaskDef | None]) -> TaskDef | None:
    """Embedded, registered, or ad hoc; a DYNAMIC task may stay without one."""
    known = task.task_definition or task_defs.get(task.name)
    if known is not None or task.type == DYNAMIC:
        return known
    return ad_hoc(task.name, task.type)


def ad_hoc(name: str, task_type: str) -> TaskDef:
    """Defaults for a SIMPLE task (S-055); others: no retry, no response timeout (S-056)."""
    if task_type == SIMPLE:
        return TaskDef(name=name)
    return TaskDef(name=name, retry_count=0, response_timeout_seconds=0)

"""Versions of the workflows that SUB_WORKFLOW tasks start: pinned when the parent starts (S-057).

Only plain names are looked up: a name or a definition that is an expression says its version when
it is evaluated (in Conductor the literal text is looked up, and the start fails). Inline
definitions pin their own children when they start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.tree import walk_tasks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from podium.model.definition import WorkflowTask

SUB_WORKFLOW: Final = "SUB_WORKFLOW"
MARK: Final = "${"


def unversioned(tasks: Sequence[WorkflowTask]) -> list[str]:
    """Names whose latest version is wanted, each once."""
    names = (_wanted(placed.task) for placed in walk_tasks(tasks))
    return [name for name in dict.fromkeys(names) if name is not None]


def pin(tasks: list[WorkflowTask], versions: Mapping[str, int]) -> list[WorkflowTask]:
    """The tasks with `versions` put in; definitions are validated, which bounds the recursion."""
    return [_pinned(task, versions) for task in tasks] if versions else tasks


def _wanted(task: WorkflowTask) -> str | None:
    params = task.sub_workflow_param
    if task.type != SUB_WORKFLOW or params is None or params.workflow_definition is not None:
        return None
    if params.version or not params.name or MARK in params.name:
        return None
    return params.name


def _pinned(task: WorkflowTask, versions: Mapping[str, int]) -> WorkflowTask:
    name, params = _wanted(task), task.sub_workflow_param
    if name is not None and params is not None:
        params = replace(params, version=versions[name])
    return replace(
        task,
        sub_workflow_param=params,
        decision_cases={key: pin(inner, versions) for key, inner in task.decision_cases.items()},
        default_case=pin(task.default_case, versions),
        fork_tasks=[pin(inner, versions) for inner in task.fork_tasks],
        loop_over=pin(task.loop_over, versions),
    )

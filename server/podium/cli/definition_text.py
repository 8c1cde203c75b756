"""Conductor's JSON of a workflow definition, as the message of the wire.

The two differ in one thing: what is a list of lists in JSON is a list of messages with a list in
protobuf. Only tasks have such lists: values inside them (inputs, inline definitions) stay as they
are. Fields that the wire does not have are left out, as Conductor's clients do. Whether the
definition is sound is for the server to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf import json_format

from podium.conductor.definition_pb2 import WorkflowDef

if TYPE_CHECKING:
    from podium.model.payload import JsonObject, JsonValue

TASKS: Final = "tasks"
TASK_LISTS: Final = frozenset({TASKS, "defaultCase", "loopOver"})
BRANCHES: Final = "forkTasks"
CASES: Final = "decisionCases"


def workflow_message(definition: JsonObject) -> WorkflowDef:
    """The message for a definition document. Raises json_format.ParseError."""
    document = {key: _tasks(each) if key == TASKS else each for key, each in definition.items()}
    return json_format.ParseDict(document, WorkflowDef(), ignore_unknown_fields=True)


def _tasks(tasks: JsonValue) -> JsonValue:
    return [_task(each) for each in tasks] if isinstance(tasks, list) else tasks


def _task(task: JsonValue) -> JsonValue:
    """The task with each branch and each case wrapped as {"tasks": [...]}."""
    if not isinstance(task, dict):
        return task
    document = {key: _tasks(each) if key in TASK_LISTS else each for key, each in task.items()}
    branches, cases = task.get(BRANCHES), task.get(CASES)
    if isinstance(branches, list):
        document[BRANCHES] = [{TASKS: _tasks(branch)} for branch in branches]
    if isinstance(cases, dict):
        document[CASES] = {case: {TASKS: _tasks(tasks)} for case, tasks in cases.items()}
    return document

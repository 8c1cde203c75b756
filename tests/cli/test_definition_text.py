"""Conductor's JSON of a definition as a message of the wire: only lists of tasks are wrapped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import json_format

from podium.cli.definition_text import workflow_message

if TYPE_CHECKING:
    from podium.model.payload import JsonObject, JsonValue


def task(reference: str, **more: JsonValue) -> JsonObject:
    return {"name": "work", "taskReferenceName": reference, **more}


def test_branches_and_cases_are_wrapped_at_every_depth() -> None:
    inner = task("inner", type="FORK_JOIN", forkTasks=[[task("deep")]])
    message = workflow_message(
        {
            "name": "flow",
            "tasks": [
                task("fork", type="FORK_JOIN", forkTasks=[[inner], [task("second")]]),
                task("choice", type="SWITCH", decisionCases={"a": [inner]}, defaultCase=[inner]),
                task("loop", type="DO_WHILE", loopOver=[inner]),
            ],
        }
    )

    fork, choice, loop = message.tasks
    assert [branch.tasks[0].task_reference_name for branch in fork.fork_tasks] == [
        "inner",
        "second",
    ]
    for found in (
        fork.fork_tasks[0].tasks[0],
        choice.decision_cases["a"].tasks[0],
        choice.default_case[0],
        loop.loop_over[0],
    ):
        assert found.fork_tasks[0].tasks[0].task_reference_name == "deep"


def test_values_keep_lists_of_lists_and_unknown_fields_are_left_out() -> None:
    inline: JsonObject = {"name": "child", "tasks": [task("fork", forkTasks=[[task("deep")]])]}
    message = workflow_message(
        {
            "name": "flow",
            "notOfThisWire": 1,
            "tasks": [
                task(
                    "sub",
                    type="SUB_WORKFLOW",
                    alsoUnknown=True,
                    inputParameters={"forkTasks": [[1]], "decisionCases": {"a": [2]}},
                    subWorkflowParam={"name": "child", "workflowDefinition": inline},
                )
            ],
        }
    )

    sub = json_format.MessageToDict(message.tasks[0])
    assert sub["inputParameters"] == {"forkTasks": [[1]], "decisionCases": {"a": [2]}}
    assert sub["subWorkflowParam"]["workflowDefinition"] == inline

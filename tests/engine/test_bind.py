"""Attaching task definitions: embedded, registered, ad hoc (S-023, S-054 to S-056, S-255)."""

from __future__ import annotations

import msgspec
import pytest

from podium.engine.bind import bind, task_names
from podium.engine.tree import walk_tasks
from podium.model.definition import TaskDef, WorkflowDef

INLINE = {"name": "child", "tasks": [{"name": "inner", "taskReferenceName": "i"}]}
FLOW = msgspec.convert(
    {
        "name": "flow",
        "tasks": [
            {"name": "known", "taskReferenceName": "a"},
            {"name": "unknown", "taskReferenceName": "b"},
            {"name": "own", "taskReferenceName": "c", "taskDefinition": {"name": "x"}},
            {"name": "call", "taskReferenceName": "d", "type": "HTTP"},
            {"name": "later", "taskReferenceName": "e", "type": "DYNAMIC"},
            {
                "name": "fork", "taskReferenceName": "f", "type": "FORK_JOIN",
                "forkTasks": [[{
                    "name": "choice", "taskReferenceName": "g", "type": "SWITCH",
                    "decisionCases": {"x": [{"name": "known", "taskReferenceName": "h"}]},
                    "defaultCase": [{"name": "deep", "taskReferenceName": "i"}],
                }]],
            },
            {"name": "join", "taskReferenceName": "j", "type": "JOIN"},
            {"name": "sub", "taskReferenceName": "k", "type": "SUB_WORKFLOW",
             "subWorkflowParam": {"workflowDefinition": INLINE}},
            {"name": "mine", "taskReferenceName": "l", "type": "MY_TYPE"},
        ],
    },
    WorkflowDef,
)  # fmt: skip


def test_names_are_those_without_an_embedded_definition_each_once() -> None:
    assert task_names(FLOW) == (
        "known", "unknown", "call", "later", "fork", "choice", "deep", "join", "sub", "mine",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("a", TaskDef(name="known", retry_count=9)),
        ("b", TaskDef(name="unknown")),
        ("c", TaskDef(name="x")),
        ("d", TaskDef(name="call", retry_count=0, response_timeout_seconds=0)),
        ("e", None),
        ("f", TaskDef(name="fork", retry_count=0, response_timeout_seconds=0)),
        ("h", TaskDef(name="known", retry_count=9)),
        ("i", TaskDef(name="deep")),
        ("k", TaskDef(name="sub", timeout_seconds=5)),
        ("l", TaskDef(name="mine", retry_count=0, response_timeout_seconds=0)),
    ],
)
def test_each_task_gets_embedded_else_registered_else_ad_hoc(
    reference: str, expected: TaskDef | None
) -> None:
    registered = {
        "known": TaskDef(name="known", retry_count=9),
        "own": TaskDef(name="own", retry_count=8),
        "sub": TaskDef(name="sub", timeout_seconds=5),
        "unknown": None,
    }
    bound = bind(FLOW, registered)
    found = {
        placed.task.task_reference_name: placed.task.task_definition
        for placed in walk_tasks(bound.tasks)
    }
    assert found[reference] == expected


def test_a_dynamic_task_takes_the_definition_of_its_own_name_where_there_is_one() -> None:
    bound = bind(FLOW, {"later": TaskDef(name="later", retry_count=2)})
    assert bound.tasks[4].task_definition == TaskDef(name="later", retry_count=2)


def test_inline_definitions_are_left_to_the_child_and_the_original_unchanged() -> None:
    bound = bind(FLOW, {})
    params = bound.tasks[7].sub_workflow_param
    assert params is not None
    assert params.workflow_definition == INLINE
    assert FLOW.tasks[0].task_definition is None
    assert bind(bound, {"known": TaskDef(name="known", retry_count=1)}) == bound

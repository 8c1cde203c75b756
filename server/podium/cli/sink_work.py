"""The kitchen sink: its documents, its input, and what its workers answer.

Pure. The answers choose the way: an even number leads into the dynamic fork, whose branches are two
worker tasks and a sub-workflow.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from podium.model.payload import JsonObject

WORKFLOW: Final = "kitchensink"
SUB_WORKFLOWS: Final = ("sub_flow_1",)
INPUT: Final[JsonObject] = {"mod": 0, "oddEven": 0, "task2Name": "task_2"}
FORKED: Final[list[JsonObject]] = [
    {"name": "task_10", "taskReferenceName": "fan_1", "type": "SIMPLE"},
    {"name": "task_11", "taskReferenceName": "fan_2", "type": "SIMPLE"},
    {
        "name": "sub_flow_1",
        "taskReferenceName": "fan_3",
        "type": "SUB_WORKFLOW",
        "subWorkflowParam": {"name": "sub_flow_1", "version": 1},
    },
]


def document(name: str) -> JsonObject:
    """A workflow definition of the kitchen sink."""
    return json.loads(_text(name))


def task_documents() -> list[JsonObject]:
    """The task definitions that the workflows use."""
    return json.loads(_text("tasks"))


def answer(task_name: str, given: JsonObject) -> JsonObject:
    """What the worker of a task answers."""
    match task_name:
        case "task_1":
            return {"mod": given["mod"], "oddEven": given["oddEven"]}
        case "task_2":
            return {"mod": 0, "oddEven": 0}
        case "task_4":
            inputs: JsonObject = {
                str(task["taskReferenceName"]): {"part": part} for part, task in enumerate(FORKED)
            }
            return {"dynamicTasks": [*FORKED], "inputs": inputs}
        case "task_30":
            statuses = given["statuses"]
            assert isinstance(statuses, list), f"expected a list of statuses, found {statuses!r}"
            return {"executions": len(statuses)}
        case _:
            return {"done": True, "given": given}


def _text(name: str) -> str:
    folder = resources.files("podium.cli") / "kitchensink"
    return (folder / f"{name}.json").read_text(encoding="utf-8")

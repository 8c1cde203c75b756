"""The definitions of ../shared/corpus: reading them, which of them can run, their messages.

Whether a definition can run is told from its operators alone, without asking the server: a server
that refuses what it should serve must fail the test, not shorten it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import json_format

from podium.conductor.definition_pb2 import TaskDef, WorkflowDef

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CORPUS: Final = Path(__file__).resolve().parents[3] / "shared" / "corpus"
WORKFLOWS: Final = "workflows"
# A fourth file beside these, sub_flow_1.json, is their child.
KITCHEN_SINKS: Final = (
    "kitchensink/kitchensink.json",
    "kitchensink/kitchenSink-ephemeralWorkflowWithEphemeralTasks.json",
    "kitchensink/kitchenSink-ephemeralWorkflowWithStoredTasks.json",
)
CHILD_OF_KITCHEN_SINKS: Final = "kitchensink/sub_flow_1.json"
# Not asked for, but recorded: the kitchen sink of before expressions had braces.
OLD_KITCHEN_SINK: Final = "kitchensink/wf1.json"

SERVED: Final = frozenset(
    {
        "DYNAMIC", "DECISION", "DO_WHILE", "SWITCH", "FORK_JOIN", "FORK_JOIN_DYNAMIC", "JOIN",
        "SUB_WORKFLOW", "EVENT", "EXCLUSIVE_JOIN", "HTTP", "INLINE", "JSON_JQ_TRANSFORM", "LAMBDA",
        "NOOP", "HUMAN", "SET_VARIABLE", "START_WORKFLOW", "TERMINATE", "WAIT",
        "PULL_WORKFLOW_MESSAGES",
    }
)  # fmt: skip
NOT_SERVED: Final = frozenset(
    {
        "KAFKA_PUBLISH",
    }
)  # fmt: skip
# Workers the runs need besides those the definitions name: dynamic tasks choose among them.
EXTRA_TASKS: Final = ("task_1", "task_2", "task_3")

Json = dict[str, Any]


def read(file: str) -> Json:
    """One document of the corpus. Shape: `file` is relative, "workflows/x.json"."""
    path = CORPUS / file
    assert path.is_file(), f"expected the corpus in {CORPUS}, found no {file}"
    return json.loads(path.read_bytes())


def corpus_files() -> list[str]:
    """Every document of the integration tests, sorted."""
    folder = CORPUS / WORKFLOWS
    assert folder.is_dir(), f"expected the corpus's definitions in {folder}, found no such folder"
    return sorted(f"{WORKFLOWS}/{path.name}" for path in folder.glob("*.json"))


def definition_of(document: Json) -> Json:
    """The definition in a document: itself, or the inline one of a start request."""
    return document.get("workflowDef", document)


def tasks_of(tasks: list[Json]) -> Iterator[Json]:
    """Every task of a tree, outer before inner."""
    for task in tasks:
        yield task
        inner = [*task.get("decisionCases", {}).values(), *task.get("forkTasks", [])]
        for branch in [*inner, task.get("defaultCase", []), task.get("loopOver", [])]:
            yield from tasks_of(branch)


def type_of(task: Json) -> str:
    return task.get("type", "SIMPLE")


# What can run


def obstacles(file: str, known: Mapping[str, Json]) -> list[str]:
    """Why a document cannot run, sorted; empty if it can. Shape: `known` is file → document."""
    document = known[file]
    if "name" not in document or not document.get("tasks"):
        return ["no workflow definition"]
    by_name = {each["name"]: name for name, each in known.items() if "tasks" in each}
    return sorted(_obstacles(document["tasks"], known, by_name))


def _obstacles(
    tasks: list[Json], known: Mapping[str, Json], by_name: Mapping[str, str]
) -> set[str]:
    found: set[str] = set()
    for task in tasks_of(tasks):
        kind = type_of(task)
        if kind in NOT_SERVED:
            found.add(kind)
        if kind == "SUB_WORKFLOW":
            found |= _child_obstacles(task["subWorkflowParam"], known, by_name)
    return found


def _child_obstacles(
    params: Json, known: Mapping[str, Json], by_name: Mapping[str, str]
) -> set[str]:
    inline = params.get("workflowDefinition")
    if inline is not None:
        return _obstacles(inline["tasks"], known, by_name)
    name = params["name"]
    if name.startswith("${"):  # the expectation's input chooses one that runs
        return set()
    if name not in by_name:
        return {f"no child {name} in the corpus"}
    found = _obstacles(known[by_name[name]]["tasks"], known, by_name)
    return {f"child {name}: {each}" for each in found}


# To the wire


def workflow_message(definition: Json) -> WorkflowDef:
    """The message for a definition document; fields that only REST knows are left out."""
    message = {**definition, "tasks": _listed(definition["tasks"])}
    return json_format.ParseDict(message, WorkflowDef(), ignore_unknown_fields=True)


def _listed(tasks: list[Json]) -> list[Json]:
    """Tasks with each branch and case as {"tasks": [...]}: protobuf has no lists of lists.

    Definitions inline in a SUB_WORKFLOW are values on the wire and stay as they are.
    """
    return [
        {
            **task,
            "forkTasks": [{"tasks": _listed(each)} for each in task.get("forkTasks", [])],
            "decisionCases": {
                case: {"tasks": _listed(each)}
                for case, each in task.get("decisionCases", {}).items()
            },
            "defaultCase": _listed(task.get("defaultCase", [])),
            "loopOver": _listed(task.get("loopOver", [])),
        }
        for task in tasks
    ]


def task_messages(definitions: list[Json]) -> list[TaskDef]:
    """Task definitions of all workers, with the settings the recorded runs had."""
    names = set(EXTRA_TASKS)
    for definition in definitions:
        for task in tasks_of(definition["tasks"]):
            if type_of(task) not in SERVED:
                names.add(task["name"])
            inline = task.get("subWorkflowParam", {}).get("workflowDefinition")
            if inline is not None:
                names |= {each["name"] for each in tasks_of(inline["tasks"])}
    return [
        TaskDef(
            name=name,
            retry_count=1,
            retry_logic=TaskDef.FIXED,
            retry_delay_seconds=0,
            response_timeout_seconds=600,
            timeout_policy=TaskDef.TIME_OUT_WF,
            backoff_scale_factor=1,
        )
        for name in sorted(names)
    ]

"""Conductor's JSON of a workflow definition, as the message of the wire.

The two differ in one thing: what is a list of lists in JSON is a list of messages with a list in
protobuf. Whether the definition is sound is for the server to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf import json_format

from podium.conductor.definition_pb2 import WorkflowDef

if TYPE_CHECKING:
    from podium.model.payload import JsonObject, JsonValue

BRANCHES: Final = "forkTasks"
CASES: Final = "decisionCases"


def workflow_message(definition: JsonObject) -> WorkflowDef:
    """The message for a definition document. Raises json_format.ParseError."""
    return json_format.ParseDict(_with_lists(definition), WorkflowDef())


def _with_lists(value: JsonObject) -> JsonObject:
    """The document with each branch and each case wrapped as {"tasks": [...]}."""
    document = {key: _below(each) for key, each in value.items()}
    branches, cases = document.get(BRANCHES), document.get(CASES)
    if isinstance(branches, list):
        document[BRANCHES] = [{"tasks": branch} for branch in branches]
    if isinstance(cases, dict):
        document[CASES] = {case: {"tasks": tasks} for case, tasks in cases.items()}
    return document


def _below(value: JsonValue) -> JsonValue:
    if isinstance(value, list):
        return [_below(each) for each in value]
    return _with_lists(value) if isinstance(value, dict) else value

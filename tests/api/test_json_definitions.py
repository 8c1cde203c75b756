"""podium.v1.MetadataService: definitions as JSON documents, with all they can say."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from podium.conductor import metadata_service_pb2 as metadata
from podium.v1 import metadata_pb2 as pb
from tests.api.calls import DEFINITIONS, refusal
from tests.api.edge import Edge

# Each of these has no field in Conductor's messages (S-688).
DOCUMENT: dict[str, Any] = {
    "name": "all",
    "version": 3,
    "inputSchema": {"name": "s", "type": "JSON", "data": {"type": "object"}},
    "tasks": [
        {
            "name": "a",
            "taskReferenceName": "a",
            "inputParameters": {"kept": None},
            "onStateChange": {"onSuccess": [{"type": "t", "payload": {"x": "${a.output}"}}]},
            "taskDefinition": {"name": "a", "runtimeMetadata": ["key"]},
        },
        {
            "name": "s",
            "taskReferenceName": "s",
            "type": "SUB_WORKFLOW",
            "description": None,
            "subWorkflowParam": {
                "name": "c",
                "version": 1,
                "priority": 7,
                "idempotencyKey": "${workflow.input.k}",
                "idempotencyStrategy": "FAIL",
            },
        },
    ],
}


def registering(document: Any, **fields: Any) -> pb.RegisterWorkflowRequest:
    return pb.RegisterWorkflowRequest(json=orjson.dumps(document), **fields)


async def test_all_that_a_document_says_is_kept_and_read_again() -> None:
    async with Edge() as edge:
        stored = await edge.definitions.RegisterWorkflow(registering(DOCUMENT))
        assert (stored.name, stored.version, list(stored.warnings)) == ("all", 3, [])
        for version in (0, 3):
            asked = pb.GetWorkflowRequest(name="all", version=version)
            found = orjson.loads((await edge.definitions.GetWorkflow(asked)).json)
            assert found.pop("createTime") > 0
            expected = orjson.loads(orjson.dumps(DOCUMENT))
            del expected["tasks"][1]["description"]
            assert found == expected
        # And it is the one that Conductor's service knows
        theirs = await edge.metadata.GetWorkflow(metadata.GetWorkflowRequest(name="all"))
        assert [task.task_reference_name for task in theirs.workflow.tasks] == ["a", "s"]


async def test_a_version_is_registered_once_and_overwritten_on_wish() -> None:
    async with Edge() as edge:
        await edge.definitions.RegisterWorkflow(registering(DOCUMENT))
        path = f"{DEFINITIONS}RegisterWorkflow"
        assert (await refusal(edge, path, registering(DOCUMENT)))[0] == "ALREADY_EXISTS"
        other = {**DOCUMENT, "description": "new"}
        await edge.definitions.RegisterWorkflow(registering(other, overwrite=True))
        read = await edge.definitions.GetWorkflow(pb.GetWorkflowRequest(name="all"))
        assert orjson.loads(read.json)["description"] == "new"


async def test_a_task_definition_goes_in_and_out() -> None:
    document = {"name": "t", "retryCount": 1, "runtimeMetadata": ["k"], "colour": "red"}
    async with Edge() as edge:
        answer = await edge.definitions.RegisterTask(
            pb.RegisterTaskRequest(json=orjson.dumps(document))
        )
        assert [(each.place, each.message) for each in answer.warnings] == [
            ("TaskDef", "expected a field of TaskDef, found colour, which is ignored")
        ]
        found = orjson.loads((await edge.definitions.GetTask(pb.GetTaskRequest(name="t"))).json)
        del found["createTime"], document["colour"]
        assert found == document
        bad = pb.RegisterTaskRequest(json=b'{"name":"t","retryCount":-1,"backoffScaleFactor":0}')
        code, text = await refusal(edge, f"{DEFINITIONS}RegisterTask", bad)
        assert code == "INVALID_ARGUMENT"
        assert "retryCount: expected 0 or more, found -1" in text
        assert "backoffScaleFactor: expected 1 or more, found 0" in text


async def test_every_value_of_a_wrong_kind_is_named_with_its_place() -> None:
    document = {
        "version": "one",
        "timeoutPolicy": "NEVER",
        "tasks": [
            {"name": 4, "taskReferenceName": "a", "optional": "yes"},
            {"name": "s", "taskReferenceName": "s", "type": "SWITCH", "colour": 1,
             "decisionCases": {"yes": [{"name": "b", "joinOn": "a"}], "no": {}}},
            {"name": "f", "taskReferenceName": "f", "forkTasks": [[{"loopOver": [3]}], 7]},
            {"name": "t", "taskReferenceName": "t", "taskDefinition": {"retryLogic": "ALWAYS"}},
        ],
    }  # fmt: skip
    logics = "FIXED, EXPONENTIAL_BACKOFF, LINEAR_BACKOFF"
    async with Edge() as edge:
        asked = pb.ValidateWorkflowRequest(json=orjson.dumps(document))
        answer = await edge.definitions.ValidateWorkflow(asked)
        assert [f"{each.place}: {each.message}" for each in answer.problems] == [
            "name: expected a name, found none",
            "version: expected a whole number, found 'one'",
            "tasks[0].name: expected text, found 4",
            "tasks[0].optional: expected true or false, found 'yes'",
            "tasks[1].decisionCases.yes[0].joinOn: expected a list, found 'a'",
            "tasks[1].decisionCases.no: expected a list, found an object",
            "tasks[2].forkTasks[0][0].loopOver[0]: expected an object, found 3",
            "tasks[2].forkTasks[1]: expected a list, found 7",
            "tasks[3].taskDefinition.name: expected a name, found none",
            f"tasks[3].taskDefinition.retryLogic: expected one of {logics}, found 'ALWAYS'",
            "timeoutPolicy: expected one of TIME_OUT_WF, ALERT_ONLY, found 'NEVER'",
        ]
        code, text = await refusal(edge, f"{DEFINITIONS}RegisterWorkflow", registering(document))
        assert code == "INVALID_ARGUMENT"
        assert text.startswith("name: expected a name, found none; version: ")


async def test_problems_and_warnings_of_a_sound_form_come_at_once() -> None:
    step = {"name": "a", "taskReferenceName": "a", "taskRefName": "b"}
    bad = {"name": "w", "tasks": [step, {**step, "onStateChange": {"onEnd": []}}]}
    async with Edge() as edge:
        asked = pb.ValidateWorkflowRequest(json=orjson.dumps(bad))
        places = [each.place for each in (await edge.definitions.ValidateWorkflow(asked)).problems]
        assert places == ["tasks[1].taskReferenceName", "tasks[1].onStateChange.onEnd"]
        good = {"name": "w", "tasks": [step]}
        answer = await edge.definitions.ValidateWorkflow(
            pb.ValidateWorkflowRequest(json=orjson.dumps(good))
        )
        assert not answer.problems
        assert [each.place for each in answer.warnings] == ["tasks[0]"]
        asked = pb.GetWorkflowRequest(name="w")
        assert (await refusal(edge, f"{DEFINITIONS}GetWorkflow", asked))[0] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "json: expected UTF-8 text of one JSON object, found an error in line 1, column 1"),
        (b'{"name":\n "\xff"}', "json: expected UTF-8 text of one JSON object"),
        (b"[]", "json: expected a JSON object, found another value"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "json: expected at most 200 levels of JSON"),
    ],
)
async def test_bytes_that_are_no_document_are_refused(text: bytes, message: str) -> None:
    async with Edge() as edge:
        for name, asked in (
            ("RegisterWorkflow", pb.RegisterWorkflowRequest(json=text)),
            ("ValidateWorkflow", pb.ValidateWorkflowRequest(json=text)),
            ("RegisterTask", pb.RegisterTaskRequest(json=text)),
        ):
            code, found = await refusal(edge, f"{DEFINITIONS}{name}", asked)
            assert (code, found[: len(message)]) == ("INVALID_ARGUMENT", message)


async def test_reads_name_what_there_is_not() -> None:
    async with Edge() as edge:
        for name, asked, code in (
            ("GetWorkflow", pb.GetWorkflowRequest(), "INVALID_ARGUMENT"),
            ("GetWorkflow", pb.GetWorkflowRequest(name="x", version=-1), "INVALID_ARGUMENT"),
            ("GetWorkflow", pb.GetWorkflowRequest(name="x"), "NOT_FOUND"),
            ("GetTask", pb.GetTaskRequest(), "INVALID_ARGUMENT"),
            ("GetTask", pb.GetTaskRequest(name="x"), "NOT_FOUND"),
        ):
            assert (await refusal(edge, f"{DEFINITIONS}{name}", asked))[0] == code

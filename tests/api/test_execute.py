"""Synchronous executions and updates by reference, over a real channel (S-172 to S-181)."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from podium.v1 import metadata_pb2 as metadata
from podium.v1 import worker_pb2
from podium.v1 import workflow_pb2 as pb
from tests.api.calls import PODIUM, refusal
from tests.api.edge import Edge
from tests.api.test_flow import completed, polled, started, status_of
from tests.api.waiting import ended

WAIT = {
    "name": "w",
    "taskReferenceName": "w",
    "type": "WAIT",
    "inputParameters": {"x": "${a.output.x}"},
}
STEP = {"name": "a", "taskReferenceName": "a"}


def json(**content: Any) -> worker_pb2.Payload:
    return worker_pb2.Payload(json=orjson.dumps(content))


async def registered(edge: Edge, name: str, *tasks: dict[str, Any], **fields: Any) -> None:
    text = orjson.dumps({"name": name, "tasks": tasks, **fields})
    await edge.definitions.RegisterWorkflow(metadata.RegisterWorkflowRequest(json=text))


def executing(name: str = "one", timeout_ms: int = 20_000, **fields: Any) -> pb.ExecuteRequest:
    start = pb.StartItem(name=name, input=fields.pop("input", None))
    return pb.ExecuteRequest(start=start, timeout_ms=timeout_ms, **fields)


def sub(name: str, reference: str = "s") -> dict[str, Any]:
    params = {"name": name, "version": 1}
    return {"name": "s", "taskReferenceName": reference, "type": "SUB_WORKFLOW",
            "subWorkflowParam": params}  # fmt: skip


async def test_s_177_an_execution_is_started_and_its_end_is_answered() -> None:
    async with Edge() as edge:
        await registered(
            edge, "one", STEP, outputParameters={"y": "${a.output.y}"}, maskedFields=["pin"]
        )
        call = asyncio.ensure_future(edge.podium.Execute(executing(input=json(pin=1))))
        await completed(edge, await polled(edge, "a"), y=2)
        answer = await call
        found = orjson.loads(answer.result.json)
        assert (answer.timed_out, answer.existing) == (False, False)
        assert found["workflowId"] == answer.workflow_id
        assert (found["status"], found["output"]) == ("COMPLETED", {"y": 2})
        assert found["input"] == {"pin": "***"}
        assert [task["referenceTaskName"] for task in found["tasks"]] == ["a"]


async def test_s_178_a_wait_in_a_child_blocks_and_each_strategy_answers_it() -> None:
    async with Edge() as edge:
        await registered(edge, "child", STEP, WAIT)
        await registered(edge, "one", sub("child"))
        calls = [
            asyncio.ensure_future(edge.podium.Execute(executing(return_strategy=strategy)))
            for strategy in pb.ReturnStrategy.values()
        ]
        for _ in calls:
            await completed(edge, await polled(edge, "a"), x=7)
        answers = [await each for each in calls]
        found = [orjson.loads(each.result.json) for each in answers]
        assert not any(each.timed_out for each in answers)
        assert [each.get("workflowName") for each in found[:3]] == ["one", "one", "child"]
        assert found[2]["parentWorkflowId"] == answers[2].workflow_id
        assert (found[3]["referenceTaskName"], found[3]["taskType"]) == ("w", "WAIT")
        assert found[4] == {"x": 7}


async def test_a_named_reference_that_has_ended_is_an_answer() -> None:
    async with Edge() as edge:
        loop = {"name": "l", "taskReferenceName": "l", "type": "DO_WHILE", "loopOver": [STEP],
                "loopCondition": "$.l['iteration'] < 3"}  # fmt: skip
        await registered(edge, "one", loop)
        strategy = pb.RETURN_STRATEGY_BLOCKING_TASK
        asked = executing(wait_until=["other", "a__2"], return_strategy=strategy)
        call = asyncio.ensure_future(edge.podium.Execute(asked))
        for number in range(2):
            await completed(edge, await polled(edge, "a"), n=number)
        answer = await call
        task = orjson.loads(answer.result.json)
        assert (task["referenceTaskName"], task["outputData"]) == ("a__2", {"n": 1})
        assert (await status_of(edge, answer.workflow_id)).status == 0  # RUNNING


async def test_s_179_when_the_time_is_over_it_is_answered_as_it_stands_and_goes_on() -> None:
    async with Edge() as edge:
        timed = {**WAIT, "inputParameters": {"duration": "1 hours"}}
        await registered(edge, "one", timed)
        answer = await edge.podium.Execute(executing(timeout_ms=50))
        assert answer.timed_out
        assert orjson.loads(answer.result.json)["status"] == "RUNNING"
        nothing = executing(timeout_ms=50, return_strategy=pb.RETURN_STRATEGY_BLOCKING_TASK_INPUT)
        assert not (await edge.podium.Execute(nothing)).HasField("result")


async def test_s_180_a_repeated_call_with_a_key_waits_for_the_first() -> None:
    async with Edge() as edge:
        await registered(edge, "one", STEP)
        start = pb.StartItem(name="one", idempotency_key="k")
        asked = pb.ExecuteRequest(start=start, timeout_ms=20_000)
        calls = [asyncio.ensure_future(edge.podium.Execute(asked)) for _ in range(2)]
        await completed(edge, await polled(edge, "a"))
        answers = [await each for each in calls]
        assert len({each.workflow_id for each in answers}) == 1
        assert sorted(each.existing for each in answers) == [False, True]


async def test_s_181_an_inline_definition_is_marked_in_the_input() -> None:
    async with Edge() as edge:
        noop = {"name": "n", "taskReferenceName": "n", "type": "NOOP"}
        text = orjson.dumps({"name": "inline", "tasks": [noop]})
        answer = await edge.podium.Execute(executing("", definition_json=text, input=json(a=1)))
        found = orjson.loads(answer.result.json)
        assert found["input"] == {"a": 1, "_systemMetadata": {"dynamic": True}}
        assert found["status"] == "COMPLETED"


async def test_s_172_a_result_by_reference_goes_to_the_open_task_and_is_merged() -> None:
    async with Edge() as edge:
        await registered(edge, "one", STEP, {**WAIT, "inputParameters": {}})
        workflow_id = await started(edge)

        def update(ref: str, **fields: Any) -> pb.UpdateTaskRequest:
            return pb.UpdateTaskRequest(workflow_id=workflow_id, reference_name=ref, **fields)

        nothing = await edge.podium.UpdateTask(update("w", output=json(x=1)))
        assert nothing.task_id == ""
        going = worker_pb2.RESULT_STATUS_IN_PROGRESS
        first = await edge.podium.UpdateTask(update("a", status=going, output=json(x=1, y=1)))
        asked = update("a", output=json(y=2), return_workflow=True, worker_id="me")
        second = await edge.podium.UpdateTask(asked)
        assert first.task_id == second.task_id
        task = orjson.loads(second.workflow.json)["tasks"][0]
        assert (task["status"], task["outputData"]) == ("COMPLETED", {"x": 1, "y": 2})
        assert task["workerId"] == "me"
        await edge.podium.UpdateTask(update("w"))
        assert (await ended(edge, workflow_id)).status == 1  # COMPLETED
        # S-173: none is open any more
        assert (await edge.podium.UpdateTask(update("a"))).task_id == ""
        code, text = await refusal(edge, f"{PODIUM}UpdateTask", update("a", return_workflow=True))
        assert (code, "expected an open task a in workflow" in text) == ("NOT_FOUND", True)


async def test_in_a_loop_a_reference_is_taken_with_its_iteration_or_without() -> None:
    async with Edge() as edge:
        loop = {"name": "l", "taskReferenceName": "l", "type": "DO_WHILE", "loopOver": [STEP],
                "loopCondition": "$.l['iteration'] < 2"}  # fmt: skip
        await registered(edge, "one", loop)
        workflow_id = await started(edge)
        for reference, found in (("a__2", False), ("a", True), ("a__2", True)):
            asked = pb.UpdateTaskRequest(workflow_id=workflow_id, reference_name=reference)
            assert bool((await edge.podium.UpdateTask(asked)).task_id) == found
        assert (await ended(edge, workflow_id)).status == 1


@pytest.mark.parametrize(
    ("asked", "code", "text"),
    [
        (executing("absent"), "NOT_FOUND", "found none with name absent"),
        (executing(""), "INVALID_ARGUMENT", "name: expected a name, found none"),
        (
            executing(timeout_ms=-1),
            "INVALID_ARGUMENT",
            "timeout_ms: expected 0 to 600000",
        ),
        (executing(wait_until=[""]), "INVALID_ARGUMENT", "wait_until[0]: expected a name"),
        (executing(return_strategy=9), "INVALID_ARGUMENT", "return_strategy: expected one of"),
        (executing(definition_json=b"{"), "INVALID_ARGUMENT", "definition_json: expected UTF-8"),
        (executing(definition_json=b'{"tasks":1}'), "INVALID_ARGUMENT", "tasks: expected a list"),
    ],
)
async def test_an_unsound_execute_is_refused(
    asked: pb.ExecuteRequest, code: str, text: str
) -> None:
    async with Edge() as edge:
        found = await refusal(edge, f"{PODIUM}Execute", asked)
        assert (found[0], text in found[1]) == (code, True), found


async def test_an_unsound_update_is_refused() -> None:
    async with Edge() as edge:
        await registered(edge, "one", STEP)
        workflow_id = await started(edge)
        cases: list[tuple[dict[str, Any], str]] = [
            ({}, "INVALID_ARGUMENT"),
            ({"workflow_id": workflow_id}, "INVALID_ARGUMENT"),
            ({"workflow_id": "absent", "reference_name": "a"}, "NOT_FOUND"),
            ({"workflow_id": workflow_id, "reference_name": "a", "status": 9}, "INVALID_ARGUMENT"),
        ]
        for fields, code in cases:
            asked = pb.UpdateTaskRequest(**fields)
            assert (await refusal(edge, f"{PODIUM}UpdateTask", asked))[0] == code

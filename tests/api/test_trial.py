"""Trying definitions out with mocks, over a real channel (S-182 to S-186)."""

from __future__ import annotations

from typing import Any

import orjson

from podium.v1 import metadata_pb2 as metadata
from podium.v1 import worker_pb2
from podium.v1 import workflow_pb2 as pb
from tests.api.calls import PODIUM, refusal
from tests.api.edge import Edge
from tests.api.test_execute import STEP, WAIT, json, registered, sub
from tests.api.test_flow import status_of

FAILED = worker_pb2.RESULT_STATUS_FAILED


def mock(status: Any = 0, reason: str = "", **output: Any) -> pb.TaskMock:
    return pb.TaskMock(status=status, output=json(**output), reason=reason)


def mocks(children: dict[str, pb.WorkflowMocks] | None = None, **some: Any) -> pb.WorkflowMocks:
    tasks = {name: pb.TaskMocks(mocks=each) for name, each in some.items()}
    return pb.WorkflowMocks(tasks=tasks, sub_workflows=children or {})


def trying(
    *tasks: dict[str, Any], of: pb.WorkflowMocks | None = None, **fields: Any
) -> pb.TestWorkflowRequest:
    text = orjson.dumps({"name": "tried", "tasks": tasks, **fields})
    return pb.TestWorkflowRequest(definition_json=text, mocks=of, timeout_ms=20_000)


def tasks_of(answer: pb.TestWorkflowResponse) -> list[tuple[str, str]]:
    found = orjson.loads(answer.workflow.json)["tasks"]
    return [(task["referenceTaskName"], task["status"]) for task in found]


async def test_s_182_operators_run_and_mocks_stand_for_workers() -> None:
    choice = {"name": "c", "taskReferenceName": "c", "type": "SWITCH",
              "evaluatorType": "javascript", "expression": "$.n > 1 ? 'many' : 'few'",
              "inputParameters": {"n": "${a.output.n}"},
              "decisionCases": {"many": [{"name": "m", "taskReferenceName": "m"}]}}  # fmt: skip
    request = {"uri": "http://127.0.0.1:1/", "method": "GET"}
    http = {"name": "h", "taskReferenceName": "h", "type": "HTTP",
            "inputParameters": {"http_request": request}}  # fmt: skip
    async with Edge() as edge:
        asked = trying(
            STEP, choice, http, WAIT,
            of=mocks(a=[mock(n=2)], m=[mock()], h=[mock(response={"ok": True})], w=[mock()]),
            outputParameters={"ok": "${h.output.response.ok}"},
        )  # fmt: skip
        answer = await edge.podium.TestWorkflow(asked)
        found = orjson.loads(answer.workflow.json)
        assert (answer.finished, answer.timed_out, list(answer.problems)) == (True, False, [])
        assert (found["status"], found["output"]) == ("COMPLETED", {"ok": True})
        expected = [(ref, "COMPLETED") for ref in ("a", "c", "m", "h", "w")]
        assert tasks_of(answer) == expected
        # S-186: it is stored as others are
        assert (await status_of(edge, answer.workflow_id)).status == 1


async def test_s_183_mocks_are_used_in_order_for_attempts_and_iterations() -> None:
    retried = {**STEP, "taskDefinition": {"name": "a", "retryCount": 2, "retryDelaySeconds": 60}}
    loop = {"name": "l", "taskReferenceName": "l", "type": "DO_WHILE",
            "loopCondition": "$.l['iteration'] < 3",
            "loopOver": [{"name": "b", "taskReferenceName": "b"}]}  # fmt: skip
    of = mocks(a=[mock(FAILED, "no"), mock(x=1)], b=[mock(n=1), mock(n=3)], b__2=[mock(n=2)])
    async with Edge() as edge:
        answer = await edge.podium.TestWorkflow(trying(retried, loop, of=of))
        assert (answer.finished, list(answer.problems)) == (True, [])
        tasks = orjson.loads(answer.workflow.json)["tasks"]
        assert [(task["status"], task.get("reasonForIncompletion")) for task in tasks[:2]] == [
            ("FAILED", "no"),
            ("COMPLETED", None),
        ]
        outputs = [t["outputData"]["n"] for t in tasks if t["referenceTaskName"].startswith("b")]
        assert outputs == [1, 2, 3]


async def test_a_missing_mock_is_named_and_the_rest_is_ended() -> None:
    fork = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN",
            "forkTasks": [[STEP], [{"name": "resize", "taskReferenceName": "resize"}]]}  # fmt: skip
    join = {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": ["a", "resize"]}
    async with Edge() as edge:
        asked = trying(fork, join, of=mocks(a=[mock()], resizee=[mock()]))
        answer = await edge.podium.TestWorkflow(asked)
        assert (answer.finished, list(answer.problems)) == (
            False,
            ["expected a mock for resize (SIMPLE), found none; there is one for resizee"],
        )
        assert dict(tasks_of(answer))["a"] == "COMPLETED"
        found = await status_of(edge, answer.workflow_id)
        assert (found.status, found.reason_for_incompletion) == (4, "the trial is over")
        again = await edge.podium.TestWorkflow(
            trying(STEP, {**STEP, "taskReferenceName": "a2"}, of=mocks(a=[mock(), mock()]))
        )
        assert list(again.problems) == ["expected a mock for a2 (SIMPLE), found none"]
        in_progress = mock(worker_pb2.RESULT_STATUS_IN_PROGRESS)
        more = await edge.podium.TestWorkflow(trying(STEP, of=mocks(a=[in_progress])))
        assert list(more.problems) == [
            "expected a mock for a (SIMPLE), found that all of them are used"
        ]


async def test_mocks_that_nobody_needed_are_told() -> None:
    async with Edge() as edge:
        child = {"s": mocks(x=[mock()])}
        answer = await edge.podium.TestWorkflow(
            trying(STEP, of=mocks(child, a=[mock(), mock()], b=[mock()]))
        )
        assert (answer.finished, list(answer.problems)) == (
            True,
            [
                "expected the mocks of a to be used, found 1 left over",
                "expected the mocks of b to be used, found 1 left over",
                "expected a sub-workflow of s to be started, found none",
            ],
        )


async def test_s_184_children_have_mocks_of_their_own() -> None:
    async with Edge() as edge:
        await registered(edge, "inner", STEP, sub("innermost", "deep"))
        await registered(edge, "innermost", STEP, outputParameters={"x": "${a.output.x}"})
        deep = mocks(a=[mock(x=5)])
        of = mocks({"s": mocks({"deep": deep}, a=[mock()])})
        answer = await edge.podium.TestWorkflow(trying(sub("inner"), of=of))
        found = orjson.loads(answer.workflow.json)
        assert (answer.finished, list(answer.problems)) == (True, [])
        assert found["output"]["x"] == 5
        lacking = mocks({"s": mocks(a=[mock()])})
        answer = await edge.podium.TestWorkflow(trying(sub("inner"), of=lacking))
        assert list(answer.problems) == ["expected a mock for s/deep/a (SIMPLE), found none"]


async def test_nothing_beside_the_execution_is_started_told_or_kept() -> None:
    start = {"name": "go", "taskReferenceName": "go", "type": "START_WORKFLOW",
             "inputParameters": {"startWorkflow": {"name": "other", "version": 1}}}  # fmt: skip
    event = {"name": "e", "taskReferenceName": "e", "type": "EVENT", "sink": "conductor"}
    cached = {**STEP, "cacheConfig": {"key": "k", "ttlInSecond": 60}}
    last = {"name": "z", "taskReferenceName": "z",
            "taskDefinition": {"name": "z", "retryCount": 0}}  # fmt: skip
    async with Edge() as edge:
        await registered(edge, "other", STEP)
        asked = trying(
            cached, start, event, last,
            of=mocks(a=[mock(y=1)], go=[mock(workflowId="x")], e=[mock()], z=[mock(FAILED)]),
            failureWorkflow="other",
            rateLimitConfig={"concurrentExecLimit": 1, "policy": "REJECT"},
        )  # fmt: skip
        for _ in range(2):  # an output that was kept would leave a mock over
            answer = await edge.podium.TestWorkflow(asked)
            found = orjson.loads(answer.workflow.json)
            assert (found["status"], list(answer.problems)) == ("FAILED", [])
            assert "conductor.failure_workflow" not in found["output"]
        ids = [each for part in range(256) for each in await edge.store.scan(part, "", 100)]
        assert len(ids) == 2


async def test_the_time_of_a_trial_is_bounded() -> None:
    slow = {**sub("other"), "startDelay": 3_600}
    async with Edge() as edge:
        asked = trying(slow)
        asked.timeout_ms = 50
        answer = await edge.podium.TestWorkflow(asked)
        assert (answer.finished, answer.timed_out) == (False, True)
        assert list(answer.problems) == ["expected an end in time, found open: s (SUB_WORKFLOW)"]


async def test_an_unsound_trial_is_refused() -> None:
    async with Edge() as edge:
        for asked, text in (
            (trying(STEP, of=mocks(a=[])), "mocks.tasks[a].mocks: expected at least one mock"),
            (
                trying(STEP, of=mocks(a=[mock(9)])),
                "mocks.tasks[a].mocks[0].status: expected one of",
            ),
            (pb.TestWorkflowRequest(), "name: expected a name, found none"),
        ):
            code, found = await refusal(edge, f"{PODIUM}TestWorkflow", asked)
            assert code == "INVALID_ARGUMENT"
            assert text in found
        text = orjson.dumps({"name": "w", "tasks": [STEP]})
        await edge.definitions.RegisterWorkflow(metadata.RegisterWorkflowRequest(json=text))
        asked = pb.TestWorkflowRequest(start=pb.StartItem(name="w"), mocks=mocks(a=[mock()]))
        assert (await edge.podium.TestWorkflow(asked)).finished

"""PushMessage over a real channel."""

from __future__ import annotations

import asyncio

from google.protobuf import json_format

from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import workflow_service_pb2 as workflow
from podium.v1 import worker_pb2
from podium.v1 import workflow_pb2 as podium
from tests.api.calls import PODIUM, refusal, workflow_def
from tests.api.edge import Edge
from tests.api.test_flow import registered, started
from tests.api.waiting import ended


def message(workflow_id: str, text: bytes = b'{"n":1}') -> podium.PushMessageRequest:
    payload = worker_pb2.Payload(json=text)
    return podium.PushMessageRequest(workflow_id=workflow_id, payload=payload)


def messages_of(task: execution.Task) -> list[dict[str, object]]:
    return json_format.MessageToDict(task)["outputData"]["messages"]


async def waiting(edge: Edge, name: str = "one") -> str:
    """An execution whose only task waits for a message."""
    step = definition.WorkflowTask(name="p", task_reference_name="p", type="PULL_WORKFLOW_MESSAGES")
    await registered(edge, workflow_def(name, step))
    return await started(edge, name)


async def test_s_187_a_push_ends_the_task_that_waits() -> None:
    async with Edge() as edge:
        workflow_id = await waiting(edge)
        pushed = await edge.podium.PushMessage(message(workflow_id))
        found = await ended(edge, workflow_id)
        assert found.status == execution.Workflow.COMPLETED
        [taken] = messages_of(found.tasks[0])
        assert (taken["id"], taken["payload"]) == (pushed.message_id, {"n": 1})


async def test_pushes_at_once_are_each_taken_once() -> None:
    async with Edge() as edge:
        step = definition.WorkflowTask(
            name="p", task_reference_name="p", type="PULL_WORKFLOW_MESSAGES"
        )
        loop = definition.WorkflowTask(
            name="l", task_reference_name="l", type="DO_WHILE", loop_over=[step],
            loop_condition="$.l.iteration < 20",
        )  # fmt: skip
        await registered(edge, workflow_def("loop", loop))
        workflow_id = await started(edge, "loop")
        calls = [edge.podium.PushMessage(message(workflow_id)) for _ in range(20)]
        sent = {each.message_id for each in await asyncio.gather(*calls)}
        found = await ended(edge, workflow_id)
        got = [
            each["id"]
            for task in found.tasks if task.task_type == "PULL_WORKFLOW_MESSAGES"
            for each in messages_of(task)
        ]  # fmt: skip
        assert (len(got), set(got)) == (20, sent)


async def test_what_cannot_be_pushed_is_refused() -> None:
    async with Edge() as edge:
        workflow_id = await waiting(edge)
        path = f"{PODIUM}PushMessage"
        assert (await refusal(edge, path, message("")))[0] == "INVALID_ARGUMENT"
        assert (await refusal(edge, path, message("gone")))[0] == "NOT_FOUND"
        assert (await refusal(edge, path, message(workflow_id, b"[]")))[0] == "INVALID_ARGUMENT"
        await edge.workflows.PauseWorkflow(workflow.PauseWorkflowRequest(workflow_id=workflow_id))
        code, text = await refusal(edge, path, message(workflow_id))
        assert (code, "RUNNING" in text, "PAUSED" in text) == ("FAILED_PRECONDITION", True, True)
        await edge.workflows.ResumeWorkflow(workflow.ResumeWorkflowRequest(workflow_id=workflow_id))
        await edge.podium.PushMessage(message(workflow_id))
        await ended(edge, workflow_id)
        assert (await refusal(edge, path, message(workflow_id)))[0] == "FAILED_PRECONDITION"

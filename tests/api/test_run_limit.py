"""A workflow that limits how many of it run (S-047), over a real channel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson

from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import request_pb2 as request
from podium.conductor import task_service_pb2 as task
from podium.conductor import workflow_service_pb2 as workflow
from podium.runtime.gates import is_gate
from podium.v1 import admin_pb2 as admin
from podium.v1 import metadata_pb2 as metadata_v1
from podium.v1 import workflow_pb2 as podium
from tests.api.calls import DEFINITIONS, METADATA, TASKS, WORKFLOWS, refusal, simple
from tests.api.edge import Edge
from tests.api.test_flow import completed, polled, registered, started, status_of
from tests.api.test_parking import refused
from tests.api.waiting import ended
from tests.runtime.rig import poison

if TYPE_CHECKING:
    import pytest


def limited(limit: int, key: str = "") -> definition.WorkflowDef:
    made = definition.WorkflowDef(name="one", tasks=[simple("step")])
    made.rate_limit_config.concurrent_exec_limit = limit
    made.rate_limit_config.rate_limit_key = key
    return made


def gates_of(edge: Edge) -> list[str]:
    """The queues of gates that are being granted."""
    known = edge.runtime.dispatcher.known()
    return [each.queue.task_type for each in known if is_gate(each.queue) and each.workers]


async def test_what_waits_is_running_without_tasks_and_begins_when_another_ends() -> None:
    async with Edge() as edge:
        await registered(edge, limited(1, "${workflow.input.of}"))
        ids: list[str] = []
        for of in ("x", "x", "x", "y"):
            ids.append(await started(edge, of=of))
            await asyncio.sleep(0.002)
        got = {(each := await polled(edge)).workflow_instance_id: each for _ in range(2)}
        assert set(got) == {ids[0], ids[3]}
        for waiting in ids[1:3]:
            found = await status_of(edge, waiting)
            assert (found.status, len(found.tasks)) == (execution.Workflow.RUNNING, 0)
        stop = workflow.TerminateWorkflowRequest(workflow_id=ids[1], reason="enough")
        await edge.workflows.TerminateWorkflow(stop)
        await completed(edge, got[ids[0]])
        await completed(edge, await polled(edge))
        for workflow_id in (ids[0], ids[2]):
            found = await ended(edge, workflow_id)
            assert found.status == execution.Workflow.COMPLETED
            assert [each.reference_task_name for each in found.tasks] == ["step"]
        found = await ended(edge, ids[1])
        assert (found.status, len(found.tasks)) == (execution.Workflow.TERMINATED, 0)


async def test_a_queue_of_gates_can_be_polled_by_nobody() -> None:
    async with Edge() as edge:
        asked = task.PollRequest(task_type="gate\x1fone\x1fone", worker_id="w")
        code, text = await refusal(edge, f"{TASKS}Poll", asked)
        assert (code, "control characters" in text) == ("INVALID_ARGUMENT", True)


async def test_gates_leave_no_poll_data() -> None:
    """A key's queue comes and goes with its executions; poll data of it would stay for ever."""
    async with Edge() as edge:
        await registered(edge, limited(1, "${workflow.input.of}"))
        await started(edge, of="x")
        await started(edge, of="x")
        async with asyncio.timeout(30):
            while not (gates := gates_of(edge)):  # noqa: ASYNC110 - it has no signal
                await asyncio.sleep(0.01)
        await edge.runtime.polls.note_workers()
        assert [await edge.store.poll_data(gate) for gate in gates] == [{}]


async def test_an_unsound_limit_is_refused_with_its_place() -> None:
    async with Edge() as edge:
        asked = metadata.CreateWorkflowRequest(workflow=limited(-1))
        code, text = await refusal(edge, f"{METADATA}CreateWorkflow", asked)
        place = "rateLimitConfig.concurrentExecLimit"
        expected = f"{place}: expected a whole number of 0 or more, found -1"
        assert (code, text) == ("INVALID_ARGUMENT", expected)


async def test_a_parked_one_keeps_its_slot_until_it_is_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Edge() as edge:
        await registered(edge, limited(1))
        bad = await started(edge)
        await polled(edge)
        good = await started(edge)
        with monkeypatch.context() as patch:
            poison(patch, edge.runtime, bad)
            await refused(edge, bad)
            assert (await status_of(edge, good)).tasks == []
            await edge.admin.PurgeParked(admin.PurgeParkedRequest(workflow_id=bad))
        await completed(edge, await polled(edge))
        assert (await ended(edge, good)).status == execution.Workflow.COMPLETED


def rejecting(limit: int, name: str = "one") -> definition.WorkflowDef:
    made = limited(limit)
    made.name = name
    made.rate_limit_config.policy = definition.RateLimitConfig.REJECT
    return made


async def test_a_start_over_a_limit_that_rejects_is_refused() -> None:
    async with Edge() as edge:
        await registered(edge, rejecting(1))
        first = await started(edge)
        asked = request.StartWorkflowRequest(name="one")
        code, text = await refusal(edge, f"{WORKFLOWS}StartWorkflow", asked)
        assert code == "RESOURCE_EXHAUSTED"
        assert text == (
            "expected fewer than 1 running executions of workflow one (its rateLimitConfig rejects"
            " more), found 1, or others that wait; nothing was started"
        )
        items = [podium.StartItem(name="one"), podium.StartItem(name="one")]
        batch = await edge.podium.StartWorkflows(podium.StartWorkflowsRequest(items=items))
        assert [each.error.code for each in batch.results] == [8, 8]
        await completed(edge, await polled(edge))
        await ended(edge, first)
        async with asyncio.timeout(30):
            while True:
                batch = await edge.podium.StartWorkflows(podium.StartWorkflowsRequest(items=items))
                codes = sorted(each.error.code for each in batch.results)
                if codes != [8, 8]:
                    break
                await asyncio.sleep(0.01)
        assert codes == [0, 8]


async def test_a_repeated_start_finds_its_own_that_is_in_the_way() -> None:
    async with Edge() as edge:
        await registered(edge, rejecting(1))
        item = podium.StartItem(name="one", idempotency_key="k")
        other = podium.StartItem(name="one", idempotency_key="other")
        fails = podium.StartItem(
            name="one",
            idempotency_key="k",
            idempotency_strategy=podium.IDEMPOTENCY_STRATEGY_FAIL_ON_RUNNING,
        )
        found: list[podium.StartResult] = []
        for each in (item, item, other, fails):
            asked = podium.StartWorkflowsRequest(items=[each])
            found += (await edge.podium.StartWorkflows(asked)).results
        assert found[1].workflow_id == found[0].workflow_id
        assert (found[0].existing, found[1].existing) == (False, True)
        assert [each.error.code for each in found[2:]] == [8, 6]


async def test_a_child_that_is_refused_fails_its_task() -> None:
    async with Edge() as edge:
        child = definition.SubWorkflowParams(name="one", version=1)
        sub = definition.WorkflowTask(
            name="s", task_reference_name="s", type="SUB_WORKFLOW", sub_workflow_param=child
        )
        await registered(edge, rejecting(1), definition.WorkflowDef(name="outer", tasks=[sub]))
        await started(edge)
        found = await ended(edge, await started(edge, "outer"))
        assert found.status == execution.Workflow.FAILED
        reason = found.tasks[0].reason_for_incompletion
        assert "expected fewer than 1 running executions of workflow one" in reason


async def test_another_policy_is_refused_with_its_place() -> None:
    async with Edge() as edge:
        document = {"name": "w", "tasks": [{"name": "a", "taskReferenceName": "a"}]}
        config = {"concurrentExecLimit": 1, "policy": "WAIT"}
        text = orjson.dumps({**document, "rateLimitConfig": config})
        asked = metadata_v1.RegisterWorkflowRequest(json=text)
        code, found = await refusal(edge, f"{DEFINITIONS}RegisterWorkflow", asked)
        expected = "rateLimitConfig.policy: expected QUEUE or REJECT, found WAIT"
        assert (code, found) == ("INVALID_ARGUMENT", expected)

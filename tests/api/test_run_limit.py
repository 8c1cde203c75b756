"""A workflow that limits how many of it run (S-047), over a real channel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import task_service_pb2 as task
from podium.conductor import workflow_service_pb2 as workflow
from podium.runtime.gates import is_gate
from podium.v1 import admin_pb2 as admin
from tests.api.calls import METADATA, TASKS, refusal, simple
from tests.api.edge import Edge
from tests.api.test_flow import completed, polled, registered, started, status_of
from tests.api.test_parking import poison, refused
from tests.api.waiting import ended

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

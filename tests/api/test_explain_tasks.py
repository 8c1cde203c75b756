"""Explain, of tasks: each planted cause is named with its fields, over a real channel."""

from __future__ import annotations

import asyncio
import re

import pytest

from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import request_pb2 as request
from podium.conductor import task_service_pb2 as task
from podium.conductor import workflow_service_pb2 as workflow
from podium.model.queue import Queue
from podium.v1 import admin_explain_pb2 as pb
from tests.api.calls import refusal, simple
from tests.api.edge import Edge
from tests.api.explaining import asked_for, explain, kind_of, kinds, the, typed, until
from tests.api.test_flow import completed, polled, registered, started
from tests.api.test_operators import flow, scripted
from tests.runtime.rig import Hand

PATH = "/podium.v1.AdminService/Explain"


async def test_no_worker_of_the_type() -> None:
    async with Edge() as edge:
        await registered(edge, flow(simple("a")))
        workflow_id = await started(edge, "scripts")
        found = await explain(edge, workflow_id)
        assert (found.workflow_name, found.status, kinds(found)) == (
            "scripts", "RUNNING", ["NO_WORKER"],
        )  # fmt: skip
        cause = the(found, "NO_WORKER")
        assert (cause.task_type, cause.domain, cause.queue_size) == ("a", "", 1)
        assert [each.reference for each in cause.tasks] == ["a"]
        assert cause.tasks[0].task_id.startswith(f"{workflow_id}.")
        assert cause.since_ms > 0
        assert cause.message.startswith("Task a waits for a worker of a for less than a second")
        assert cause.remedy == "Start a worker of a."


async def test_workers_in_another_domain() -> None:
    async with Edge() as edge:
        await registered(edge, flow(simple("a")))
        await asked_for(edge, "a", "us")
        asked = request.StartWorkflowRequest(name="scripts", task_to_domain={"a": "eu"})
        workflow_id = (await edge.workflows.StartWorkflow(asked)).workflow_id
        cause = the(await explain(edge, workflow_id), "WRONG_DOMAIN")
        assert (cause.task_type, cause.domain, list(cause.domains)) == ("a", "eu", ["us"])
        assert "in domain 'us', and none in domain 'eu'" in cause.message


async def test_a_rate_limit() -> None:
    async with Edge() as edge:
        await typed(edge, "a", rate_limit_per_frequency=1, rate_limit_frequency_in_seconds=60)
        await registered(edge, flow(simple("a")))
        await started(edge, "scripts")
        await polled(edge, "a")
        workflow_id = await started(edge, "scripts")
        await asked_for(edge, "a")
        cause = the(await explain(edge, workflow_id), "RATE_LIMITED")
        assert (cause.limit, cause.in_use) == (1, 1)
        assert 0 < cause.until_ms - cause.since_ms <= 60_000
        assert "1 of 1 that its rate limit lets begin in 1 minute have begun" in cause.message


async def test_a_concurrency_limit() -> None:
    async with Edge() as edge:
        await typed(edge, "a", concurrent_exec_limit=1)
        await registered(edge, flow(simple("a")))
        await started(edge, "scripts")
        holder = await polled(edge, "a")
        workflow_id = await started(edge, "scripts")
        await asked_for(edge, "a")
        cause = the(await explain(edge, workflow_id), "CONCURRENCY_LIMITED")
        assert (cause.limit, cause.in_use, list(cause.holders)) == (1, 1, [holder.task_id])
        await completed(edge, holder)
        assert "CONCURRENCY_LIMITED" not in kinds(await explain(edge, workflow_id))


async def test_a_retry_delay() -> None:
    async with Edge() as edge:
        await typed(edge, "a", retry_count=3, retry_delay_seconds=3600)
        await registered(edge, flow(simple("a")))
        workflow_id = await started(edge, "scripts")
        got = await polled(edge, "a")
        failed = execution.TaskResult(workflow_instance_id=workflow_id, task_id=got.task_id,
                                      status=execution.TaskResult.FAILED)  # fmt: skip
        await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=failed))
        cause = the(await explain(edge, workflow_id), "RETRY_DELAY")
        assert cause.attempts == 2
        assert 3_590_000 < cause.until_ms - cause.since_ms <= 3_600_000
        assert cause.message.startswith("Task a is tried again: attempt 2, ready in ")
        assert "ResetWorkflowCallbacks" in cause.remedy


async def test_a_delayed_start_and_a_worker_that_is_to_be_called_again() -> None:
    async with Edge() as edge:
        await registered(edge, flow(simple("a", start_delay=3600)))
        workflow_id = await started(edge, "scripts")
        cause = the(await explain(edge, workflow_id), "DELAYED")
        assert cause.message.startswith("Task a has a startDelay, ready in ")
        assert cause.until_ms - cause.since_ms == 3_600_000
        await edge.workflows.ResetWorkflowCallbacks(
            workflow.ResetWorkflowCallbacksRequest(workflow_id=workflow_id)
        )
        got = await polled(edge, "a")
        later = execution.TaskResult(workflow_instance_id=workflow_id, task_id=got.task_id,
                                     status=execution.TaskResult.IN_PROGRESS,
                                     callback_after_seconds=1800)  # fmt: skip
        await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=later))
        cause = the(await explain(edge, workflow_id), "DELAYED")
        # Within the same millisecond all of it is left
        called = r"Task a: its worker asked to be called again, ready in (29|30) minutes"
        assert re.match(called, cause.message), cause.message
        assert 1_790_000 < cause.until_ms - cause.since_ms <= 1_800_000


async def test_a_wait_and_a_human() -> None:
    async with Edge() as edge:
        fork = definition.WorkflowTask(name="f", task_reference_name="f", type="FORK_JOIN")
        for each in (scripted("WAIT", "w", duration="2 hours"), scripted("WAIT", "ever"),
                     scripted("HUMAN", "h")):  # fmt: skip
            fork.fork_tasks.add().tasks.append(each)
        await registered(edge, flow(fork, simple("j", type="JOIN", join_on=["w", "ever", "h"])))
        workflow_id = await started(edge, "scripts")
        found = await explain(edge, workflow_id)
        signals = {
            cause.tasks[0].reference: cause
            for cause in found.causes
            if kind_of(cause) == "WAITING_SIGNAL"
        }
        assert set(signals) == {"w", "ever", "h"}
        assert signals["w"].until_ms - signals["w"].since_ms == 7_200_000
        assert re.search(r"or until it is over in (1 hour|2 hours)", signals["w"].message)
        assert signals["ever"].until_ms == signals["h"].until_ms == 0
        assert signals["h"].message.startswith("HUMAN task h waits for a signal")
        assert found.more_open == 0


async def test_a_join_names_the_branches_it_waits_for() -> None:
    async with Edge() as edge:
        fork = definition.WorkflowTask(name="f", task_reference_name="f", type="FORK_JOIN")
        for each in ("a", "b"):
            fork.fork_tasks.add().tasks.append(simple(each))
        fork.fork_tasks[1].tasks.append(simple("c"))
        joined = simple("j", type="JOIN", join_on=["a", "c"])
        await registered(edge, flow(fork, joined))
        workflow_id = await started(edge, "scripts")
        await completed(edge, await polled(edge, "a"))
        found = await explain(edge, workflow_id)
        assert kinds(found) == ["NO_WORKER", "MISSING_BRANCH"]
        cause = the(found, "MISSING_BRANCH")
        assert cause.message == "JOIN j waits for c (not scheduled)."
        assert [(each.reference, bool(each.task_id)) for each in cause.tasks] == [
            ("j", True), ("c", False),
        ]  # fmt: skip
        await completed(edge, await polled(edge, "b"))
        cause = the(await explain(edge, workflow_id), "MISSING_BRANCH")
        assert cause.message == "JOIN j waits for c (SCHEDULED)."


async def test_a_lease_names_worker_and_deadline() -> None:
    async with Edge() as edge:
        await typed(edge, "a", response_timeout_seconds=600, timeout_seconds=3600)
        await registered(edge, flow(simple("a"), simple("b")))
        workflow_id = await started(edge, "scripts")
        got = await polled(edge, "a")
        cause = the(await explain(edge, workflow_id), "LEASED")
        assert (cause.worker_id, cause.session, cause.attempts) == ("w", "", 1)
        assert cause.deadline_ms - cause.since_ms == 600_000
        assert cause.message.startswith("Worker w works on task a for less than a second, from a p")
        await completed(edge, got)
        hand = Hand(edge.runtime, "streamer", [Queue("b")], 1)
        taken = await hand.take()
        cause = the(await explain(edge, workflow_id), "LEASED")
        assert (cause.worker_id, cause.session) == ("streamer", "session-streamer")
        assert "over its stream" in cause.message
        edge.runtime.leases.orphan(hand)
        cause = the(await explain(edge, workflow_id), "LEASED")
        assert "over a stream that is broken" in cause.message
        assert taken.id == cause.tasks[0].task_id


async def test_workers_that_are_busy() -> None:
    async with Edge() as edge:
        await registered(edge, flow(simple("a")))
        hand = Hand(edge.runtime, "busy", [Queue("a")], 1)
        await started(edge, "scripts")
        await hand.take()
        workflow_id = await started(edge, "scripts")
        cause = the(await until(edge, workflow_id, "WORKERS_BUSY"), "WORKERS_BUSY")
        assert (list(cause.workers), cause.queue_size) == (["busy"], 1)
        assert "1 worker here" in cause.message


async def ready_count(edge: Edge, workflow_id: str) -> int:
    return len((await edge.store.entries(workflow_id, 0)).ready)


@pytest.mark.timeout(90)
async def test_ten_thousand_branches_are_not_read_to_name_a_few() -> None:
    count = 10_000
    async with Edge() as edge:
        fork = scripted(
            "FORK_JOIN_DYNAMIC", "f",
            forkTaskName="a", forkTaskInputs="${workflow.input.items}",
        )  # fmt: skip
        fork.dynamic_fork_tasks_param = "x"
        await registered(edge, flow(fork, simple("j", type="JOIN")))
        workflow_id = await started(edge, "scripts", items=[{"n": each} for each in range(count)])
        async with asyncio.timeout(60):
            while await ready_count(edge, workflow_id) < count:  # noqa: ASYNC110 - it has no signal
                await asyncio.sleep(0.05)
        read: list[int] = []
        real = edge.store.load

        async def counting(asked: str, names: list[str] | None) -> object:
            assert names is not None
            read.append(len(names))
            return await real(asked, names)

        edge.store.load = counting  # pyright: ignore[reportAttributeAccessIssue]
        found = await explain(edge, workflow_id)
        assert sum(read) < 4_000
        cause = the(found, "NO_WORKER")
        assert len(cause.tasks) == 10
        assert cause.queue_size == count
        join = the(found, "MISSING_BRANCH")
        assert "and 9990 more" in join.message
        assert len(cause.tasks) + cause.more_tasks + found.more_open == count


async def test_bad_input_is_refused() -> None:
    async with Edge() as edge:
        assert await refusal(edge, PATH, b"") == (
            "INVALID_ARGUMENT", "workflow_id: expected a workflow id, found none",
        )  # fmt: skip
        assert await refusal(edge, PATH, pb.ExplainRequest(workflow_id="nobody")) == (
            "NOT_FOUND", "expected the id of a workflow, found no workflow nobody",
        )  # fmt: skip
        code, text = await refusal(edge, PATH, b"\xff\xff")
        assert (code, "found bytes that are none" in text) == ("INVALID_ARGUMENT", True)
        code, _ = await refusal(edge, PATH, pb.ExplainRequest(workflow_id="x" * 300))
        assert code == "NOT_FOUND"


async def test_a_loop_is_told_by_the_task_in_its_present_iteration() -> None:
    async with Edge() as edge:
        condition = "if ($.l['iteration'] < 3) {true;} else {false;}"
        loop = simple("l", type="DO_WHILE", loop_condition=condition)
        loop.loop_over.append(simple("a"))
        await registered(edge, flow(loop))
        workflow_id = await started(edge, "scripts")
        await completed(edge, await polled(edge, "a"))
        await polled(edge, "a")
        found = await explain(edge, workflow_id)
        assert kinds(found) == ["LEASED"]
        assert [each.reference for each in the(found, "LEASED").tasks] == ["a__2"]
        assert found.more_open == 0

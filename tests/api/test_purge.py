"""PurgeWorkflow and SetLogLevel over a real channel."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from podium.conductor import execution_pb2 as execution
from podium.conductor import workflow_service_pb2 as workflow
from podium.store.inspection import Entries
from podium.v1 import admin_mend_pb2 as pb
from podium.v1 import admin_pb2 as admin
from tests.api.calls import WORKFLOWS, refusal, simple
from tests.api.edge import Edge
from tests.api.explaining import typed
from tests.api.test_flow import completed, polled, registered, started, status_of
from tests.api.test_operators import flow
from tests.api.test_parking import child_of, poison, refused
from tests.api.waiting import ended

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LEVEL = "/podium.v1.AdminService/SetLogLevel"
PURGE = "/podium.v1.AdminService/PurgeWorkflow"


async def purged(edge: Edge, workflow_id: str) -> pb.PurgeWorkflowResponse:
    return await edge.admin.PurgeWorkflow(pb.PurgeWorkflowRequest(workflow_id=workflow_id))


async def gone(edge: Edge, workflow_id: str) -> None:
    asked = workflow.GetWorkflowStatusRequest(workflow_id=workflow_id)
    assert (await refusal(edge, f"{WORKFLOWS}GetWorkflowStatus", asked))[0] == "NOT_FOUND"
    assert await edge.store.entries(workflow_id, 0) == Entries()
    again = pb.PurgeWorkflowRequest(workflow_id=workflow_id)
    assert (await refusal(edge, PURGE, again))[0] == "NOT_FOUND"


async def test_one_that_runs_goes_with_its_task_and_its_slot() -> None:
    async with Edge() as edge:
        await typed(edge, "a", concurrent_exec_limit=1)
        await registered(edge, flow(simple("a")))
        first, second = await started(edge, "scripts"), await started(edge, "scripts")
        got = await polled(edge, "a")
        other = second if got.workflow_instance_id == first else first
        answer = await purged(edge, got.workflow_instance_id)
        assert answer == pb.PurgeWorkflowResponse(status="RUNNING")
        await gone(edge, got.workflow_instance_id)
        assert (await polled(edge, "a")).workflow_instance_id == other


async def test_one_that_ended_goes_and_its_archived_copy_too() -> None:
    async with Edge() as edge:
        await registered(edge, flow(simple("a")))
        workflow_id = await started(edge, "scripts")
        await completed(edge, await polled(edge, "a"))
        await ended(edge, workflow_id)
        remove = workflow.RemoveWorkflowRequest(workflod_id=workflow_id, archive_workflow=True)
        await edge.workflows.RemoveWorkflow(remove)
        assert await purged(edge, workflow_id) == pb.PurgeWorkflowResponse(archived=True)
        await gone(edge, workflow_id)
        workflow_id = await started(edge, "scripts")
        await completed(edge, await polled(edge, "a"))
        await ended(edge, workflow_id)
        assert await purged(edge, workflow_id) == pb.PurgeWorkflowResponse(status="COMPLETED")


async def test_a_parked_child_is_taken_out_and_its_parent_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Edge() as edge:
        parent_id, got = await child_of(edge)
        child_id = got.workflow_instance_id
        with monkeypatch.context() as patch:
            poison(patch, edge.runtime, child_id)
            await refused(edge, child_id)
            answer = await purged(edge, child_id)
        assert answer == pb.PurgeWorkflowResponse(status="RUNNING", forced=True)
        await gone(edge, child_id)
        assert (await edge.admin.ListParked(admin.ListParkedRequest())).executions == []
        assert (await ended(edge, parent_id)).status == execution.Workflow.FAILED
        assert (
            "an operator removed it" in (await status_of(edge, parent_id)).reason_for_incompletion
        )


async def test_records_that_cannot_be_read_are_taken_out_with_their_slot() -> None:
    async with Edge() as edge:
        await typed(edge, "a", concurrent_exec_limit=1)
        await registered(edge, flow(simple("a")))
        first = await started(edge, "scripts")
        assert (await polled(edge, "a")).workflow_instance_id == first
        second = await started(edge, "scripts")
        edge.store.executions[first].fields["h"] = b"\x09\x90"
        edge.runtime.executor.forget(first)
        assert await purged(edge, first) == pb.PurgeWorkflowResponse(forced=True)
        await gone(edge, first)
        assert (await polled(edge, "a")).workflow_instance_id == second


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    async with Edge() as made:
        yield made


async def test_a_level_is_set_for_a_while_and_goes_back_by_itself(edge: Edge) -> None:
    logger = logging.getLogger("podium.api")
    before = logger.level
    ask = pb.SetLogLevelRequest(logger="podium.api", level="DEBUG", seconds=600)
    answer = await edge.admin.SetLogLevel(ask)
    assert answer.former_level == "WARNING"
    assert 0 < answer.until_ms - edge.clock.now_ms() <= 600_000
    assert logger.level == logging.DEBUG
    again = pb.SetLogLevelRequest(logger="podium.api", level="ERROR", seconds=1)
    assert (await edge.admin.SetLogLevel(again)).former_level == "DEBUG"
    assert logger.level == logging.ERROR
    async with asyncio.timeout(15):
        while logger.level != before:  # noqa: ASYNC110 - it has no signal
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("ask", "code", "text"),
    [
        (pb.SetLogLevelRequest(level="INFO"), "INVALID_ARGUMENT", "logger: expected the name of a"),
        (
            pb.SetLogLevelRequest(logger="podium.nothing", level="INFO"),
            "NOT_FOUND",
            "logger: expected root, one of podium",
        ),
        (
            pb.SetLogLevelRequest(logger="podium.api", level="LOUD"),
            "INVALID_ARGUMENT",
            "level: expected one of DEBUG, INFO, WARNING, ERROR, CRITICAL, found LOUD",
        ),
        (
            pb.SetLogLevelRequest(logger="podium.api", level="INFO", seconds=86_401),
            "INVALID_ARGUMENT",
            "seconds: expected 0 to 86400, found 86401",
        ),
        (
            pb.SetLogLevelRequest(logger="podium.api", level="INFO", seconds=-1),
            "INVALID_ARGUMENT",
            "seconds: expected 0 to 86400, found -1",
        ),
        (
            pb.SetLogLevelRequest(logger="a\nb", level="INFO"),
            "INVALID_ARGUMENT",
            "logger: expected text without control characters",
        ),
    ],
)
async def test_levels_that_cannot_be_set_are_refused(
    edge: Edge, ask: pb.SetLogLevelRequest, code: str, text: str
) -> None:
    before = logging.getLogger("podium.api").level
    found = await refusal(edge, LEVEL, ask)
    assert (found[0], found[1][: len(text)]) == (code, text)
    assert logging.getLogger("podium.api").level == before

"""Executions that cannot be decided: parked, listed, refused, retried, removed; others go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from podium.app.start import StartWorkflow
from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import workflow_service_pb2 as workflow
from podium.runtime.clock import SystemIds
from podium.runtime.service import Runtime, Settings
from podium.v1 import admin_pb2 as admin
from tests.api.calls import WORKFLOWS, refusal, simple
from tests.api.edge import Edge
from tests.api.test_flow import completed, polled, registered, started, status_of
from tests.api.waiting import ended
from tests.runtime.rig import poison

if TYPE_CHECKING:
    from collections.abc import Mapping

ADMIN = "/podium.v1.AdminService/"
BAD_BYTES = {
    "no bytes": b"",
    "another format": b"\x09\x90",
    "no MessagePack": b"\x01\xc1",
    "cut": b"\x01\xdc\x00\x30\xa1",
    "another shape": b"\x01\x93\x01\x02\x03",
    "an unknown status": b"\x01\x95\xa1a\xa1b\x01\xa1d\xa7MELTING",
}


async def parked(edge: Edge) -> list[admin.ParkedExecution]:
    return list((await edge.admin.ListParked(admin.ListParkedRequest())).executions)


async def refused(edge: Edge, workflow_id: str) -> None:
    """A command to it is refused, and does not tell why."""
    asked = workflow.PauseWorkflowRequest(workflow_id=workflow_id)
    code, text = await refusal(edge, f"{WORKFLOWS}PauseWorkflow", asked)
    assert code == "FAILED_PRECONDITION"
    assert text.startswith("expected a workflow that can be decided, found it parked")


def fields_of(edge: Edge, workflow_id: str) -> Mapping[str, bytes]:
    return edge.store.executions[workflow_id].fields


@pytest.mark.parametrize("value", BAD_BYTES.values(), ids=BAD_BYTES.keys())
@pytest.mark.parametrize("field", ["h", "t"])
async def test_bytes_that_cannot_be_read_harm_their_execution_only(
    field: str, value: bytes
) -> None:
    async with Edge() as edge:
        await registered(edge, definition.WorkflowDef(name="one", tasks=[simple("a")]))
        bad, good = await started(edge), await started(edge)
        got = {each.workflow_instance_id: each for each in [await polled(edge, "a") for _ in "12"]}
        stored = edge.store.executions[bad].fields
        name = next(each for each in stored if each.startswith(field))
        sound, stored[name] = stored[name], value
        edge.runtime.deciding._cache.drop(bad)
        for _ in range(2):
            if field == "h":
                await refused(edge, bad)
            else:
                with pytest.raises(Exception, match="found it parked"):
                    await completed(edge, got[bad])
        [found] = await parked(edge)
        assert (found.workflow_id, found.parked_ms > 0) == (bad, True)
        assert found.error_type in {"StoredFormatUnknown", "ValidationError", "DecodeError"}
        assert found.place.partition(".")[0] in {"codec", "execution"}
        await completed(edge, got[good])
        assert (await ended(edge, good)).status == execution.Workflow.COMPLETED
        # What was wrong is put right: it goes on.
        stored[name] = sound
        await edge.admin.RetryParked(admin.RetryParkedRequest(workflow_id=bad))
        assert await parked(edge) == []
        await completed(edge, got[bad])
        assert (await ended(edge, bad)).status == execution.Workflow.COMPLETED


async def test_a_parked_execution_stays_parked_over_a_restart_until_it_is_retried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Edge() as edge:
        await registered(edge, definition.WorkflowDef(name="one", tasks=[simple("a")]))
        bad = await started(edge)
        got = await polled(edge, "a")
        with monkeypatch.context() as patch:
            poison(patch, edge.runtime, bad)
            await refused(edge, bad)
        [found] = await parked(edge)
        assert (found.command, found.error_type) == ("Pause", "ZeroDivisionError")
        assert "secret" in caplog.text
        another = Runtime(
            store=edge.store, registry=edge.registry, clock=edge.clock, ids=SystemIds(),
            settings=Settings(),
        )  # fmt: skip
        await another.start(StartWorkflow(edge.services).start_child)
        assert another.parking.holds(bad)
        another.kill()
        for call in ("RetryParked", "PurgeParked"):
            asked = getattr(admin, f"{call}Request")(workflow_id="none")
            assert await refusal(edge, f"{ADMIN}{call}", asked) == (
                "NOT_FOUND",
                "expected a parked workflow, found none with id none",
            )
        await edge.admin.RetryParked(admin.RetryParkedRequest(workflow_id=bad))
        await completed(edge, got)
        assert (await ended(edge, bad)).status == execution.Workflow.COMPLETED


async def test_an_effect_of_a_parked_child_is_carried_out_after_the_retry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Edge() as edge:
        parent_id, child = await child_of(edge)
        with monkeypatch.context() as patch:
            poison(patch, edge.runtime, parent_id)
            await completed(edge, child)
            await refused(edge, parent_id)
        await edge.admin.RetryParked(admin.RetryParkedRequest(workflow_id=parent_id))
        assert (await ended(edge, parent_id)).status == execution.Workflow.COMPLETED


async def child_of(edge: Edge) -> tuple[str, execution.Task]:
    part = simple("part", type="SUB_WORKFLOW")
    part.sub_workflow_param.name = "child"
    await registered(
        edge,
        definition.WorkflowDef(name="child", tasks=[simple("a")]),
        definition.WorkflowDef(name="one", tasks=[part]),
    )
    return await started(edge), await polled(edge, "a")


async def test_a_purged_child_is_reported_to_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Edge() as edge:
        parent_id, task = await child_of(edge)
        child_id = task.workflow_instance_id
        with monkeypatch.context() as patch:
            poison(patch, edge.runtime, child_id)
            await refused(edge, child_id)
            await edge.admin.PurgeParked(admin.PurgeParkedRequest(workflow_id=child_id))
        assert await parked(edge) == []
        parent = await ended(edge, parent_id)
        assert parent.status == execution.Workflow.FAILED
        assert "found that an operator removed it" in parent.reason_for_incompletion
        asked = workflow.GetWorkflowStatusRequest(workflow_id=child_id)
        assert (await refusal(edge, f"{WORKFLOWS}GetWorkflowStatus", asked))[0] == "NOT_FOUND"
        assert (await status_of(edge, parent_id)).tasks[0].status == execution.Task.FAILED

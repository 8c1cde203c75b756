"""Rows of the bulk calls of podium.v1.WorkflowService; tests/conformance/test_bulk.py has more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.api.every.acting import PODIUM, WORKFLOWS, begun, failed, look, status, take
from tests.api.every.calling import row

if TYPE_CHECKING:
    from tests.api.every.calling import Rpcs


async def done(rpcs: Rpcs, verb: str, ids: list[str], **fields: Any) -> None:
    """The call does it to all ids, and tells of one that is none."""
    answer = await rpcs.ask(f"{PODIUM}{verb}", workflow_ids=[*ids, "none"], **fields)
    *good, bad = answer["results"]
    assert good == [{"workflow_id": each} for each in ids]
    assert (bad["workflow_id"], bad["error"]["code"]) == ("none", 5)


@row(f"{PODIUM}PauseWorkflows")
async def pause(rpcs: Rpcs) -> None:
    ids = await begun(rpcs, 2)
    await done(rpcs, "PauseWorkflows", ids)
    assert await status(rpcs, *ids) == ["PAUSED"] * 2


@row(f"{PODIUM}ResumeWorkflows")
async def resume(rpcs: Rpcs) -> None:
    ids = await begun(rpcs, 2)
    for each in ids:
        await rpcs.ask(f"{WORKFLOWS}PauseWorkflow", workflow_id=each)
    await done(rpcs, "ResumeWorkflows", ids)
    assert await status(rpcs, *ids) == ["RUNNING"] * 2


@row(f"{PODIUM}TerminateWorkflows")
async def terminate(rpcs: Rpcs) -> None:
    ids = await begun(rpcs, 2)
    await done(rpcs, "TerminateWorkflows", ids, reason="enough")
    for each in ids:
        read = await look(rpcs, each)
        assert (read["status"], read["reason_for_incompletion"]) == ("TERMINATED", "enough")


@row(f"{PODIUM}RetryWorkflows")
async def retry(rpcs: Rpcs) -> None:
    workflow_id = await failed(rpcs)
    await done(rpcs, "RetryWorkflows", [workflow_id])
    assert (await take(rpcs, "b"))["workflow_instance_id"] == workflow_id


@row(f"{PODIUM}RestartWorkflows")
async def restart(rpcs: Rpcs) -> None:
    workflow_id = await failed(rpcs)
    await done(rpcs, "RestartWorkflows", [workflow_id])
    assert (await take(rpcs))["workflow_instance_id"] == workflow_id


async def are_gone(rpcs: Rpcs, ids: list[str]) -> None:
    for each in ids:
        gone = {"workflow_id": each}
        assert await rpcs.refused(f"{WORKFLOWS}GetWorkflowStatus", **gone) == "NOT_FOUND"


@row(f"{PODIUM}RemoveWorkflows")
async def remove(rpcs: Rpcs) -> None:
    ids = await begun(rpcs, 2)
    await done(rpcs, "RemoveWorkflows", ids)
    await are_gone(rpcs, ids)


@row(f"{PODIUM}TerminateAndRemoveWorkflows")
async def terminate_and_remove(rpcs: Rpcs) -> None:
    ids = await begun(rpcs, 2)
    asked = {"archive_workflow": True, "reason": "cleared"}
    await done(rpcs, "TerminateAndRemoveWorkflows", ids, **asked)
    assert (await look(rpcs, ids[0]))["reason_for_incompletion"] == "cleared"
    await done(rpcs, "TerminateAndRemoveWorkflows", ids)
    await are_gone(rpcs, ids)

"""Rows of podium.v1.AdminService."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.api.every.acting import WORKFLOWS, begun, ended, report, status, take
from tests.api.every.calling import row
from tests.runtime.rig import poison

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.api.every.calling import Rpcs

ADMIN = "podium.v1.AdminService/"


@asynccontextmanager
async def parked(rpcs: Rpcs, workflow_id: str) -> AsyncIterator[None]:
    """Within the block no decision of this execution comes about, and it is parked."""
    with pytest.MonkeyPatch.context() as patch:
        poison(patch, rpcs.edge.runtime, workflow_id)
        asked = {"workflow_id": workflow_id}
        assert await rpcs.refused(f"{WORKFLOWS}ResumeWorkflow", **asked) == "FAILED_PRECONDITION"
        yield


@row(f"{ADMIN}ListParked")
async def list_parked(rpcs: Rpcs) -> None:
    [bad, _] = await begun(rpcs, 2)
    async with parked(rpcs, bad):
        [found] = (await rpcs.ask(f"{ADMIN}ListParked"))["executions"]
        assert (found["workflow_id"], found["error_type"]) == (bad, "ZeroDivisionError")


@row(f"{ADMIN}RetryParked")
async def retry_parked(rpcs: Rpcs) -> None:
    [bad] = await begun(rpcs)
    async with parked(rpcs, bad):
        pass
    await rpcs.ask(f"{ADMIN}RetryParked", workflow_id=bad)
    assert await rpcs.ask(f"{ADMIN}ListParked") == {}
    await report(rpcs, await take(rpcs))
    assert (await ended(rpcs, bad))["status"] == "COMPLETED"


@row(f"{ADMIN}PurgeParked")
async def purge_parked(rpcs: Rpcs) -> None:
    [bad, good] = await begun(rpcs, 2)
    async with parked(rpcs, bad):
        await rpcs.ask(f"{ADMIN}PurgeParked", workflow_id=bad)
    gone = {"workflow_id": bad}
    assert await rpcs.refused(f"{WORKFLOWS}GetWorkflowStatus", **gone) == "NOT_FOUND"
    assert await status(rpcs, good) == ["RUNNING"]


@row(f"{ADMIN}Explain")
async def explain(rpcs: Rpcs) -> None:
    [workflow_id] = await begun(rpcs)
    answer = await rpcs.ask(f"{ADMIN}Explain", workflow_id=workflow_id)
    [cause] = answer["explanation"]["causes"]
    assert (cause["kind"], cause["task_type"]) == ("CAUSE_KIND_NO_WORKER", "a")


@row(f"{ADMIN}ListAudit")
async def list_audit(rpcs: Rpcs) -> None:
    [workflow_id] = await begun(rpcs)
    await rpcs.ask(f"{WORKFLOWS}PauseWorkflow", workflow_id=workflow_id)
    [call] = (await rpcs.ask(f"{ADMIN}ListAudit", workflow_id=workflow_id))["calls"]
    assert call["method"] == f"{WORKFLOWS}PauseWorkflow"


@row(f"{ADMIN}ListSecrets")
async def list_secrets(rpcs: Rpcs) -> None:
    assert await rpcs.ask(f"{ADMIN}ListSecrets") == {}  # with values: tests/api/test_secrets.py


@row(f"{ADMIN}ListEnvironment")
async def list_environment(rpcs: Rpcs) -> None:
    assert await rpcs.ask(f"{ADMIN}ListEnvironment") == {}

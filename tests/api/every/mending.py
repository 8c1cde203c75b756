"""Rows of podium.v1.AdminService: repair, verification, purge, and views of servers and workers."""

from __future__ import annotations

import logging

import grpc.aio

from tests.api.every.acting import WORKFLOWS, begun, status, take
from tests.api.every.calling import REFUSALS, Rpcs, Stream, row
from tests.api.every.podium_admin import ADMIN
from tests.api.every.podium_worker import WORKER
from tests.api.every.refusals import of_execution
from tests.api.test_repair import damage
from tests.cli.serving import serving

REFUSALS.update(
    {
        f"{ADMIN}RepairWorkflow": of_execution(),
        f"{ADMIN}VerifyPartitions": [({"partitions": [256]}, "INVALID_ARGUMENT", "partitions")],
        f"{ADMIN}PurgeWorkflow": of_execution(),
        f"{ADMIN}SetLogLevel": [
            ({}, "INVALID_ARGUMENT", "logger"),
            ({"logger": "podium.api", "level": "LOUD"}, "INVALID_ARGUMENT", "level"),
        ],
        f"{ADMIN}GetConfig": [],
        f"{ADMIN}ListMembers": [],
        f"{ADMIN}ListWorkers": [],
    }
)


async def lost_entry(rpcs: Rpcs) -> str:
    """An execution whose task is in no queue any more: a store that lost a write."""
    [workflow_id] = await begun(rpcs)
    [ready] = (await rpcs.edge.store.entries(workflow_id, 0)).ready
    await damage(rpcs.edge, workflow_id, unready=(ready.task_id,))
    return workflow_id


@row(f"{ADMIN}RepairWorkflow")
async def repair_workflow(rpcs: Rpcs) -> None:
    workflow_id = await lost_entry(rpcs)
    [mended] = (await rpcs.ask(f"{ADMIN}RepairWorkflow", workflow_id=workflow_id))["mended"]
    assert mended["kind"] == "FINDING_KIND_READY_MISSING"
    assert (await take(rpcs))["workflow_instance_id"] == workflow_id
    assert await rpcs.ask(f"{ADMIN}RepairWorkflow", workflow_id=workflow_id) == {}


@row(f"{ADMIN}VerifyPartitions")
async def verify_partitions(rpcs: Rpcs) -> None:
    workflow_id = await lost_entry(rpcs)
    partition = int(workflow_id[:2], 16)
    [found, end] = await rpcs.listed(f"{ADMIN}VerifyPartitions", partitions=[partition])
    assert found["finding"]["workflow_id"] == workflow_id
    assert (end["executions"], end["findings"]) == ("1", "1")
    assert len(await rpcs.listed(f"{ADMIN}VerifyPartitions", repair=True)) == 256 + 1
    assert (await take(rpcs))["workflow_instance_id"] == workflow_id


@row(f"{ADMIN}PurgeWorkflow")
async def purge_workflow(rpcs: Rpcs) -> None:
    purged, other = await begun(rpcs, 2)
    answer = await rpcs.ask(f"{ADMIN}PurgeWorkflow", workflow_id=purged)
    assert answer["status"] == "RUNNING"
    gone = {"workflow_id": purged}
    assert await rpcs.refused(f"{WORKFLOWS}GetWorkflowStatus", **gone) == "NOT_FOUND"
    assert await status(rpcs, other) == ["RUNNING"]


@row(f"{ADMIN}SetLogLevel")
async def set_log_level(rpcs: Rpcs) -> None:
    logger = logging.getLogger("podium.api")
    before = logger.level
    try:
        asked = {"logger": "podium.api", "level": "DEBUG", "seconds": 60}
        assert "until_ms" in await rpcs.ask(f"{ADMIN}SetLogLevel", **asked)
        assert logger.level == logging.DEBUG
    finally:
        logger.setLevel(before)


@row(f"{ADMIN}GetConfig")
async def get_config(rpcs: Rpcs) -> None:
    del rpcs  # its server was made without settings
    async with (
        serving("--store", "memory://") as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        values = (await Rpcs(channel).ask(f"{ADMIN}GetConfig"))["values"]
    found = {(each["section"], each["key"]): each["value"] for each in values}
    assert "memory://" in found["store", "url"]


@row(f"{ADMIN}ListMembers")
async def list_members(rpcs: Rpcs) -> None:
    [member] = (await rpcs.ask(f"{ADMIN}ListMembers"))["members"]
    assert (member["incarnation"], member["self"]) == (rpcs.edge.runtime.incarnation, True)


@row(f"{ADMIN}ListWorkers")
async def list_workers(rpcs: Rpcs) -> None:
    del rpcs  # its server takes no streams
    async with (
        serving("--store", "memory://") as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        real = Rpcs(channel)
        stream = Stream(real, f"{WORKER}Connect")
        hello = {"worker_id": "me", "task_types": [{"name": "a"}]}
        await stream.send({"hello": hello, "credits": [{"task_type": "a", "delta": 3}]})
        await stream.next()
        [worker] = (await real.ask(f"{ADMIN}ListWorkers"))["workers"]
        assert worker["worker_id"] == "me"
        assert worker["queues"] == [{"task_type": "a", "credit": "3"}]

"""The row of podium.v1.WorkerService; tests/stubs has whole workers."""

from __future__ import annotations

import grpc.aio

from tests.api.every.acting import begun, ended
from tests.api.every.calling import Rpcs, Stream, row
from tests.cli.serving import serving

WORKER = "podium.v1.WorkerService/"


@row(f"{WORKER}Connect")
async def connect(rpcs: Rpcs) -> None:
    """A whole life: greeted, a task handed out, its result acknowledged, drained."""
    del rpcs  # its server takes no streams
    async with (
        serving("--store", "memory://") as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        await one_life(Rpcs(channel))


async def one_life(rpcs: Rpcs) -> None:
    [workflow_id] = await begun(rpcs)
    hello = {"worker_id": "me", "task_types": [{"name": "a"}]}
    first = {"hello": hello, "credits": [{"task_type": "a", "delta": 1}]}
    stream = Stream(rpcs, f"{WORKER}Connect")
    await stream.send(first)
    frames = [await stream.next()]
    assert "session" in frames[0]["welcome"]
    while "tasks" not in frames[-1]:
        frames.append(await stream.next())
    [got] = frames[-1]["tasks"]
    assert got["workflow_id"] == workflow_id
    lease = {"task_id": got["task_id"], "lease_epoch": got["lease_epoch"]}
    await stream.send({"results": [{**lease, "status": "RESULT_STATUS_COMPLETED"}], "drain": {}})
    answer = await stream.next()
    assert answer["acks"] == [{**lease, "verdict": "RESULT_VERDICT_OK"}]
    await stream.close()
    read = await ended(rpcs, workflow_id)
    assert (read["status"], read["tasks"][0]["worker_id"]) == ("COMPLETED", "me")

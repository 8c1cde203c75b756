"""Rows of Conductor's TaskService."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.api.every.acting import TASKS, begun, ended, report, take
from tests.api.every.calling import row

if TYPE_CHECKING:
    from tests.api.every.calling import Rpcs


@row(f"{TASKS}Poll")
async def poll(rpcs: Rpcs) -> None:
    [workflow_id] = await begun(rpcs)
    asked = {"task_type": "a", "worker_id": "me"}
    got = (await rpcs.ask(f"{TASKS}Poll", **asked))["task"]
    assert (got["workflow_instance_id"], got["worker_id"]) == (workflow_id, "me")
    assert "task" not in await rpcs.ask(f"{TASKS}Poll", **asked)


@row(f"{TASKS}BatchPoll")
async def batch_poll(rpcs: Rpcs) -> None:
    ids = await begun(rpcs, 3)
    asked = {"task_type": "a", "worker_id": "me", "count": 2, "timeout": 5000}
    two = await rpcs.listed(f"{TASKS}BatchPoll", **asked)
    one = await rpcs.listed(f"{TASKS}BatchPoll", **asked)
    assert (len(two), len(one)) == (2, 1)
    assert {each["workflow_instance_id"] for each in two + one} == set(ids)


@row(f"{TASKS}UpdateTask")
async def update_task(rpcs: Rpcs) -> None:
    [workflow_id] = await begun(rpcs)
    await report(rpcs, await take(rpcs), output_data={"y": 1.0})
    read = await ended(rpcs, workflow_id)
    assert read["status"] == "COMPLETED"
    assert read["tasks"][0]["output_data"] == {"y": 1.0}


@row(f"{TASKS}GetTask")
async def get_task(rpcs: Rpcs) -> None:
    [workflow_id] = await begun(rpcs)
    got = await take(rpcs)
    read = (await rpcs.ask(f"{TASKS}GetTask", task_id=got["task_id"]))["task"]
    assert (read["workflow_instance_id"], read["worker_id"]) == (workflow_id, "w")

"""Rows of logs and queues: of Conductor's TaskService and of podium.v1.AdminService."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.model.queue import Queue
from tests.api.bad_definitions import LONG
from tests.api.every.acting import TASKS, begun, take
from tests.api.every.calling import REFUSALS, row
from tests.api.every.podium_admin import ADMIN

if TYPE_CHECKING:
    from tests.api.every.calling import Rpcs

LONG_TYPE = ({"task_type": LONG}, "INVALID_ARGUMENT", "task_type: expected at most 255")
NO_TASK = ({}, "INVALID_ARGUMENT", "task_id: expected a task id, found none")
UNKNOWN = ({"task_id": "none", "log": "x"}, "NOT_FOUND", "found no task none")
REFUSALS.update(
    {
        f"{TASKS}AddLog": [NO_TASK, UNKNOWN],
        f"{TASKS}GetTaskLogs": [NO_TASK, ({"task_id": "none"}, "NOT_FOUND", "no task none")],
        f"{TASKS}GetQueueSizesForTasks": [
            ({"task_types": [""]}, "INVALID_ARGUMENT", "task_types[0]: expected a name, found none")
        ],
        f"{TASKS}GetQueueInfo": [],
        f"{TASKS}GetQueueAllInfo": [],
        f"{ADMIN}ListQueues": [LONG_TYPE, ({"page_size": -1}, "INVALID_ARGUMENT", "page_size")],
        f"{ADMIN}ListPollers": [LONG_TYPE],
        f"{ADMIN}ListPendingTasks": [({}, "INVALID_ARGUMENT", "task_type: expected a name")],
        f"{ADMIN}RequeueTasks": [LONG_TYPE],
        f"{ADMIN}RebuildQueues": [LONG_TYPE],
    }
)


@row(f"{TASKS}AddLog")
async def add_log(rpcs: Rpcs) -> None:
    await begun(rpcs)
    task_id = (await take(rpcs))["task_id"]
    await rpcs.ask(f"{TASKS}AddLog", task_id=task_id, log="line")
    assert [text for _, text in await rpcs.edge.store.logs(task_id)] == ["line"]


@row(f"{TASKS}GetTaskLogs")
async def get_task_logs(rpcs: Rpcs) -> None:
    await begun(rpcs)
    task_id = (await take(rpcs))["task_id"]
    await rpcs.edge.store.add_logs(task_id, [(7, "line")])
    [line] = (await rpcs.ask(f"{TASKS}GetTaskLogs", task_id=task_id))["logs"]
    assert line == {"log": "line", "task_id": task_id, "created_time": "7"}


@row(f"{TASKS}GetQueueSizesForTasks")
async def get_queue_sizes(rpcs: Rpcs) -> None:
    await begun(rpcs, 2)
    answer = await rpcs.ask(f"{TASKS}GetQueueSizesForTasks", task_types=["a", "b"])
    assert answer == {"queue_for_task": {"a": 2, "b": 0}}


@row(f"{TASKS}GetQueueInfo")
async def get_queue_info(rpcs: Rpcs) -> None:
    await begun(rpcs, 2)
    assert await rpcs.ask(f"{TASKS}GetQueueInfo") == {"queues": {"a": "2"}}


@row(f"{TASKS}GetQueueAllInfo")
async def get_queue_all_info(rpcs: Rpcs) -> None:
    await begun(rpcs, 2)
    await take(rpcs)
    shards = {"a": {"size": "1", "uacked": "1"}}
    assert await rpcs.ask(f"{TASKS}GetQueueAllInfo") == {"queues": {"a": {"shards": shards}}}


@row(f"{ADMIN}ListQueues")
async def list_queues(rpcs: Rpcs) -> None:
    await begun(rpcs, 2)
    await take(rpcs)
    [queue] = (await rpcs.ask(f"{ADMIN}ListQueues"))["queues"]
    found = (queue["task_type"], queue["ready_count"], queue["leased_count"])
    assert found == ("a", "1", "1")


@row(f"{ADMIN}ListPollers")
async def list_pollers(rpcs: Rpcs) -> None:
    await begun(rpcs)
    await take(rpcs)
    [poller] = (await rpcs.ask(f"{ADMIN}ListPollers"))["pollers"]
    assert (poller["task_type"], poller["worker_id"]) == ("a", "w")


@row(f"{ADMIN}ListPendingTasks")
async def list_pending_tasks(rpcs: Rpcs) -> None:
    [workflow_id] = await begun(rpcs)
    [task] = (await rpcs.ask(f"{ADMIN}ListPendingTasks", task_type="a"))["tasks"]
    assert (task["workflow_id"], task["state"]) == (workflow_id, "STATE_READY")


async def lost(rpcs: Rpcs) -> None:
    """One of two ready tasks is in no queue."""
    await begun(rpcs, 2)
    ready = await rpcs.edge.store.ready(range(256))
    rpcs.edge.store.queues.drop(ready[0].task_id, Queue("a"))


@row(f"{ADMIN}RequeueTasks")
async def requeue_tasks(rpcs: Rpcs) -> None:
    await lost(rpcs)
    assert await rpcs.ask(f"{ADMIN}RequeueTasks") == {"requeued_count": "1"}
    assert len({(await take(rpcs))["task_id"] for _ in range(2)}) == 2


@row(f"{ADMIN}RebuildQueues")
async def rebuild_queues(rpcs: Rpcs) -> None:
    await lost(rpcs)
    [queue] = (await rpcs.ask(f"{ADMIN}RebuildQueues"))["queues"]
    assert (queue["before_count"], queue["after_count"]) == ("1", "2")

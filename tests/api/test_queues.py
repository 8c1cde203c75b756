"""Queues, pending tasks and their repairs over a real channel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from podium.conductor import definition_pb2 as definition
from podium.conductor import execution_pb2 as execution
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import request_pb2 as request
from podium.conductor import task_service_pb2 as task
from podium.model.queue import Queue, Ready
from podium.store.port import Commit
from podium.v1 import admin_queues_pb2 as admin
from tests.api.calls import TASKS, refusal, simple
from tests.api.edge import Edge
from tests.api.test_flow import completed, polled, registered, started, status_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

ADMIN = "/podium.v1.AdminService/"
LONG = "x" * 256


async def two_types(edge: Edge, *, retry_delay_s: int = 60) -> None:
    """Workflow `one` of a task `a`, workflow `both` of `a` and `b` side by side."""
    kinds = [
        definition.TaskDef(
            name=name, retry_count=1, retry_delay_seconds=retry_delay_s, concurrent_exec_limit=limit
        )
        for name, limit in (("a", 0), ("b", 3))
    ]
    await edge.metadata.CreateTasks(metadata.CreateTasksRequest(defs=kinds))
    await registered(edge, definition.WorkflowDef(name="one", tasks=[simple("a")]))
    await registered(edge, definition.WorkflowDef(name="two", tasks=[simple("b")]))


async def reported(edge: Edge, got: execution.Task, **fields: Any) -> None:
    result = execution.TaskResult(
        workflow_instance_id=got.workflow_instance_id, task_id=got.task_id, **fields
    )
    await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=result))


async def in_domain(edge: Edge, name: str, task_type: str, domain: str) -> str:
    asked = request.StartWorkflowRequest(name=name, task_to_domain={task_type: domain})
    return (await edge.workflows.StartWorkflow(asked)).workflow_id


async def sizes(edge: Edge, *task_types: str) -> dict[str, int]:
    answer = await edge.tasks.GetQueueSizesForTasks(task.QueueSizesRequest(task_types=task_types))
    return dict(answer.queue_for_task)


async def queues(edge: Edge, **asked: Any) -> list[admin.TaskQueue]:
    return list((await edge.admin.ListQueues(admin.ListQueuesRequest(**asked))).queues)


async def until(
    edge: Edge, task_type: str, sound: Callable[[admin.TaskQueue], bool]
) -> admin.TaskQueue:
    async with asyncio.timeout(30):
        while not sound((await queues(edge, task_type=task_type))[0]):  # noqa: ASYNC110 - no signal
            await asyncio.sleep(0)
    return (await queues(edge, task_type=task_type))[0]


async def pending(edge: Edge, task_type: str, **asked: Any) -> admin.ListPendingTasksResponse:
    listed = admin.ListPendingTasksRequest(task_type=task_type, **asked)
    return await edge.admin.ListPendingTasks(listed)


async def test_s_558_sizes_count_what_no_worker_has_yet() -> None:
    async with Edge() as edge:
        await two_types(edge)
        for _ in range(3):
            await started(edge, "one")
        await in_domain(edge, "one", "a", "eu")
        assert await sizes(edge, "a", "b", "a", "never") == {"a": 3, "b": 0, "never": 0}
        # What a worker has does not wait; what comes back after a callback does.
        [first, second] = [await polled(edge, "a") for _ in range(2)]
        assert await sizes(edge, "a") == {"a": 1}
        await reported(edge, first, callback_after_seconds=3600)
        assert await sizes(edge, "a") == {"a": 2}
        await completed(edge, second)
        assert await sizes(edge, "a") == {"a": 2}
        assert "never" not in edge.store.queues._types


async def test_s_557_all_queues_with_what_waits_and_what_workers_have() -> None:
    async with Edge() as edge:
        await two_types(edge)
        for name in ("one", "one", "two"):
            await started(edge, name)
        await in_domain(edge, "one", "a", "eu")
        await polled(edge, "a")
        info = await edge.tasks.GetQueueInfo(task.QueueInfoRequest())
        assert dict(info.queues) == {"a": 1, "b": 1, "eu:a": 1}
        found = await edge.tasks.GetQueueAllInfo(task.QueueAllInfoRequest())
        shown = {
            name: {shard: (each.size, each.uacked) for shard, each in queue.shards.items()}
            for name, queue in found.queues.items()
        }
        assert shown == {"a": {"a": (1, 1)}, "b": {"a": (1, 0)}, "eu:a": {"a": (1, 0)}}


async def test_s_194_a_queue_is_named_by_type_and_domain() -> None:
    async with Edge() as edge:
        await two_types(edge)
        await started(edge, "one")
        for domain in ("eu", "eu", "us"):
            await in_domain(edge, "one", "a", domain)
        [found] = await queues(edge, task_type="a", domain="eu")
        assert (found.task_type, found.domain, found.ready_count) == ("a", "eu", 2)
        [without] = await queues(edge, task_type="a", domain="")
        assert (without.domain, without.ready_count) == ("", 1)
        assert [each.domain for each in await queues(edge, task_type="a")] == ["", "eu", "us"]
        assert await queues(edge, task_type="a", domain="mars") == []


async def test_a_queue_tells_each_way_in_which_its_tasks_are() -> None:
    async with Edge() as edge:
        await two_types(edge)
        for _ in range(5):
            await started(edge, "two")
        leased, failed = [await polled(edge, "b") for _ in range(2)]
        await reported(edge, failed, status=execution.TaskResult.FAILED)
        [found] = await queues(edge, task_type="b")
        assert (found.ready_count, found.leased_count, found.delayed_count) == (3, 1, 1)
        assert (found.claimed_count, found.awaited_count) == (0, 0)
        assert (found.limits.concurrent, found.limits.rate) == (3, 0)
        assert found.oldest_ready_ms >= 0
        await completed(edge, leased)
        [found] = await queues(edge, task_type="b")
        assert (found.ready_count, found.leased_count, found.delayed_count) == (3, 0, 1)


async def test_a_queue_tells_who_waits_for_it_and_for_how_long_its_oldest_task_has() -> None:
    async with Edge() as edge:
        await two_types(edge)
        calls = edge.tasks.BatchPoll(
            task.BatchPollRequest(task_type="b", worker_id="w", count=4, timeout=5000)
        )
        await edge.parked.wait()
        [want] = (await until(edge, "b", lambda queue: bool(queue.wants))).wants
        assert (want.kind, want.count) == (admin.QueueWant.KIND_POLL, 4)
        assert want.server == edge.runtime.incarnation
        calls.cancel()
        await started(edge, "two")
        await started(edge, "two")
        await until(edge, "b", lambda queue: queue.oldest_ready_ms >= 5)


async def test_queues_come_in_pages() -> None:
    async with Edge() as edge:
        await two_types(edge)
        for name, domain in (("one", ""), ("one", "eu"), ("two", "")):
            await in_domain(edge, name, "a" if name == "one" else "b", domain)
        first = await edge.admin.ListQueues(admin.ListQueuesRequest(page_size=1))
        assert [(each.task_type, each.domain) for each in first.queues] == [("a", ""), ("a", "eu")]
        second = await edge.admin.ListQueues(
            admin.ListQueuesRequest(page_size=1, page_token=first.next_page_token)
        )
        assert [each.task_type for each in second.queues] == ["b"]
        assert second.next_page_token == ""


async def test_s_570_poll_data_of_every_type_domain_and_worker() -> None:
    async with Edge() as edge:
        before_ms = edge.clock.now_ms()
        for task_type, domain, worker_id in (("a", "", "w2"), ("a", "eu", "w1"), ("b", "", "w1")):
            asked = task.PollRequest(task_type=task_type, domain=domain, worker_id=worker_id)
            await edge.tasks.Poll(asked)
        answer = await edge.admin.ListPollers(admin.ListPollersRequest())
        found = [(each.task_type, each.domain, each.worker_id) for each in answer.pollers]
        assert found == [("a", "", "w2"), ("a", "eu", "w1"), ("b", "", "w1")]
        assert all(before_ms <= each.seen_ms <= edge.clock.now_ms() for each in answer.pollers)
        of_one = await edge.admin.ListPollers(admin.ListPollersRequest(task_type="b"))
        assert [each.worker_id for each in of_one.pollers] == ["w1"]


async def test_pending_tasks_tell_where_they_are_and_who_has_them() -> None:
    async with Edge() as edge:
        await two_types(edge)
        for _ in range(3):
            await started(edge, "one")
        before_ms = edge.clock.now_ms()
        leased, delayed = [await polled(edge, "a") for _ in range(2)]
        await reported(edge, delayed, callback_after_seconds=3600)
        found = {each.state: each for each in (await pending(edge, "a")).tasks}
        assert len(found) == 3
        held = found[admin.PendingTask.STATE_LEASED]
        assert (held.task_id, held.workflow_id) == (leased.task_id, leased.workflow_instance_id)
        assert (held.worker_id, held.server) == ("w", edge.runtime.incarnation)
        assert (held.status, held.lease_epoch, held.due_ms) == ("IN_PROGRESS", 1, 0)
        assert before_ms <= held.since_ms <= edge.clock.now_ms()
        late = found[admin.PendingTask.STATE_DELAYED]
        assert (late.task_id, late.status, late.server) == (delayed.task_id, "SCHEDULED", "")
        assert late.due_ms - late.since_ms == 3_600_000
        waiting = found[admin.PendingTask.STATE_READY]
        assert (waiting.reference_task_name, waiting.task_type) == ("a", "a")
        assert (waiting.worker_id, waiting.lease_epoch) == ("", 0)
        assert waiting.since_ms <= before_ms
        assert list((await pending(edge, "b")).tasks) == []


async def test_pending_tasks_come_in_pages_each_once() -> None:
    async with Edge() as edge:
        await two_types(edge)
        ids = {await started(edge, "one") for _ in range(23)}
        token, pages = "", []
        while True:
            page = await pending(edge, "a", page_size=5, page_token=token)
            pages.append([each.workflow_id for each in page.tasks])
            token = page.next_page_token
            if not token:
                break
        assert [len(each) for each in pages[:4]] == [5, 5, 5, 5]
        assert sorted(each for page in pages for each in page) == sorted(ids)


async def test_pending_tasks_are_found_behind_entries_that_are_out_of_date() -> None:
    async with Edge() as edge:
        await two_types(edge)
        workflow_id = await started(edge, "one")
        gone = tuple(Ready(f"{workflow_id}.-{n}.0", Queue("a"), 1) for n in range(3))
        version = edge.store.executions[workflow_id].version
        await edge.store.commit([Commit(workflow_id=workflow_id, version=version, ready=gone)])
        [found] = (await pending(edge, "a", page_size=1)).tasks
        assert (found.workflow_id, found.reference_task_name) == (workflow_id, "a")


async def test_s_549_only_what_is_missing_is_queued_again() -> None:
    async with Edge() as edge:
        await two_types(edge)
        for _ in range(4):
            await started(edge, "one")
        held = await polled(edge, "a")
        nothing = await edge.admin.RequeueTasks(admin.RequeueTasksRequest())
        assert nothing.requeued_count == 0
        # A store that lost writes: two of the tasks are in no queue.
        lost = [each.task_id for each in await edge.store.ready(range(256))][:2]
        for task_id in lost:
            edge.store.queues.drop(task_id, Queue("a"))
        assert await sizes(edge, "a") == {"a": 1}
        other = await edge.admin.RequeueTasks(admin.RequeueTasksRequest(task_type="b"))
        assert other.requeued_count == 0
        mended = await edge.admin.RequeueTasks(admin.RequeueTasksRequest(task_type="a"))
        assert mended.requeued_count == 2
        # Each is handed out once, and what a worker has is not handed out again.
        got = [await polled(edge, "a") for _ in range(3)]
        assert len({each.task_id for each in got} | {held.task_id}) == 4
        nothing = await edge.tasks.Poll(task.PollRequest(task_type="a"))
        assert not nothing.HasField("task")
        await completed(edge, held)
        assert (await status_of(edge, held.workflow_instance_id)).status == (
            execution.Workflow.COMPLETED
        )


async def test_a_requeued_task_goes_to_who_waits() -> None:
    async with Edge() as edge:
        await two_types(edge)
        await started(edge, "one")
        [ready] = await edge.store.ready(range(256))
        edge.store.queues.drop(ready.task_id, ready.queue)
        waiting = asyncio.create_task(polled(edge, "a"))
        await edge.parked.wait()
        await edge.admin.RequeueTasks(admin.RequeueTasksRequest(task_type="a"))
        assert (await waiting).task_id == ready.task_id


async def test_queues_are_made_anew_from_what_is_ready() -> None:
    async with Edge() as edge:
        await two_types(edge)
        workflow_id = await started(edge, "one")
        await started(edge, "one")
        await started(edge, "two")
        [lost] = [
            each
            for each in await edge.store.ready(range(256))
            if each.task_id.startswith(workflow_id)
        ]
        edge.store.queues.drop(lost.task_id, lost.queue)
        for number in range(3):  # nothing is stored of these
            edge.store.queues.place(Ready(f"gone.{number}.0", Queue("a", "eu"), 1))
        answer = await edge.admin.RebuildQueues(admin.RebuildQueuesRequest())
        found = [
            (each.task_type, each.domain, each.before_count, each.after_count)
            for each in answer.queues
        ]
        assert found == [("a", "", 1, 2), ("a", "eu", 3, 0), ("b", "", 1, 1)]
        assert {(await polled(edge, "a")).task_id for _ in range(2)} >= {lost.task_id}


async def test_a_rebuilt_queue_is_handed_to_who_waits() -> None:
    async with Edge() as edge:
        await two_types(edge)
        waiting = asyncio.create_task(polled(edge, "a"))
        await edge.parked.wait()
        await until(edge, "a", lambda queue: bool(queue.wants))
        workflow_id = await stored_beside(edge)
        await edge.admin.RebuildQueues(admin.RebuildQueuesRequest(task_type="a"))
        assert (await waiting).workflow_instance_id == workflow_id


async def stored_beside(edge: Edge) -> str:
    """An execution whose task is ready, and of which no queue was told: a push that was lost."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("push", "reserve"):
            patch.setattr(edge.runtime.dispatcher, name, lambda _: None)
        return await started(edge, "one")


async def test_queues_in_which_executions_wait_are_not_shown() -> None:
    async with Edge() as edge:
        gate = Ready("w.gate.0", Queue("gate\x1fone\x1fkey"), 1)
        await edge.store.commit([Commit(workflow_id="w", version=0, ready=(gate,))])
        await edge.store.push_assign([gate])
        assert await queues(edge) == []
        assert not (await edge.tasks.GetQueueInfo(task.QueueInfoRequest())).queues


WRONG: dict[str, tuple[str, Message, str]] = {
    "sizes empty": (
        f"{TASKS}GetQueueSizesForTasks",
        task.QueueSizesRequest(task_types=["a", ""]),
        "task_types[1]: expected a name, found none",
    ),
    "sizes many": (
        f"{TASKS}GetQueueSizesForTasks",
        task.QueueSizesRequest(task_types=map(str, range(1001))),
        "task_types: expected at most 1000 names, found 1001",
    ),
    "queues type": (
        f"{ADMIN}ListQueues",
        admin.ListQueuesRequest(task_type=LONG),
        "task_type: expected at most 255 characters, found 256",
    ),
    "queues domain": (
        f"{ADMIN}ListQueues",
        admin.ListQueuesRequest(domain="a\nb"),
        "domain: expected text without control characters",
    ),
    "queues size": (
        f"{ADMIN}ListQueues",
        admin.ListQueuesRequest(page_size=1001),
        "page_size: expected 0 to 1000, found 1001",
    ),
    "queues token": (
        f"{ADMIN}ListQueues",
        admin.ListQueuesRequest(page_token="é"),
        "page_token: expected one of a page before, found é",
    ),
    "pollers type": (
        f"{ADMIN}ListPollers",
        admin.ListPollersRequest(task_type="a{b}"),
        "task_type: expected a name without { and }",
    ),
    "pending none": (
        f"{ADMIN}ListPendingTasks",
        admin.ListPendingTasksRequest(),
        "task_type: expected a name, found none",
    ),
    "pending size": (
        f"{ADMIN}ListPendingTasks",
        admin.ListPendingTasksRequest(task_type="a", page_size=-1),
        "page_size: expected 0 to 1000, found -1",
    ),
    "pending token": (
        f"{ADMIN}ListPendingTasks",
        admin.ListPendingTasksRequest(task_type="a", page_token="YQ=="),
        "page_token: expected one of a page before, found YQ==",
    ),
    "requeue type": (
        f"{ADMIN}RequeueTasks",
        admin.RequeueTasksRequest(task_type=LONG),
        "task_type: expected at most 255 characters, found 256",
    ),
    "rebuild type": (
        f"{ADMIN}RebuildQueues",
        admin.RebuildQueuesRequest(task_type=LONG),
        "task_type: expected at most 255 characters, found 256",
    ),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_is_asked_wrongly_is_refused(case: str) -> None:
    path, asked, text = WRONG[case]
    async with Edge() as edge:
        code, found = await refusal(edge, path, asked)
        assert code == "INVALID_ARGUMENT"
        assert text in found

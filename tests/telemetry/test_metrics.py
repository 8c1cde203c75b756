"""GET /metrics of a served process, after work of which every number is known."""

import asyncio

import grpc
import grpc.aio
import pytest

from podium.conductor import definition_pb2, metadata_service_pb2, metadata_service_pb2_grpc
from podium.conductor.task_service_pb2 import GetTaskRequest
from podium.conductor.task_service_pb2_grpc import TaskServiceStub
from podium.v1 import workflow_pb2, workflow_pb2_grpc
from podium_worker import worker_task
from tests.cli.serving import serving
from tests.telemetry.scrape import Scraped, scrape
from tests.worker.working import working

DONE_S_MAX = 15
SECRET = "canary-4711"
TASK_SERVICE = "conductor.grpc.tasks.TaskService"
GET = f"{TASK_SERVICE}/GetTask"

REPORT = {"workflow": "report"}
WORDS = {"task_type": "count_words"}
DONE: tuple[tuple[str, int, dict[str, str]], ...] = (
    ("podium_started_workflows_total", 3, REPORT),
    ("podium_ended_workflows_total", 3, {**REPORT, "status": "COMPLETED"}),
    ("podium_ended_workflows_total", 1, {"workflow": "doomed", "status": "FAILED"}),
    ("podium_workflow_duration_seconds_count", 3, REPORT),
    ("podium_task_handout_seconds_count", 3, WORDS),
    ("podium_task_run_seconds_count", 3, WORDS),
    ("podium_task_completion_seconds_count", 3, WORDS),
    ("podium_granted_leases_total", 3, {**WORDS, "kind": "stream"}),
    ("podium_ended_tasks_total", 1, {"task_type": "fail_once", "status": "FAILED"}),
    ("podium_worker_results_total", 4, {"verdict": "ok"}),
    ("podium_ended_calls_total", 1, {"method": GET, "status": "NOT_FOUND"}),
    ("podium_open_calls", 1, {"method": "podium.v1.WorkerService/Connect"}),
    ("podium_worker_streams", 1, {}),
    ("podium_held_leases", 0, {}),
    ("podium_outbox_effects", 0, {}),
)


@worker_task("count_words")
async def count_words(task_input: dict[str, object]) -> dict[str, object]:
    return {"words": task_input["text"]}


@worker_task("fail_once", tasks_max=1)
async def fail(task_input: dict[str, object]) -> dict[str, object]:
    raise ValueError(f"never {task_input['text']}")


async def register(channel: grpc.aio.Channel, workflow: str, *task_types: str) -> None:
    """A sequence of tasks, none of which is retried."""
    metadata = metadata_service_pb2_grpc.MetadataServiceStub(channel)
    definitions = [
        definition_pb2.TaskDef(name=each, owner_email="a@example.com", retry_count=0)
        for each in task_types
    ]
    await metadata.CreateTasks(metadata_service_pb2.CreateTasksRequest(defs=definitions))
    flow = definition_pb2.WorkflowDef(
        name=workflow, version=1, schema_version=2, owner_email="a@example.com"
    )
    for each in task_types:
        task = flow.tasks.add(name=each, task_reference_name=each, type="SIMPLE")
        task.input_parameters["text"].string_value = "${workflow.input.text}"
    await metadata.CreateWorkflow(metadata_service_pb2.CreateWorkflowRequest(workflow=flow))


async def run(channel: grpc.aio.Channel, workflow: str) -> str:
    """Start one and wait for its end; its id."""
    stub = workflow_pb2_grpc.WorkflowServiceStub(channel)
    item = workflow_pb2.StartItem(name=workflow)
    item.input.json = f'{{"text": "{SECRET}"}}'.encode()
    started = await stub.StartWorkflows(workflow_pb2.StartWorkflowsRequest(items=[item]))
    workflow_id: str = started.results[0].workflow_id
    await stub.Wait(workflow_pb2.WaitRequest(workflow_id=workflow_id, timeout_ms=10_000))
    return workflow_id


async def told(web: str, name: str, count: int, **labels: str) -> Scraped:
    """Scrape until a count is reached: what follows a commit is counted a moment later."""
    async with asyncio.timeout(DONE_S_MAX):
        while True:
            scraped = await scrape(web)
            if scraped.value(name, **labels) >= count:
                return scraped


@pytest.mark.timeout(60)
async def test_what_was_done_is_counted() -> None:
    async with (
        serving("--store", "memory://") as server,
        grpc.aio.insecure_channel(server.target) as channel,
        working(server.target, count_words, fail),
    ):
        await register(channel, "report", "count_words")
        await register(channel, "doomed", "fail_once")
        ids = [await run(channel, "report") for _ in range(3)]
        ids.append(await run(channel, "doomed"))
        with pytest.raises(grpc.aio.AioRpcError):
            await TaskServiceStub(channel).GetTask(GetTaskRequest(task_id="absent"))
        await told(server.web, "podium_ended_calls_total", 1, method=GET, status="NOT_FOUND")
        found = await told(
            server.web, "podium_task_receipt_seconds_count", 1, task_type="count_words"
        )

    for name, count, labels in DONE:
        assert (name, labels, found.value(name, **labels)) == (name, labels, count)
    assert found.value("podium_group_size_commits_sum") >= 8
    assert found.value("process_resident_memory_bytes") > 1_000_000
    # Nothing of anybody's data: neither ids nor values.
    assert SECRET not in found.text
    assert not [each for each in ids if each in found.text]


@pytest.mark.timeout(60)
async def test_names_that_users_make_up_are_told_apart_up_to_a_bound() -> None:
    async with (
        serving("--store", "memory://") as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        for number in range(105):
            await register(channel, f"flow_{number}", f"type_{number}")
        await asyncio.gather(
            *(start(channel, f"flow_{number}") for number in range(105)),
        )
        found = await scrape(server.web)
    flows = {each for each in found.labels("workflow") if each.startswith("flow_")}
    assert (len(flows), "other" in found.labels("workflow")) == (100, True)
    total = sum(
        sample.value
        for sample in found.families["podium_started_workflows"].samples
        if sample.name.endswith("_total")
    )
    assert total == 105


async def start(channel: grpc.aio.Channel, workflow: str) -> None:
    stub = workflow_pb2_grpc.WorkflowServiceStub(channel)
    item = workflow_pb2.StartItem(name=workflow)
    started = await stub.StartWorkflows(workflow_pb2.StartWorkflowsRequest(items=[item]))
    assert started.results[0].workflow_id, started

"""One trace from a client's call over tasks in two workers to the end, and into children."""

import subprocess
import sys

import grpc.aio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from podium.conductor import definition_pb2, metadata_service_pb2, metadata_service_pb2_grpc
from podium.conductor.task_service_pb2 import PollRequest
from podium.conductor.task_service_pb2_grpc import TaskServiceStub
from podium.model.trace import context_of, place_of
from podium.v1 import workflow_pb2, workflow_pb2_grpc
from podium_worker import worker_task
from tests.cli.serving import refused, serving
from tests.telemetry.receiver import receiving
from tests.telemetry.test_metrics import register
from tests.worker.working import working

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CLIENT = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{CLIENT}-01"
STATE = "vendor=1"
SECRET = "canary-4711"

WORKED = InMemorySpanExporter()


@pytest.fixture(scope="module", autouse=True)
def provider() -> None:
    """A process has one provider for its life."""
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(WORKED))
    trace.set_tracer_provider(made)


@worker_task("cut")
async def cut(task_input: dict[str, object]) -> dict[str, object]:
    trace.get_current_span().add_event("inside")
    return task_input


@worker_task("sew")
def sew(task_input: dict[str, object]) -> dict[str, object]:
    raise ValueError(f"no thread for {task_input['text']}")


async def started(
    channel: grpc.aio.Channel, workflow: str, metadata: tuple[tuple[str, str], ...], *, wait: bool
) -> str:
    stub = workflow_pb2_grpc.WorkflowServiceStub(channel)
    item = workflow_pb2.StartItem(name=workflow)
    item.input.json = f'{{"text": "{SECRET}"}}'.encode()
    request = workflow_pb2.StartWorkflowsRequest(items=[item])
    results = (await stub.StartWorkflows(request, metadata=metadata)).results
    if wait:
        asked = workflow_pb2.WaitRequest(workflow_id=results[0].workflow_id, timeout_ms=10_000)
        assert (await stub.Wait(asked)).finished
    return results[0].workflow_id


@pytest.mark.timeout(60)
async def test_one_trace_from_the_call_over_two_workers_to_the_end() -> None:
    async with (
        receiving() as receiver,
        serving(
            *("--store", "memory://"),
            PODIUM_TRACE_ENDPOINT=receiver.endpoint,
            PODIUM_TRACE_DELAY_MS="50",
        ) as server,
        grpc.aio.insecure_channel(server.target) as channel,
        working(server.target, cut),
        working(server.target, sew),
    ):
        await register(channel, "coat", "cut", "sew")
        workflow_id = await started(
            channel, "coat", (("traceparent", PARENT), ("tracestate", STATE)), wait=True
        )
        names = ("start coat", "workflow coat", "task cut", "task sew")
        start, workflow, first, second = await receiver.named(*names)
        assert (await server.end())[0] == 0

    assert {span.trace for span in receiver.spans} == {TRACE}
    assert (start.parent, workflow.parent) == (CLIENT, CLIENT)
    assert (first.parent, second.parent) == (workflow.id, workflow.id)
    assert first.events == second.events == ("handed out", "received")
    assert (first.failed, second.failed, workflow.failed) == (False, True, True)
    assert first.about["podium.workflow_id"] == workflow_id
    assert workflow.begin_ns <= first.begin_ns <= first.end_ns <= second.end_ns <= workflow.end_ns
    assert SECRET not in str(receiver.spans)

    in_workers = {span.name: span for span in WORKED.get_finished_spans()}
    for name, above in (("run cut", first), ("run sew", second)):
        span = in_workers[name]
        assert span.context is not None
        assert span.parent is not None
        assert f"{span.context.trace_id:032x}" == TRACE
        assert f"{span.parent.span_id:016x}" == above.id
        assert span.parent.trace_state.get("vendor") == "1"
    assert [event.name for event in in_workers["run cut"].events] == ["inside"]
    assert in_workers["run sew"].status.description == "ValueError"


@pytest.mark.timeout(60)
async def test_a_child_stands_under_the_task_that_waits_for_it() -> None:
    async with (
        receiving() as receiver,
        serving(
            *("--store", "memory://"),
            PODIUM_TRACE_ENDPOINT=receiver.endpoint,
            PODIUM_TRACE_DELAY_MS="50",
            PODIUM_TRACE_PERCENT="100",
        ) as server,
        grpc.aio.insecure_channel(server.target) as channel,
        working(server.target, cut),
    ):
        await register(channel, "inner", "cut")
        await register_outer(channel)
        await started(channel, "outer", (), wait=True)
        names = ("workflow outer", "task SUB_WORKFLOW", "workflow inner", "task cut")
        outer, waiting, inner, task = await receiver.named(*names)
    assert {span.trace for span in receiver.spans} == {outer.trace}
    parents = [span.parent for span in (outer, waiting, inner, task)]
    assert parents == ["", outer.id, waiting.id, inner.id]


async def register_outer(channel: grpc.aio.Channel) -> None:
    """A workflow of one sub-workflow."""
    flow = definition_pb2.WorkflowDef(
        name="outer", version=1, schema_version=2, owner_email="a@example.com"
    )
    task = flow.tasks.add(name="inner", task_reference_name="inner", type="SUB_WORKFLOW")
    task.sub_workflow_param.name = "inner"
    metadata = metadata_service_pb2_grpc.MetadataServiceStub(channel)
    await metadata.CreateWorkflow(metadata_service_pb2.CreateWorkflowRequest(workflow=flow))


@pytest.mark.timeout(60)
async def test_without_an_endpoint_workers_and_pollers_continue_the_clients_span() -> None:
    WORKED.clear()
    async with (
        serving("--store", "memory://") as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        await register(channel, "coat", "cut", "sew")
        await started(channel, "coat", (("traceparent", PARENT),), wait=False)
        poll = TaskServiceStub(channel).Poll(PollRequest(task_type="cut", worker_id="w"))
        assert (await poll).task.task_id
        told = dict(await poll.trailing_metadata() or ())
        assert told["traceparent"] == PARENT
        async with working(server.target, cut):
            await register(channel, "plain", "cut")
            await started(channel, "plain", (("traceparent", PARENT),), wait=True)
            await started(channel, "plain", (), wait=True)
    (span,) = WORKED.get_finished_spans()
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == CLIENT


def test_nothing_of_open_telemetry_is_loaded_where_it_is_not_wanted() -> None:
    program = (
        "import sys, podium.bootstrap, podium_worker\n"
        "print([each for each in sys.modules if each.startswith('opentelemetry')])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"


async def test_a_percentage_is_one() -> None:
    code, words = await refused("--store", "memory://", PODIUM_TRACE_PERCENT="101")
    assert (code, "trace.percent: expected int <= 100, found 101" in words) == (2, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00-" + "0" * 32 + f"-{CLIENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{CLIENT}-01",
        f"00-{TRACE}-{CLIENT}-01-more",
        f"00-{TRACE.upper()}-{CLIENT}-01",
        f"00-{TRACE}-{CLIENT}-01\n",
    ],
)
def test_what_is_no_traceparent_counts_as_none(text: str) -> None:
    assert place_of(text) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert context_of(f"01-{TRACE}-{CLIENT}-01-more", "x" * 513).parent == PARENT
    assert context_of(PARENT, "x" * 513).state == ""

"""What an overloaded server takes first and last, and how it tells when to come again."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from podium.api.interceptor import Admission
from podium.api.load import LAG_KEPT_MS, LAG_MS_MAX, Load
from podium.conductor import execution_pb2 as execution
from podium.conductor import request_pb2 as request
from podium.conductor import task_service_pb2 as task
from podium.model.definition import WorkflowDef, WorkflowTask
from podium.store.port import StoreUnavailable
from podium.v1 import worker_pb2, workflow_pb2, workflow_pb2_grpc
from tests.api.edge import Edge
from tests.bench.streams import idle_streams
from tests.cli.serving import serving

ONE: Final = WorkflowDef(name="one", tasks=[WorkflowTask(name="a", task_reference_name="a")])
START: Final = request.StartWorkflowRequest(name="one")
CALLS: Final = 10
RESULT: Final = task.UpdateTaskRequest(
    result=execution.TaskResult(
        workflow_instance_id="absent", task_id="absent", status=execution.TaskResult.COMPLETED
    )
)


async def failure_of(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call
    return failure.value


def status_of(error: grpc.aio.AioRpcError) -> Status:
    """The google.rpc.Status of the trailing metadata, which says the same as the call's own."""
    trailing = dict(error.trailing_metadata())
    details = trailing["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    status = Status.FromString(details)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return status


def retry_ms_of(error: grpc.aio.AioRpcError) -> int:
    [detail] = status_of(error).details
    retry = RetryInfo()
    assert detail.Unpack(retry)
    told_ms = retry.retry_delay.seconds * 1_000 + retry.retry_delay.nanos // 1_000_000
    assert dict(error.trailing_metadata())["grpc-retry-pushback-ms"] == str(told_ms)
    return told_ms


async def test_a_refusal_that_may_pass_says_when_to_come_again() -> None:
    async with Edge(Admission(calls_max=1, calls_reserve=1)) as edge:
        error = await failure_of(edge.workflows.StartWorkflow(START))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert retry_ms_of(error) == 1_000


async def test_a_store_that_does_not_answer_may_do_so_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: object) -> None:
        raise StoreUnavailable("secret")

    async with Edge() as edge:
        monkeypatch.setattr(edge.store, "get_definition", fail)
        error = await failure_of(edge.workflows.StartWorkflow(START))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert retry_ms_of(error) == 1_000


async def test_a_fault_carries_its_request_id_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise KeyError("secret")

    async with Edge() as edge:
        monkeypatch.setattr(edge.store, "get_definition", fail)
        error = await failure_of(edge.workflows.StartWorkflow(START))
    [detail] = status_of(error).details
    info = RequestInfo()
    assert detail.Unpack(info)
    assert error.details() == f"internal error, request id {info.request_id}"
    assert info.serving_data == ""


async def test_a_refusal_for_good_has_no_details() -> None:
    async with Edge() as edge:
        error = await failure_of(edge.workflows.StartWorkflow(START))
        assert error.code() is grpc.StatusCode.NOT_FOUND
        assert not error.trailing_metadata()


async def test_with_full_mailboxes_starts_are_refused_and_results_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    committing, gate = asyncio.Event(), asyncio.Event()
    async with Edge(Admission(mailbox_bytes_max=1_000)) as edge:
        await edge.registry.register_workflow(ONE)
        real = edge.store.commit

        async def slow(commits: Any) -> Any:
            committing.set()
            await gate.wait()
            return await real(commits)

        monkeypatch.setattr(edge.store, "commit", slow)
        large = request.StartWorkflowRequest(name="one")
        large.input["a"].string_value = "x" * 2_000
        first = asyncio.ensure_future(answer_of(edge.workflows.StartWorkflow(large)))
        await committing.wait()
        for call in (
            edge.workflows.StartWorkflow(START),
            edge.podium.StartWorkflows(
                workflow_pb2.StartWorkflowsRequest(items=[workflow_pb2.StartItem(name="one")])
            ),
        ):
            error = await failure_of(call)
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert (error.details() or "").startswith(
                "expected at most 1000 bytes of commands that wait (limits.mailbox_bytes), found 20"
            )
            assert (error.details() or "").endswith("; nothing was started")
            assert retry_ms_of(error) == 1_000
        error = await failure_of(edge.tasks.UpdateTask(RESULT))
        assert error.code() is grpc.StatusCode.NOT_FOUND  # it was looked for
        gate.set()
        assert (await first).workflow_id
        assert edge.runtime.executor.bytes_waiting == 0
        assert (await edge.workflows.StartWorkflow(START)).workflow_id


async def answer_of(call: Any) -> Any:
    return await call


async def test_a_loop_that_lags_refuses_starts_and_takes_results() -> None:
    async with Edge() as edge:
        await edge.registry.register_workflow(ONE)
        loop = asyncio.get_running_loop()
        starts, results = list[asyncio.Future[Any]](), list[asyncio.Future[Any]]()
        while not starts or not all(each.done() for each in (*starts, *results)):
            if len(starts) < CALLS:
                starts.append(asyncio.ensure_future(code_of(edge.workflows.StartWorkflow(START))))
                results.append(asyncio.ensure_future(code_of(edge.tasks.UpdateTask(RESULT))))
            loop.call_soon(time.sleep, (LAG_MS_MAX + 50) / 1_000)
            await asyncio.sleep(0)
    refused = [text for code, text in map(asyncio.Future.result, starts) if code != "OK"]
    assert refused
    others = [text for text in refused if "ms behind; nothing was started" not in text]
    assert others == []
    assert {code for code, _ in map(asyncio.Future.result, results)} == {"NOT_FOUND"}


async def code_of(call: Any) -> tuple[str, str]:
    return (await call.code()).name, await call.details() or ""


async def test_a_lag_is_believed_for_a_moment_and_then_measured_anew() -> None:
    now_ms = 0
    load = Load(now_ms=lambda: now_ms)
    assert load.overload() is None  # the first measures
    now_ms = LAG_MS_MAX + 1
    expected = f"expected a server at most {LAG_MS_MAX} ms behind, found it {now_ms} ms behind"
    assert load.overload() == expected  # what was measured has not run yet
    await asyncio.sleep(0)
    assert load.overload() == expected
    await asyncio.sleep(0)
    now_ms += LAG_KEPT_MS + 1
    assert load.overload() is None


@pytest.mark.timeout(120)
async def test_a_thousand_idle_streams_a_hundred_a_connection() -> None:
    async with serving("--store", "memory://", "--http", "") as server:
        served: Any = server
        async with (
            idle_streams(served, per_connection=100),
            grpc.aio.insecure_channel(server.target) as channel,
        ):
            poll = channel.unary_unary("/conductor.grpc.tasks.TaskService/Poll")
            assert await poll(task.PollRequest(task_type="t").SerializeToString()) == b""


async def test_streams_over_the_servers_limit_are_refused_with_a_hint() -> None:
    environment = {"PODIUM_LIMITS_STREAMS_MAX": "1"}
    hello = worker_pb2.Hello(worker_id="w", sdk="s", task_types=[worker_pb2.TaskType(name="t")])
    frame = worker_pb2.WorkerFrame(hello=hello).SerializeToString()
    async with (
        serving("--store", "memory://", "--http", "", **environment) as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        connect = channel.stream_stream("/podium.v1.WorkerService/Connect")
        first: Any = connect()
        await first.write(frame)
        assert await first.read()
        second: Any = connect()
        error = await failure_of(second.read())
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.details() == "expected at most 1 worker streams, found as many open"
        assert retry_ms_of(error) == 1_000
        first.cancel()


async def test_more_calls_than_a_connection_may_have_at_once_wait_for_their_turn() -> None:
    """grpc's overload protection would refuse some: it counts calls that have just ended."""
    async with (
        serving("--store", "memory://") as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        workflows = workflow_pb2_grpc.WorkflowServiceStub(channel)
        wanted = workflow_pb2.WaitRequest(workflow_id="absent")
        calls = [workflows.Wait(wanted) for _ in range(1_000)]
        failures = [await failure_of(call) for call in calls]
    assert {failure.code() for failure in failures} == {grpc.StatusCode.NOT_FOUND}

"""The guard: no text of a fault reaches a client, calls are limited, answers too."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pool

from podium.api import reflection
from podium.api import server as server_module
from podium.api.interceptor import MAKERS, Admission
from podium.api.server import SERVICES
from podium.app.start import StartRequest, StartWorkflow
from podium.app.tasks import TaskResult, WorkerTasks
from podium.conductor import execution_pb2 as execution
from podium.conductor import request_pb2 as request
from podium.conductor import task_service_pb2 as task
from podium.conductor import workflow_service_pb2 as workflow
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.model.definition import WorkflowDef, WorkflowTask
from podium.model.execution import TaskStatus
from podium.model.payload import Payload
from podium.store.port import StoreClosed, StoreFull, StoreUnavailable
from podium.v1 import workflow_pb2 as podium
from tests.api.calls import TASKS, WORKFLOWS, refusal
from tests.api.edge import Edge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from podium.api.interceptor import Handler

SECRET = "hunter2-/etc/shadow"
ONE = WorkflowDef(name="one", tasks=[WorkflowTask(name="a", task_reference_name="a")])
METHODS = [
    (f"/{service}/{method.name}", method.client_streaming, method.server_streaming)
    for service in (*SERVICES, reflection.SERVICE, reflection.ALPHA_SERVICE)
    for method in descriptor_pool.Default().FindServiceByName(service).methods
]


class Faulty:
    """Inside the guard: every handler, deserializer or serializer raises the secret."""

    def __init__(self, part: str) -> None:
        self.part = part

    def wrap(self, method: str, handler: Handler, /) -> Handler:
        del method
        streams = (handler.request_streaming, handler.response_streaming)
        behaviour = {
            (False, False): handler.unary_unary,
            (False, True): handler.unary_stream,
            (True, False): handler.stream_unary,
            (True, True): handler.stream_stream,
        }[streams]
        read, write = handler.request_deserializer, handler.response_serializer
        if self.part == "handler":
            behaviour = raising
        elif self.part == "generator":
            behaviour = raising_later if streams[1] else raising
        elif self.part == "deserializer":
            read = raise_secret
        else:
            behaviour, write = (answering_later if streams[1] else answering), raise_secret
        made: Any = MAKERS[streams](behaviour, read, write)
        return made


def raise_secret(_: object) -> bytes:
    raise RuntimeError(SECRET)


async def raising(_: object, context: object) -> object:
    raise RuntimeError(SECRET)


async def raising_later(_: object, context: object):
    if context is None:
        yield
    raise RuntimeError(SECRET)


async def answering(_: object, context: object) -> object:
    return SECRET


async def answering_later(_: object, context: object):
    yield SECRET


@asynccontextmanager
async def faulty_edge(part: str, patch: pytest.MonkeyPatch) -> AsyncIterator[Edge]:
    make = server_module.sturdy_server

    def server(layers, options):
        return make(layers=[*layers, Faulty(part)], options=options)

    patch.setattr(server_module, "sturdy_server", server)
    async with Edge() as edge:
        yield edge


async def ask(edge: Edge, path: str, *, sends: bool, receives: bool) -> grpc.aio.AioRpcError:
    """The failure of one call, whatever its kind."""
    try:
        if sends:
            call = edge.channel.stream_stream(path)(iter([b"\x0a\x00"]))
            found: object = [each async for each in call]
        elif receives:
            found = [each async for each in edge.channel.unary_stream(path)(b"")]
        else:
            found = await edge.channel.unary_unary(path)(b"")
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError(found)


@pytest.mark.parametrize("part", ["handler", "generator", "deserializer", "serializer"])
async def test_no_word_of_a_fault_reaches_the_client(
    part: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="podium")
    async with faulty_edge(part, monkeypatch) as edge:
        for path, sends, receives in METHODS:
            if part == "deserializer" and path.endswith("/Connect"):
                continue  # the stream's own loop reads, and has its own catch-all
            error = await ask(edge, path, sends=sends, receives=receives)
            seen = f"{error.details()} {error.debug_error_string()} {error.trailing_metadata()}"
            assert SECRET not in seen, path
            unserved = error.code() == grpc.StatusCode.UNIMPLEMENTED
            if part == "deserializer" and unserved:
                continue
            assert error.code() == grpc.StatusCode.INTERNAL, (path, seen)
            assert (error.details() or "").startswith("internal error, request id test-"), path


async def test_the_log_has_what_the_client_is_not_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with faulty_edge("handler", monkeypatch) as edge:
        error = await ask(edge, f"{TASKS}GetTask", sends=False, receives=False)
    request_id = (error.details() or "").rpartition(" ")[2]
    record = next(each for each in caplog.records if request_id in each.getMessage())
    assert record.exc_info is not None
    assert SECRET in str(record.exc_info[1])


@pytest.mark.parametrize(
    ("failure", "code", "text"),
    [
        (StoreFull(SECRET), "RESOURCE_EXHAUSTED", "full or read-only"),
        (StoreClosed(SECRET), "UNAVAILABLE", "expected an answer of the store"),
        (StoreUnavailable(SECRET), "UNAVAILABLE", "whether the change was made is unknown"),
        (KeyError(SECRET), "INTERNAL", "internal error, request id test-1"),
    ],
)
async def test_failures_of_the_store_are_told_without_its_text(
    failure: Exception, code: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise failure

    async with Edge() as edge:
        monkeypatch.setattr(edge.store, "get_definition", fail)
        found = await refusal(
            edge, f"{WORKFLOWS}StartWorkflow", request.StartWorkflowRequest(name="one")
        )
    assert found[0] == code
    assert text in found[1]
    assert SECRET not in found[1]


async def test_a_full_store_refuses_a_start() -> None:
    async with Edge() as edge:
        await edge.registry.register_workflow(ONE)
        edge.store.before.append(StoreFull(SECRET))
        found = await refusal(
            edge, f"{WORKFLOWS}StartWorkflow", request.StartWorkflowRequest(name="one")
        )
        assert found == (
            "RESOURCE_EXHAUSTED",
            "expected space in the store, found it full or read-only; nothing was stored",
        )
        await edge.workflows.StartWorkflow(request.StartWorkflowRequest(name="one"))


async def test_calls_over_the_limit_are_refused_but_results_keep_a_reserve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, inside = asyncio.Event(), asyncio.Event()

    async with Edge(Admission(calls_max=2, calls_reserve=1)) as edge:
        real = edge.store.get_definition

        async def slow(*asked):
            if "absent" in asked:  # others, as the index, go through
                inside.set()
                await gate.wait()
            return await real(*asked)

        monkeypatch.setattr(edge.store, "get_definition", slow)
        first = edge.workflows.StartWorkflow(request.StartWorkflowRequest(name="absent"))
        await inside.wait()
        assert await refusal(edge, f"{WORKFLOWS}GetWorkflowStatus", b"") == (
            "RESOURCE_EXHAUSTED",
            "expected at most 1 calls in flight, found as many",
        )
        assert (await refusal(edge, f"{TASKS}UpdateTask", b""))[0] == "INVALID_ARGUMENT"
        gate.set()
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await first
        assert failure.value.code() == grpc.StatusCode.NOT_FOUND
        assert (await refusal(edge, f"{WORKFLOWS}GetWorkflowStatus", b""))[0] == "INVALID_ARGUMENT"


async def test_waiting_calls_are_counted_apart() -> None:
    async with Edge(Admission(calls_max=1, calls_reserve=0, waits_max=1)) as edge:
        await edge.registry.register_workflow(ONE)
        started = await edge.workflows.StartWorkflow(request.StartWorkflowRequest(name="one"))
        asked = podium.WatchRequest(workflow_id=started.workflow_id)
        watching = edge.podium.Watch(asked)
        await watching.read()
        assert await refusal(edge, "/podium.v1.WorkflowService/Watch", asked) == (
            "RESOURCE_EXHAUSTED",
            "expected at most 1 waiting calls in flight, found as many",
        )
        await edge.workflows.TerminateWorkflow(
            workflow.TerminateWorkflowRequest(workflow_id=started.workflow_id)
        )
        last = await watching.read()
        assert isinstance(last, podium.WatchResponse)
        assert last.changes[-1].workflow_status == "TERMINATED"
        assert await watching.read() is grpc.aio.EOF


async def test_an_answer_over_the_message_limit_is_refused_with_its_size() -> None:
    async with Edge(Admission(message_bytes_max=100_000)) as edge:
        await edge.registry.register_workflow(ONE)
        starts = StartWorkflow(edge.services)
        large = Payload(b'{"numbers":[1' + b",1" * 19_999 + b"]}")
        started = await starts.start(StartRequest(name="one", input=large))
        code, text = await refusal(
            edge,
            f"{WORKFLOWS}GetWorkflowStatus",
            workflow.GetWorkflowStatusRequest(workflow_id=started.workflow_id),
        )
        assert code == "RESOURCE_EXHAUSTED"
        assert text.startswith("expected an answer of at most 100000 bytes, found 220")


async def test_a_task_that_no_message_can_hold_fails_with_the_sizes() -> None:
    definition = WorkflowDef(
        name="large",
        tasks=[
            WorkflowTask(
                name="a", task_reference_name="a", input_parameters={"all": "${workflow.input}"}
            )
        ],
    )
    async with Edge() as edge:
        await edge.registry.register_workflow(definition)
        starts = StartWorkflow(edge.services)
        large = Payload(b'{"numbers":[1' + b",1" * 1_999_999 + b"]}")
        started = await starts.start(StartRequest(name="large", input=large))
        calls = edge.tasks.BatchPoll(task.BatchPollRequest(task_type="a", timeout=5000))
        assert [each async for each in calls] == []
        assert await edge.runtime.watch.wait(started.workflow_id, 5000)
        entry = await edge.runtime.executor.read(started.workflow_id, everything=True)
        assert entry.header is not None
        assert "expected a task of at most 16777216 bytes as a message" in str(entry.header.reason)


async def test_an_output_over_its_limit_fails_the_task() -> None:
    async with Edge() as edge:
        await edge.registry.register_workflow(ONE)
        started = await StartWorkflow(edge.services).start(StartRequest(name="one"))
        tasks = WorkerTasks(edge.services)
        entry = await edge.runtime.executor.read(started.workflow_id, everything=True)
        [record] = [each for each in entry.records.tasks.values() if each is not None]
        large = Payload(b'{"a":"' + b"x" * PAYLOAD_BYTES_LIMIT + b'"}')
        await tasks.update(
            TaskResult(
                workflow_id=started.workflow_id,
                task_id=record.id,
                status=TaskStatus.COMPLETED,
                output=large,
            )
        )
        view = await tasks.get(record.id)
        assert view.record.status is TaskStatus.FAILED_WITH_TERMINAL_ERROR
        assert view.record.reason == (
            f"expected a task output of at most {PAYLOAD_BYTES_LIMIT} bytes, found {len(large)}"
        )


async def test_results_for_what_has_ended_are_accepted_without_effect() -> None:
    async with Edge() as edge:
        await edge.registry.register_workflow(ONE)
        started = await edge.workflows.StartWorkflow(request.StartWorkflowRequest(name="one"))
        entry = await edge.runtime.executor.read(started.workflow_id, everything=True)
        [record] = [each for each in entry.records.tasks.values() if each is not None]
        result = execution.TaskResult(
            workflow_instance_id=started.workflow_id,
            task_id=record.id,
            status=execution.TaskResult.COMPLETED,
        )
        await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=result))
        result.status = execution.TaskResult.FAILED
        answer = await edge.tasks.UpdateTask(task.UpdateTaskRequest(result=result))
        assert answer.task_id == record.id
        read = await edge.tasks.GetTask(task.GetTaskRequest(task_id=record.id))
        assert read.task.status == execution.Task.COMPLETED
        found = await refusal(
            edge,
            f"{WORKFLOWS}TerminateWorkflow",
            workflow.TerminateWorkflowRequest(workflow_id=started.workflow_id),
        )
        assert found == ("FAILED_PRECONDITION", "Cannot terminate a COMPLETED workflow.")


async def test_a_result_for_an_unknown_task_of_a_known_workflow_is_refused() -> None:
    async with Edge() as edge:
        await edge.registry.register_workflow(ONE)
        started = await edge.workflows.StartWorkflow(request.StartWorkflowRequest(name="one"))
        result = execution.TaskResult(
            workflow_instance_id=started.workflow_id,
            task_id=f"{started.workflow_id}.aaaaaaaaaaaaaaaa.0",
            status=execution.TaskResult.COMPLETED,
        )
        code, text = await refusal(
            edge, f"{TASKS}UpdateTask", task.UpdateTaskRequest(result=result)
        )
        assert code == "NOT_FOUND"
        assert result.task_id in text

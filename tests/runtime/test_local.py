"""The worker inside the server: its results, its faults, its cancels and its end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from podium.engine.command import Terminate
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.model.definition import WorkflowDef, WorkflowTask
from podium.model.execution import TaskStatus, WorkflowStatus
from podium.model.queue import Queue
from podium.runtime.local import LocalWorker
from podium.runtime.vault import NO_SECRETS, Vault
from tests.runtime.rig import EVENT_S, Hand, Rig

if TYPE_CHECKING:
    from podium.model.payload import JsonObject
    from podium.model.system_call import SystemCall
    from podium.runtime.local import Handler
    from podium.runtime.service import Runtime

CALL = WorkflowDef(
    name="call", tasks=[WorkflowTask(name="call", task_reference_name="c", type="HTTP")]
)
HTTP = Queue("HTTP")


@dataclass(frozen=True)
class Answer:
    status: str
    output: JsonObject = field(default_factory=dict)
    reason: str | None = None
    callback_after_ms: int = 0


class Hanging:
    """A handler that never ends by itself."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, call: SystemCall) -> Answer:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        raise AssertionError(call)


def local(
    server: Runtime, handler: Handler, *, tasks_max: int = 1, vault: Vault = NO_SECRETS
) -> LocalWorker:
    worker = LocalWorker(
        handler,
        queue=HTTP,
        tasks_max=tasks_max,
        dispatcher=server.dispatcher,
        leases=server.leases,
        vault=vault,
    )
    worker.start()
    return worker


async def test_it_runs_the_tasks_of_its_queue_and_gets_its_credit_back() -> None:
    async def handler(call: SystemCall) -> Answer:
        return Answer("COMPLETED", {"asked": [*sorted(call.input)]})

    async with Rig([CALL]) as rig:
        server = await rig.server()
        worker = local(server, handler)
        started = [await rig.start(server, "call") for _ in range(3)]
        headers = [await rig.finished(server, each) for each in started]
        assert [each.status for each in headers] == [WorkflowStatus.COMPLETED] * 3
        assert worker.credit(HTTP) == 1
        assert len(server.leases) == 0


async def test_a_fault_of_the_handler_fails_the_task_and_tells_nothing_of_itself() -> None:
    async def handler(call: SystemCall) -> Answer:
        raise ValueError(f"secret {call}")

    async with Rig([CALL]) as rig:
        server = await rig.server()
        local(server, handler)
        workflow_id = await rig.start(server, "call")
        header = await rig.finished(server, workflow_id)
        assert header.status is WorkflowStatus.FAILED
        entry = await server.executor.read(workflow_id, everything=True)
        reasons = [task.reason for task in entry.records.tasks.values() if task is not None]
        assert reasons == ["expected an outcome of HTTP, found a fault of the server"]


@pytest.mark.parametrize("raises", [True, False])
async def test_s_314_a_secret_is_in_the_call_and_in_no_record_reason_or_log(
    caplog: pytest.LogCaptureFixture, *, raises: bool
) -> None:
    """Also where the handler's words hold it, as written or as an address has it."""
    seen: list[JsonObject] = []

    async def handler(call: SystemCall) -> Answer:
        seen.append(call.input)
        if raises:
            raise ValueError(f"no {call.input}")
        return Answer("FAILED", {}, "no k%2F1 for k/1")

    task = WorkflowTask(
        name="call", task_reference_name="c", type="HTTP",
        input_parameters={"x": "${workflow.secrets.KEY}"},
    )  # fmt: skip
    async with Rig([WorkflowDef(name="call", tasks=[task])]) as rig:
        server = await rig.server()
        local(server, handler, vault=Vault({"KEY": "k/1"}, {}))
        workflow_id = await rig.start(server, "call")
        header = await rig.finished(server, workflow_id)
        entry = await server.executor.read(workflow_id, everything=True)
        [record] = [task for task in entry.records.tasks.values() if task is not None]
        assert seen == [{"x": "k/1", "asyncComplete": False}]
        assert record.input.value["x"] == "${workflow.secrets.KEY}"
        told = "expected an outcome of HTTP, found a fault of the server"
        named = "no ${workflow.secrets.KEY} for ${workflow.secrets.KEY}"
        assert record.reason == (told if raises else named)
        assert "k/1" not in f"{caplog.text} {header}"
        assert ("ValueError" in caplog.text) is raises


async def test_what_its_secrets_make_too_large_fails_unrun() -> None:
    async def handler(call: SystemCall) -> Answer:
        raise AssertionError(call.task_id)

    task = WorkflowTask(
        name="call", task_reference_name="c", type="HTTP",
        input_parameters={"x": "${workflow.secrets.KEY}"},
    )  # fmt: skip
    async with Rig([WorkflowDef(name="call", tasks=[task])]) as rig:
        server = await rig.server()
        worker = local(server, handler, vault=Vault({"KEY": "k" * PAYLOAD_BYTES_LIMIT}, {}))
        workflow_id = await rig.start(server, "call")
        await rig.finished(server, workflow_id)
        entry = await server.executor.read(workflow_id, everything=True)
        [record] = [task for task in entry.records.tasks.values() if task is not None]
        assert record.status is TaskStatus.FAILED_WITH_TERMINAL_ERROR
        assert f"at most {PAYLOAD_BYTES_LIMIT} bytes" in (record.reason or "")
        assert worker.credit(HTTP) == 1


async def test_terminating_the_workflow_ends_the_run_and_frees_the_credit() -> None:
    handler = Hanging()
    async with Rig([CALL]) as rig:
        server = await rig.server()
        worker = local(server, handler)
        workflow_id = await rig.start(server, "call")
        async with asyncio.timeout(EVENT_S):
            await handler.begun.wait()
            await server.executor.call(workflow_id, Terminate(reason="enough"), "test")
            await handler.cancelled.wait()
        header = await rig.finished(server, workflow_id)
        assert header.status is WorkflowStatus.TERMINATED
        assert len(server.leases) == 0
        handler.begun.clear()
        await rig.start(server, "call")
        async with asyncio.timeout(EVENT_S):
            await handler.begun.wait()
        assert worker.credit(HTTP) == 0


async def test_its_end_gives_the_task_to_another_worker_uncharged() -> None:
    handler = Hanging()
    async with Rig([CALL]) as rig:
        server = await rig.server()
        worker = local(server, handler)
        workflow_id = await rig.start(server, "call")
        async with asyncio.timeout(EVENT_S):
            await handler.begun.wait()
            await worker.stop()
            await handler.cancelled.wait()
        hand = Hand(server, "w", [HTTP], 1)
        task = await hand.take()
        assert (task.ref, task.attempt, task.leases_lost) == ("c", 0, 0)
        await hand.answer(task)
        assert (await rig.finished(server, workflow_id)).status is WorkflowStatus.COMPLETED

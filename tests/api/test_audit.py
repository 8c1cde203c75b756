"""The audit trail over a real channel: what is on it, what is not, pages, a failing store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from podium import config
from podium.api.auditing import Auditor, is_audited
from podium.api.protection import Protection
from podium.api.server import SERVICES
from podium.api.sturdy_server import sturdy_server
from podium.conductor import definition_pb2 as definition
from podium.conductor import metadata_service_pb2 as metadata
from podium.conductor import workflow_service_pb2 as workflow
from podium.model.audit import AuditRecord
from podium.runtime.audit import WAITING_MAX
from podium.runtime.clock import SystemClock
from podium.store.port import StoreUnavailable
from podium.v1 import admin_audit_pb2 as pb
from podium.v1 import admin_pb2, workflow_pb2
from tests.api.calls import WORKFLOWS, refusal, simple
from tests.api.credentials import Keys, bearer, settings_of
from tests.api.edge import Edge
from tests.api.test_flow import completed, polled, registered, started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATH = "/podium.v1.AdminService/ListAudit"


async def trail(edge: Edge, **asked: object) -> list[pb.AuditedCall]:
    request = pb.ListAuditRequest(**asked)  # pyright: ignore[reportArgumentType]
    return list((await edge.admin.ListAudit(request)).calls)


def said(call: pb.AuditedCall) -> tuple[str, str, list[str]]:
    return call.method.rpartition("/")[2], call.code, list(call.names)


async def pause(edge: Edge, workflow_id: str) -> None:
    await edge.workflows.PauseWorkflow(workflow.PauseWorkflowRequest(workflow_id=workflow_id))


async def test_who_did_what_with_what_outcome_and_nothing_of_the_work_itself() -> None:
    async with Edge() as edge:
        before_ms = edge.clock.now_ms()
        await registered(edge, definition.WorkflowDef(name="one", tasks=[simple("a")]))
        workflow_id = await started(edge, secret="not for the trail")
        await pause(edge, workflow_id)
        await completed(edge, await polled(edge, "a"), secret="neither")
        again = workflow.RetryWorkflowRequest(workflow_id=workflow_id)
        assert (await refusal(edge, f"{WORKFLOWS}RetryWorkflow", again))[0] == "FAILED_PRECONDITION"
        stop = workflow.TerminateWorkflowRequest(workflow_id=workflow_id, reason="not this either")
        await edge.workflows.TerminateWorkflow(stop)
        calls = await trail(edge)
        assert [said(each) for each in calls] == [
            ("TerminateWorkflow", "OK", [workflow_id]),
            ("RetryWorkflow", "FAILED_PRECONDITION", [workflow_id]),
            ("PauseWorkflow", "OK", [workflow_id]),
            ("CreateWorkflow", "OK", ["one", "a"]),
        ]
        assert all(each.at_ms >= before_ms for each in calls)
        assert {(each.principal, each.server) for each in calls} == {
            ("anonymous", edge.runtime.incarnation)
        }
        assert all("127.0.0.1" in each.peer for each in calls)
        assert calls[0].method == "conductor.grpc.workflows.WorkflowService/TerminateWorkflow"


async def test_it_is_read_by_execution_by_window_and_by_pages() -> None:
    async with Edge() as edge:
        await registered(edge, definition.WorkflowDef(name="one", tasks=[simple("a")]))
        first, second = await started(edge), await started(edge)
        for workflow_id in (first, second, first):
            await pause(edge, workflow_id)
        await edge.podium.Signal(workflow_pb2.SignalRequest(workflow_id=second))
        assert [said(each)[0] for each in await trail(edge, workflow_id=first)] == [
            "PauseWorkflow", "PauseWorkflow",
        ]  # fmt: skip
        calls = await trail(edge)
        window = await trail(edge, from_ms=calls[3].at_ms, until_ms=calls[0].at_ms + 1)
        assert [said(each) for each in window][:4] == [said(each) for each in calls[:4]]
        found: list[pb.AuditedCall] = []
        token, pages = "", 0
        while True:
            asked = pb.ListAuditRequest(page_size=2, page_token=token)
            answer = await edge.admin.ListAudit(asked)
            found += answer.calls
            pages, token = pages + 1, answer.next_page_token
            if not token:
                break
        assert (pages, found) == (3, calls)
        assert await trail(edge, from_ms=edge.clock.now_ms() + 60_000) == []


async def test_of_many_names_the_first_are_kept_and_the_rest_is_counted() -> None:
    async with Edge() as edge:
        defs = [definition.TaskDef(name=f"t{number}") for number in range(25)]
        await edge.metadata.CreateTasks(metadata.CreateTasksRequest(defs=defs))
        [call] = await trail(edge)
        assert list(call.names) == [f"t{number}" for number in range(20)]
        assert call.more_names == 5


async def test_a_call_does_not_fail_for_its_row_which_comes_later() -> None:
    async with Edge() as edge:
        await registered(edge, definition.WorkflowDef(name="one", tasks=[simple("a")]))
        workflow_id = await started(edge)
        real, tries = edge.store.add_audit, []

        async def failing(entries: object) -> None:
            tries.append(entries)
            if len(tries) < 2:
                raise StoreUnavailable("planted")
            await real(entries)  # pyright: ignore[reportArgumentType]

        edge.store.add_audit = failing
        await pause(edge, workflow_id)
        await edge.runtime.audit.drain()
        assert [said(each)[0] for each in await trail(edge)] == ["PauseWorkflow", "CreateWorkflow"]


async def test_what_waits_for_the_store_is_bounded_and_dropped_rows_are_counted() -> None:
    async with Edge() as edge:
        held = asyncio.Event()

        async def holding(entries: object) -> None:
            del entries
            await held.wait()

        edge.store.add_audit = holding
        log = edge.runtime.audit
        record = AuditRecord(at_ms=1, method="m", principal="p", peer="", names=(), more=0,
                             code="OK", server="s")  # fmt: skip
        kept = [log.put(record) for _ in range(WAITING_MAX + 3)]
        assert [each is None for each in kept].count(True) == log.dropped_count == 3
        held.set()
        await log.drain()
        assert all(each.is_set() for each in kept if each is not None)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (pb.ListAuditRequest(page_size=1001), "page_size: expected 0 to 1000, found 1001"),
        (pb.ListAuditRequest(page_size=-1), "page_size: expected 0 to 1000, found -1"),
        (
            pb.ListAuditRequest(page_token="x"),
            "page_token: expected one that an answer gave, found x",
        ),
        (pb.ListAuditRequest(page_token="9" * 30), "page_token: expected one that an answer gave"),
        (pb.ListAuditRequest(from_ms=-1), "from_ms, until_ms: expected 0 or more, found -1"),
        (
            pb.ListAuditRequest(from_ms=5, until_ms=5),
            "until_ms: expected more than from_ms, 5, found 5",
        ),
        (pb.ListAuditRequest(workflow_id="a\nb"), "workflow_id: expected text without control"),
        (pb.ListAuditRequest(workflow_id="x" * 300), "workflow_id: expected at most 255"),
    ],
)
async def test_bad_input_is_refused(asked: pb.ListAuditRequest, text: str) -> None:
    async with Edge() as edge:
        code, found = await refusal(edge, PATH, asked)
        assert (code, found[: len(text)]) == ("INVALID_ARGUMENT", text)


async def test_bytes_that_are_no_message_are_not_on_the_trail() -> None:
    async with Edge() as edge:
        assert (await refusal(edge, f"{WORKFLOWS}PauseWorkflow", b"\xff\xff"))[
            0
        ] == "INVALID_ARGUMENT"
        assert await trail(edge) == []


def test_what_is_audited_is_what_changes_and_is_not_the_work() -> None:
    reads = {"ListParked", "Explain", "ListAudit"}
    methods = {each.name for each in admin_pb2.DESCRIPTOR.services_by_name["AdminService"].methods}
    assert reads <= methods
    for name in methods:
        audited = is_audited(f"/podium.v1.AdminService/{name}")
        assert audited is not name.startswith(("Get", "List", "Explain")), name
    for path in ("RemoveWorkflow", "RerunWorkflow", "DecideWorkflow", "SkipTaskFromWorkflow"):
        assert is_audited(f"{WORKFLOWS}{path}")
    for path in ("StartWorkflow", "GetWorkflowStatus", "Search"):
        assert not is_audited(f"{WORKFLOWS}{path}")
    for path in ("Poll", "BatchPoll", "UpdateTask", "AddLog", "GetTask"):
        assert not is_audited(f"/conductor.grpc.tasks.TaskService/{path}")
    assert not is_audited("/grpc.health.v1.Health/Check")
    assert not is_audited("/podium.v1.WorkflowService/StartWorkflows")
    assert "podium.v1.AdminService" in SERVICES


class Trail:
    """In place of the log: what was put on it."""

    incarnation = "inc"

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.kept: list[AuditRecord] = []

    def put(self, record: AuditRecord) -> None:
        self.kept.append(record)
        self.news.set()


async def test_a_stream_that_its_client_breaks_off_is_on_the_trail_and_harms_nobody() -> None:
    async def endless(request: bytes, context: object) -> AsyncIterator[bytes]:
        while True:
            yield b"x"

    trail: Any = Trail()
    server = sturdy_server([Auditor(trail, SystemClock(), lambda: "me")], [])
    made = grpc.unary_stream_rpc_method_handler(endless)
    server.add_registered_method_handlers("podium.v1.AdminService", {"Stream": made})
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    for _ in range(10):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_stream("/podium.v1.AdminService/Stream")(b"")
            assert await call.read() == b"x"
            call.cancel()
        await trail.news.wait()
        trail.news.clear()
    await server.stop(None)
    assert {(each.code, "127.0.0.1" in each.peer) for each in trail.kept} == {("CANCELLED", True)}


async def test_the_trail_says_who_it_was_and_who_was_not_let_in() -> None:
    keys = Keys()
    auth = config.Auth(keys=keys.lines())
    protection = Protection(settings_of(auth), now_ms=SystemClock().now_ms)
    async with Edge(protection=protection) as edge:
        defs = metadata.CreateTasksRequest(defs=[definition.TaskDef(name="t")])
        await edge.metadata.CreateTasks(defs, metadata=bearer(keys.shown["writer"]))
        for shown in (bearer(keys.shown["reader"]), bearer("wrong"), (), ()):
            with pytest.raises(grpc.aio.AioRpcError):
                await edge.metadata.CreateTasks(defs, metadata=shown)
        answer = await edge.admin.ListAudit(
            pb.ListAuditRequest(), metadata=bearer(keys.shown["admin"])
        )
    # One row a minute for all who showed nothing that is known.
    assert [(each.principal, each.code) for each in answer.calls] == [
        ("anonymous", "UNAUTHENTICATED"),
        ("key reader", "PERMISSION_DENIED"),
        ("key writer", "OK"),
    ]

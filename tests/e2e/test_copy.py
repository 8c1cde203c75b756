"""`podium admin copy`: a store into another of another kind, while no server uses them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from podium.conductor import execution_pb2, task_service_pb2, workflow_service_pb2
from podium.copying.copy import Copying
from podium.copying.image import CopyFailed
from podium.runtime.clock import SystemClock
from podium.store.memory import MemoryStore
from podium.store.port import Commit, StoreUnavailable
from podium.store.sqlite import SqliteStore
from podium.v1 import workflow_pb2, workflow_pb2_grpc
from tests.cli.serving import podium, serving
from tests.e2e.client import Client
from tests.store.nodes import one_node

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from podium.store.port import CommitResult, Store

pytestmark = [pytest.mark.part("redis-server"), pytest.mark.timeout(180)]

RUNS = 12
LEASED, ENDED, ARCHIVED = range(3)
"""Which of the runs."""


async def poll(client: Client) -> execution_pb2.Task:
    """A task, once there is one."""
    async with asyncio.timeout(60):
        while True:
            asked = task_service_pb2.BatchPollRequest(
                task_type="one", worker_id="w", count=1, timeout=5_000
            )
            async for task in client.tasks.BatchPoll(asked):
                return task


async def complete(client: Client, task: execution_pb2.Task) -> None:
    """What a worker says at its end."""
    result = execution_pb2.TaskResult(
        workflow_instance_id=task.workflow_instance_id,
        task_id=task.task_id,
        status=execution_pb2.TaskResult.COMPLETED,
    )
    result.output_data["by"].string_value = "w"
    await client.tasks.UpdateTask(task_service_pb2.UpdateTaskRequest(result=result))


async def start_by_key(client: Client) -> str:
    """The id of the run that the key points at."""
    item = workflow_pb2.StartItem(name="one", idempotency_key="k")
    stub = workflow_pb2_grpc.WorkflowServiceStub(client.channel)
    [started] = (
        await stub.StartWorkflows(workflow_pb2.StartWorkflowsRequest(items=[item]))
    ).results
    return started.workflow_id


async def fill(target: str) -> tuple[execution_pb2.Task, list[str]]:
    """Runs of which one has a worker (its task), one has ended, one is archived; others wait."""
    async with Client(target) as client:
        await client.register("one")
        ids = [await start_by_key(client)]
        held = await poll(client)
        assert held.workflow_instance_id == ids[LEASED]
        line = task_service_pb2.AddLogRequest(task_id=held.task_id, log="begun")
        await client.tasks.AddLog(line)
        for _ in (ENDED, ARCHIVED):
            ids.append(await client.start("one"))
            await complete(client, await poll(client))
            assert (await client.ended(ids[-1]))[0] == "COMPLETED"
        removal = workflow_service_pb2.RemoveWorkflowRequest(
            workflod_id=ids[ARCHIVED], archive_workflow=True
        )
        await client.workflows.RemoveWorkflow(removal)
        ids += [await client.start("one", f"text {number}") for number in range(3, RUNS)]
        return held, ids


async def copied(source: str, target: str) -> tuple[int, str, str]:
    """Exit code, what was said, and complained."""
    return await podium("admin", "copy", "--from", source, "--to", target)


async def test_work_goes_on_in_the_copy(tmp_path: Path) -> None:
    sqlite = f"sqlite:///{tmp_path}/podium.db"
    async with serving("--store", sqlite) as server:
        held, ids = await fill(server.target)
        server.process.kill()
        await server.process.wait()
    with one_node(tmp_path, "--appendonly", "yes") as node:
        code, said, complaints = await copied(sqlite, node.url)
        assert code == 0, complaints
        assert said.startswith(f"copied {RUNS - 1} executions (0 were there, equal), 1 archived")
        code, said, complaints = await copied(sqlite, node.url)
        assert code == 0, complaints
        assert said.startswith(f"copied 0 executions ({RUNS - 1} were there, equal), 0 archived")
        async with serving("--store", node.url) as server, Client(server.target) as client:
            code, _, complaints = await copied(node.url, f"sqlite:///{tmp_path}/back.db")
            assert code == 2
            assert "expected a source without servers, found 1" in complaints
            assert await start_by_key(client) == ids[LEASED]
            await complete(client, held)  # its worker has it still
            for _ in range(RUNS - 3):
                await complete(client, await poll(client))
            for workflow_id in (*ids[:ARCHIVED], *ids[ARCHIVED + 1 :]):
                assert (await client.ended(workflow_id))[0] == "COMPLETED"
            read = await client.read(ids[LEASED])
            logs = await client.tasks.GetTaskLogs(
                task_service_pb2.GetTaskLogsRequest(task_id=read.tasks[0].task_id)
            )
            assert [each.log for each in logs.logs] == ["begun"]
            assert (await client.read(ids[ARCHIVED])).status == read.COMPLETED
            code, _ = await server.end()
            assert code == 0


class Cut:
    """A target that is away after some commits."""

    def __init__(self, store: Store, commits: int) -> None:
        self._store = store
        self._commits = commits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, commits: list[Commit]) -> list[CommitResult]:
        """As the store's."""
        self._commits -= 1
        if self._commits < 0:
            raise StoreUnavailable("cut")
        return await self._store.commit(commits)


@asynccontextmanager
async def filled(path: Path) -> AsyncGenerator[Store]:
    """A store that a killed server left."""
    async with serving("--store", f"sqlite:///{path}/podium.db") as server:
        await fill(server.target)
        server.process.kill()
        await server.process.wait()
    store = SqliteStore(path / "podium.db", SystemClock().now_ms)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def with_effects(store: Store) -> None:
    """As two servers leave it that died before they had carried out all."""
    for partition in range(256):
        for workflow_id in await store.scan(partition, "", 100):
            for server in ("dead", "dead, too"):
                await store.heartbeat(server)
                loaded = await store.load(workflow_id, ())
                assert loaded is not None
                commit = Commit(
                    workflow_id=workflow_id,
                    version=loaded.version,
                    incarnation=server,
                    outbox=(b"first", b"second"),
                    running=False,
                )
                await store.commit([commit])


async def test_a_copy_that_is_cut_short_goes_on(tmp_path: Path) -> None:
    async with filled(tmp_path) as source:
        await with_effects(source)
        target = MemoryStore(SystemClock().now_ms)
        await target.open()
        done = 0
        while True:
            cut: Any = Cut(target, 3)
            try:
                end = await Copying(source, cut, SystemClock(), lambda _: None).run()
            except StoreUnavailable:
                done += 1
                continue
            break
        assert done >= 3
        assert end.equal + end.executions == RUNS - 1
        assert end.executions <= 3
        again = await Copying(source, target, SystemClock(), lambda _: None).run()
        assert (again.equal, again.executions, again.archived) == (RUNS - 1, 0, 0)
        back = MemoryStore(SystemClock().now_ms)
        await back.open()
        there = await Copying(target, back, SystemClock(), lambda _: None).run()
        assert (there.executions, there.archived) == (RUNS - 1, 1)
        waiting = [await store.outbox(range(256), "dead, too") for store in (source, back)]
        assert sorted(each.workflow_id for each in waiting[0]) == sorted(
            each.workflow_id for each in waiting[1]
        )
        assert [each.effect for each in waiting[1]] == [b"first", b"second"] * (RUNS - 1)


async def test_a_target_with_work_of_its_own_is_left_alone(tmp_path: Path) -> None:
    async with filled(tmp_path) as source:
        target = MemoryStore(SystemClock().now_ms)
        await target.open()
        await Copying(source, target, SystemClock(), lambda _: None).run()
        empty = MemoryStore(SystemClock().now_ms)
        await empty.open()
        with pytest.raises(CopyFailed, match="expected a target without"):
            await Copying(empty, target, SystemClock(), lambda _: None).run()
        again = await Copying(source, target, SystemClock(), lambda _: None).run()
        assert again.equal == RUNS - 1

"""The registry: versions, all or none, binding, caches between servers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from podium.model.definition import SubWorkflowParams, TaskDef, WorkflowDef, WorkflowTask
from podium.model.queue import UNLIMITED, Limits
from podium.registry.failure import (
    ChildUnknown,
    DefinitionExists,
    DefinitionUnknown,
    DefinitionUnsound,
)
from podium.registry.registry import BOUND, Registry
from podium.runtime.clock import SystemClock
from podium.store.memory import MemoryStore
from podium.store.port import DefinitionRow, StoreFull

if TYPE_CHECKING:
    from podium.model.payload import JsonValue


def flow(name: str, version: int = 1, task: str = "a") -> WorkflowDef:
    return WorkflowDef(
        name=name, version=version, tasks=[WorkflowTask(name=task, task_reference_name=task)]
    )


def parent(child: str, version: int | None = None) -> WorkflowDef:
    params = SubWorkflowParams(name=child, version=version)
    task = WorkflowTask(
        name="sub", task_reference_name="sub", type="SUB_WORKFLOW", sub_workflow_param=params
    )
    return WorkflowDef(name="parent", tasks=[task])


class CountingStore(MemoryStore):
    """Counts reads of definitions, and has room for so many more."""

    reads = 0
    room = 1_000

    async def put_definition(self, row: DefinitionRow, *, overwrite: bool) -> bool:
        if self.room == 0:
            self.room = 1_000
            raise StoreFull
        self.room -= 1
        return await super().put_definition(row, overwrite=overwrite)

    async def get_definition(self, kind: str, name: str, version: int | None):
        self.reads += 1
        return await super().get_definition(kind, name, version)


@pytest.fixture
async def store() -> CountingStore:
    made = CountingStore(SystemClock().now_ms)
    await made.open()
    return made


@pytest.fixture
def registry(store: CountingStore) -> Registry:
    return Registry(store, SystemClock().now_ms)


async def test_the_latest_version_is_the_greatest(registry: Registry) -> None:
    for version in (1, 10, 9):
        await registry.register_workflow(flow("w", version))
    assert (await registry.get_workflow("w", None)).version == 10
    assert (await registry.get_workflow("w", 9)).version == 9
    with pytest.raises(DefinitionUnknown, match="name w and version 2"):
        await registry.get_workflow("w", 2)


async def test_a_version_is_registered_once_and_updated_on_wish(registry: Registry) -> None:
    await registry.register_workflow(flow("w"))
    created = (await registry.get_workflow("w", 1)).create_time
    with pytest.raises(DefinitionExists, match="found w version 1 registered"):
        await registry.register_workflow(flow("w", task="b"))
    await registry.update_workflows([flow("w", task="b")])
    found = await registry.get_workflow("w", 1)
    assert found.tasks[0].name == "b"
    assert found.create_time == created
    assert found.update_time >= created > 0


async def test_all_problems_are_told_at_once_and_nothing_is_stored(registry: Registry) -> None:
    unsound = WorkflowDef(name="", tasks=[])
    with pytest.raises(DefinitionUnsound) as failure:
        await registry.update_workflows([flow("w"), unsound])
    assert "defs[1].name: expected a name, found none" in failure.value.message
    assert "defs[1].tasks: expected at least one task, found none" in failure.value.message
    with pytest.raises(DefinitionUnknown):
        await registry.get_workflow("w", None)
    with pytest.raises(DefinitionUnsound, match=r"defs\[1\]\.retryCount"):
        await registry.register_tasks([TaskDef(name="t"), TaskDef(name="u", retry_count=-1)])
    with pytest.raises(DefinitionUnknown):
        await registry.get_task("t")


async def test_a_store_that_is_full_in_the_middle_keeps_what_it_had(
    registry: Registry, store: CountingStore
) -> None:
    await registry.register_tasks([TaskDef(name="old", retry_count=1)])
    before = await store.list_definitions("task")
    store.room = 2
    with pytest.raises(StoreFull):
        await registry.register_tasks([TaskDef(name=name) for name in ("old", "new", "last")])
    assert await store.list_definitions("task") == before
    assert (await registry.get_task("old")).retry_count == 1


async def test_task_definitions_are_created_updated_and_deleted(registry: Registry) -> None:
    with pytest.raises(DefinitionUnknown):
        await registry.update_task(TaskDef(name="t"))
    await registry.register_tasks([TaskDef(name="t", concurrent_exec_limit=2)])
    assert await registry.limits("t") == Limits(concurrent=2)
    await registry.update_task(
        TaskDef(name="t", rate_limit_per_frequency=5, rate_limit_frequency_in_seconds=3)
    )
    assert await registry.limits("t") == Limits(rate=5, rate_window_ms=3000)
    assert await registry.limits("other") == UNLIMITED
    await registry.delete_task("t")
    assert await registry.task_defs(["t"]) == {"t": None}
    with pytest.raises(DefinitionUnknown):
        await registry.delete_task("t")


async def test_a_bound_definition_is_stored_once_and_found_by_its_digest(
    registry: Registry, store: CountingStore
) -> None:
    await registry.register_tasks([TaskDef(name="a", retry_count=7)])
    await registry.register_workflow(flow("w"))
    bound = await registry.bound_by_name("w", None)
    assert (await registry.bound_by_name("w", 1)).digest == bound.digest
    assert [row.name for row in await store.list_definitions(BOUND)] == [bound.digest]
    other = Registry(store, SystemClock().now_ms)
    graph = await other.graph(bound.digest, None)
    assert graph.nodes[0].task_def == bound.graph.nodes[0].task_def
    assert graph.nodes[0].task_def is not None
    assert graph.nodes[0].task_def.retry_count == 7


async def test_starting_again_reads_nothing(registry: Registry, store: CountingStore) -> None:
    await registry.register_workflow(flow("w"))
    await registry.bound_by_name("w", None)
    before = store.reads
    await registry.bound_by_name("w", None)
    await registry.refresh()
    await registry.bound_by_name("w", None)
    await registry.refresh()
    await registry.bound_by_name("w", None)
    assert store.reads <= before + 2  # the first refresh learns the generation


async def test_an_inline_definition_is_compiled_from_its_own_bytes(
    registry: Registry, store: CountingStore
) -> None:
    bound = await registry.bound(flow("inline"), store=False)
    assert await store.list_definitions(BOUND) == []
    other = Registry(store, SystemClock().now_ms)
    assert (await other.graph(bound.digest, bound.encoded)).definition.name == "inline"


async def test_children_without_a_version_are_pinned(registry: Registry) -> None:
    await registry.register_workflow(parent("child"))
    with pytest.raises(ChildUnknown, match="found none with name child"):
        await registry.bound_by_name("parent", None)
    await registry.update_workflows([flow("child", 1), flow("child", 4)])
    first = await registry.bound_by_name("parent", None)
    params = first.graph.nodes[0].task.sub_workflow_param
    assert params is not None
    assert params.version == 4
    await registry.register_workflow(flow("child", 5))
    assert (await registry.bound_by_name("parent", None)).digest != first.digest


async def test_another_server_sees_a_change_at_its_next_refresh(store: CountingStore) -> None:
    one, two = (Registry(store, SystemClock().now_ms) for _ in range(2))
    await one.register_workflow(flow("w", 1))
    await two.refresh()
    assert (await two.bound_by_name("w", None)).version == 1
    await one.register_workflow(flow("w", 2))
    assert (await two.bound_by_name("w", None)).version == 1
    await two.refresh()
    assert (await two.bound_by_name("w", None)).version == 2


async def test_what_is_hardly_meant_is_logged_when_it_is_registered(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    task = WorkflowTask(name="a", task_reference_name="a")
    fork = WorkflowTask(name="f", task_reference_name="f", type="FORK_JOIN", fork_tasks=[[task]])
    join = WorkflowTask(name="j", task_reference_name="j", type="JOIN")
    with caplog.at_level(logging.WARNING, "podium.registry"):
        await registry.register_workflow(WorkflowDef(name="w", tasks=[fork, join]))
    assert "workflow w version 1, tasks[1].joinOn: expected the references" in caplog.text
    assert await registry.get_workflow("w", 1)


async def test_s_046_schemas_that_nothing_can_enforce_are_logged_and_taken(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    avro: dict[str, JsonValue] = {"name": "s", "version": 1, "type": "AVRO", "data": {"a": 1}}
    empty: dict[str, JsonValue] = {"name": "s", "version": 1, "type": "JSON"}
    strict = TaskDef(name="a", output_schema=avro, enforce_schema=True)
    lax = TaskDef(name="b", output_schema=avro)
    task = WorkflowTask(name="a", task_reference_name="a", task_definition=strict)
    with caplog.at_level(logging.WARNING, "podium.registry"):
        await registry.register_workflow(WorkflowDef(name="w", tasks=[task], input_schema=empty))
        await registry.register_tasks([strict, lax])
    said = "expected a schema of type JSON with its data, found"
    nothing = "nothing is checked"
    assert [record.getMessage() for record in caplog.records] == [
        f"workflow w version 1, inputSchema: {said} no data: {nothing}",
        f"workflow w version 1, tasks[0].taskDefinition.outputSchema: {said} AVRO: {nothing}",
        f"task a, outputSchema: {said} AVRO: {nothing}",
    ]

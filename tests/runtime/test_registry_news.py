"""Servers over one store: who changes a definition tells the others at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podium.model.definition import TaskDef, WorkflowDef, WorkflowTask
from podium.registry.failure import DefinitionUnknown
from podium.registry.registry import Registry
from podium.runtime.clock import SystemClock, SystemIds
from podium.runtime.service import Runtime, Settings
from podium.store.memory import MemoryStore
from tests.runtime.rig import EVENT_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Server:
    """A runtime with a registry of its own, whose heartbeats ask for nothing."""

    def __init__(self, store: MemoryStore) -> None:
        clock = SystemClock()
        self.registry = Registry(store, clock.now_ms)
        self.runtime = Runtime(
            store=store, registry=self.registry, clock=clock, ids=SystemIds(), settings=Settings()
        )

    async def start(self) -> None:
        async def starter(*_: object) -> None:
            raise AssertionError("no child is started here")

        await self.runtime.start(starter)  # pyright: ignore[reportArgumentType]
        self.runtime.members.on_beat = lambda: None

    async def knows(self, version: int) -> bool:
        try:
            return (await self.registry.get_workflow("w", None)).version == version
        except DefinitionUnknown:
            return version == 0

    def knows_of(self, other: Server) -> Callable[[], Awaitable[bool]]:
        async def knows() -> bool:
            return other.runtime.incarnation in self.runtime.members.live

        return knows

    async def has_task(self) -> bool:
        return (await self.registry.task_defs(["t"]))["t"] is not None

    async def lacks_task(self) -> bool:
        return not await self.has_task()


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    while not await true():  # noqa: ASYNC110 - it has no signal
        await asyncio.sleep(0.001)


def definition(version: int) -> WorkflowDef:
    task = WorkflowTask(name="t", task_reference_name="t")
    return WorkflowDef(name="w", version=version, schema_version=2, tasks=[task])


async def test_a_change_is_seen_by_the_others_without_a_heartbeat() -> None:
    store = MemoryStore(SystemClock().now_ms)
    await store.open()
    writer, reader = Server(store), Server(store)
    for each in (writer, reader):
        await each.start()
    async with asyncio.timeout(EVENT_S):
        # each knows of the other from its next heartbeat on
        await until(writer.knows_of(reader))
        assert await reader.knows(0)
        for version in (1, 2):
            await writer.registry.register_workflow(definition(version))
            await until(lambda wanted=version: reader.knows(wanted))
        assert not await reader.has_task()
        await writer.registry.register_tasks([TaskDef(name="t", retry_count=7)])
        await until(reader.has_task)
        await writer.registry.delete_task("t")
        await until(reader.lacks_task)
    for each in (writer, reader):
        await each.runtime.stop()

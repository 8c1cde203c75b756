"""Conformance: definitions and their generation, the bus."""

# ruff: noqa: D103, PLR2004 - the name of a check is its sentence, an expected number the statement

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from podium.store.conformance.subject import OTHER, SERVER
from podium.store.port import DefinitionRow

if TYPE_CHECKING:
    from podium.store.conformance.subject import Subject


async def the_greatest_version_is_the_default(subject: Subject) -> None:
    store = subject.store
    rows = [DefinitionRow("workflow", "order", version, b"%d" % version) for version in (2, 10, 9)]
    for row in rows:
        assert await store.put_definition(row, overwrite=False)
    assert await store.get_definition("workflow", "order", None) == rows[1]
    assert await store.get_definition("workflow", "order", 9) == rows[2]
    assert await store.get_definition("workflow", "order", 1) is None
    assert await store.get_definition("task", "order", None) is None


async def a_definition_is_overwritten_only_when_asked(subject: Subject) -> None:
    store = subject.store
    old, new = (DefinitionRow("task", "resize", 1, value) for value in (b"old", b"new"))
    assert await store.put_definition(old, overwrite=False)
    assert not await store.put_definition(new, overwrite=False)
    assert await store.get_definition("task", "resize", 1) == old
    assert await store.put_definition(new, overwrite=True)
    assert await store.get_definition("task", "resize", None) == new


async def definitions_are_listed_by_name_and_version(subject: Subject) -> None:
    store = subject.store
    for name, version in (("b", 1), ("a", 2), ("a", 1)):
        await store.put_definition(DefinitionRow("workflow", name, version, b"x"), overwrite=True)
    await store.put_definition(DefinitionRow("task", "c", 1, b"x"), overwrite=True)
    rows = await store.list_definitions("workflow")
    assert [(row.name, row.version) for row in rows] == [("a", 1), ("a", 2), ("b", 1)]


async def the_generation_rises_with_each_change(subject: Subject) -> None:
    store = subject.store
    row = DefinitionRow("workflow", "order", 1, b"x")
    seen = [await store.registry_generation()]
    for overwrite in (False, True):
        await store.put_definition(row, overwrite=overwrite)
        seen.append(await store.registry_generation())
    assert await store.delete_definition("workflow", "order", 1)
    seen.append(await store.registry_generation())
    assert seen == sorted(set(seen))
    assert not await store.delete_definition("workflow", "order", 1)
    await store.put_definition(DefinitionRow("bound", "digest", 1, b"x"), overwrite=False)
    assert await store.registry_generation() == seen[-1]
    assert await store.get_definition("workflow", "order", None) is None


async def the_bus_delivers_to_its_subscriber_alone(subject: Subject) -> None:
    store = subject.store
    messages: list[bytes] = []
    arrived = asyncio.Event()

    def deliver(message: bytes) -> None:
        messages.append(message)
        if len(messages) == 2:
            arrived.set()

    store.subscribe(SERVER, deliver)
    await store.publish(OTHER, b"lost")
    await store.publish(SERVER, b"one")
    await store.publish(SERVER, b"two")
    await asyncio.wait_for(arrived.wait(), 5)
    assert messages == [b"one", b"two"]
    store.subscribe(SERVER, None)
    await store.publish(SERVER, b"nobody listens")


CHECKS: Final = (
    the_greatest_version_is_the_default,
    a_definition_is_overwritten_only_when_asked,
    definitions_are_listed_by_name_and_version,
    the_generation_rises_with_each_change,
    the_bus_delivers_to_its_subscriber_alone,
)

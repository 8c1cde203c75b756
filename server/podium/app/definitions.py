"""Definitions as JSON documents: registered, checked, read. Everything wrong is said at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import orjson

from podium.app.failure import RequestUnsound
from podium.engine.form import form_of
from podium.engine.problem import Problem, deeper_than
from podium.engine.schema import schema_warnings
from podium.engine.warn import warnings_of
from podium.model.definition import Record, TaskDef, WorkflowDef, encode, without_nulls
from podium.registry.failure import DefinitionUnsound

if TYPE_CHECKING:
    from podium.model.payload import JsonValue
    from podium.registry.registry import Registry

LEVELS_MAX: Final = 200
"""Of a document; each parameter in it has a limit of its own."""
LARGE_BYTES: Final = 256 * 1024

Read = TypeVar("Read", bound=Record)


class Checked(msgspec.Struct, frozen=True):
    """What was found in a document."""

    problems: list[Problem]
    warnings: list[Problem]


class Registered(msgspec.Struct, frozen=True):
    """A workflow definition that is stored now."""

    name: str
    version: int
    warnings: list[Problem]


class Definitions:
    """Operations on documents. All methods may raise RequestUnsound and StoreError."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def register_workflow(self, text: bytes, *, overwrite: bool) -> Registered:
        """Raises DefinitionUnsound, DefinitionExists."""
        definition, unknown = await _read("json", text, WorkflowDef)
        await self._registry.register_workflow(definition, overwrite=overwrite)
        warnings = [*unknown, *warnings_of(definition)]
        return Registered(definition.name, definition.version, warnings)

    async def check_workflow(self, text: bytes) -> Checked:
        """All problems; nothing is stored."""
        try:
            definition, unknown = await _read("json", text, WorkflowDef)
            await self._registry.check_workflow(definition)
        except DefinitionUnsound as unsound:
            return Checked(list(unsound.problems), [])
        return Checked([], [*unknown, *warnings_of(definition)])

    async def workflow(self, name: str, version: int | None) -> bytes:
        """Raises DefinitionUnknown."""
        return encode(await self._registry.get_workflow(name, version))

    async def register_task(self, text: bytes) -> list[Problem]:
        """Create or overwrite; the warnings. Raises DefinitionUnsound."""
        definition, unknown = await _read("json", text, TaskDef)
        await self._registry.register_tasks([definition])
        return [*unknown, *schema_warnings("", definition)]

    async def task(self, name: str) -> bytes:
        """Raises DefinitionUnknown."""
        return encode(await self._registry.get_task(name))


async def read_workflow_json(place: str, text: bytes) -> WorkflowDef:
    """A document that came with another request. Raises RequestUnsound, DefinitionUnsound."""
    definition, _ = await _read(place, text, WorkflowDef)
    return definition


async def _read(place: str, text: bytes, kind: type[Read]) -> tuple[Read, list[Problem]]:
    """The definition, and the fields that nobody knows."""
    if len(text) <= LARGE_BYTES:
        return _parse(place, text, kind)
    return await asyncio.to_thread(_parse, place, text, kind)


def _parse(place: str, text: bytes, kind: type[Read]) -> tuple[Read, list[Problem]]:
    document: JsonValue
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RequestUnsound(
            f"{place}: expected UTF-8 text of one JSON object, found an error in line"
            f" {error.lineno}, column {error.colno}"
        ) from None
    if not isinstance(document, dict):
        raise RequestUnsound(f"{place}: expected a JSON object, found another value")
    if deeper_than(document, LEVELS_MAX):
        raise RequestUnsound(f"{place}: expected at most {LEVELS_MAX} levels of JSON, found more")
    document = without_nulls(document)
    form = form_of(document, kind)
    if form.problems:
        raise DefinitionUnsound(form.problems)
    return msgspec.convert(document, kind), form.unknown

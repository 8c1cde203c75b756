"""Event handlers over the store: kept, checked, listed (S-571). Nothing acts on them yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.engine.problem import Problem
from podium.engine.script import VALUE_PARAM
from podium.engine.validate_handler import validate_handler
from podium.model.definition import ENCODER
from podium.model.event_handler import EventHandler, decode_handler
from podium.registry.failure import (
    DefinitionExists,
    DefinitionUnknown,
    DefinitionUnsound,
    shown,
)
from podium.store.port import DefinitionRow

if TYPE_CHECKING:
    from podium.registry.registry import Fault
    from podium.store.port import Store

KIND: Final = "event_handler"
VERSION: Final = 1
PLACE: Final = "handler"


class EventHandlers:
    """Handlers by name. All methods may raise StoreError."""

    def __init__(self, store: Store, fault: Fault | None) -> None:
        self._store = store
        self._fault = fault

    async def add(self, handler: EventHandler) -> None:
        """Raises DefinitionUnsound, DefinitionExists."""
        await self._check(handler)
        if not await self._store.put_definition(_row(handler), overwrite=False):
            raise DefinitionExists(
                f"expected a name without an event handler, found {shown(handler.name)} registered"
            )

    async def update(self, handler: EventHandler) -> None:
        """Raises DefinitionUnsound, DefinitionUnknown."""
        await self._check(handler)
        if await self._store.get_definition(KIND, handler.name, VERSION) is None:
            raise _unknown(handler.name)
        await self._store.put_definition(_row(handler), overwrite=True)

    async def remove(self, name: str) -> None:
        """Raises DefinitionUnknown."""
        if not await self._store.delete_definition(KIND, name, VERSION):
            raise _unknown(name)

    async def listed(self, event: str = "", *, active_only: bool = False) -> list[EventHandler]:
        """By name; of one event, if it is given."""
        rows = await self._store.list_definitions(KIND)
        found = [decode_handler(row.value) for row in rows]
        return [
            each for each in found if event in ("", each.event) and (each.active or not active_only)
        ]

    async def _check(self, handler: EventHandler) -> None:
        problems = validate_handler(PLACE, handler)
        condition = handler.condition or ""
        parses = handler.evaluator_type != VALUE_PARAM  # an unknown one is JavaScript (S-577)
        if not problems and condition.strip() and parses and self._fault is not None:
            fault = await self._fault("javascript", condition)
            if fault:
                problems.append(Problem(f"{PLACE}.condition", fault))
        if problems:
            raise DefinitionUnsound(problems)


def _row(handler: EventHandler) -> DefinitionRow:
    return DefinitionRow(KIND, handler.name, VERSION, ENCODER.encode(handler))


def _unknown(name: str) -> DefinitionUnknown:
    return DefinitionUnknown(
        f"expected a registered event handler, found none with name {shown(name)}"
    )

"""One operation on many executions (S-155 ff.): each id for itself, a bounded number at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from podium.app.failure import RequestUnsound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

IDS_MAX: Final = 1_000
AT_ONCE_MAX: Final = 100
"""Enough to fill group commits; a call with many ids leaves room for others."""

Outcome = TypeVar("Outcome")


async def each(
    workflow_ids: Sequence[str], act: Callable[[str], Awaitable[Outcome]]
) -> list[Outcome]:
    """The outcomes in the order of the ids; an id that comes twice is acted on once.

    `act` gives its failures back: what it raises ends the whole. Raises RequestUnsound.
    """
    if not 0 < len(workflow_ids) <= IDS_MAX:
        raise RequestUnsound(f"workflow_ids: expected 1 to {IDS_MAX}, found {len(workflow_ids)}")
    places = asyncio.Semaphore(AT_ONCE_MAX)

    async def in_turn(workflow_id: str) -> Outcome:
        async with places:
            return await act(workflow_id)

    async with asyncio.TaskGroup() as group:
        acting = {
            workflow_id: group.create_task(in_turn(workflow_id))
            for workflow_id in dict.fromkeys(workflow_ids)
        }
    return [acting[workflow_id].result() for workflow_id in workflow_ids]

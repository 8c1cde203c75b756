"""Removing executions, with or without an archived copy (S-148, S-149).

One that runs is terminated first, so that its workers, children and parent hear of it. It goes when
all that is told; commands that come meanwhile are decided as always, and the removal looks again.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from podium.app.failure import Busy, RequestUnsound
from podium.app.names import no_workflow, require_workflow_id
from podium.engine.command import Rejected, Terminate
from podium.engine.limits import WORKFLOW_REASON_CHARS_LIMIT
from podium.runtime.letter import Tombstoned, UnknownExecution
from podium.store import codec
from podium.store.port import TOMBSTONE_MS

if TYPE_CHECKING:
    from podium.app.services import Services

LOOKS_MAX: Final = 200
LOOK_AGAIN_MS: Final = 50
REASON: Final = "removed"


class Removal:
    """Removes executions."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def remove(self, workflow_id: str, *, archive: bool, reason: str | None = None) -> None:
        """Raises RequestUnsound, NotFound, Busy, StoreError. One that was archived before goes
        for good without `archive`. Without a `reason` what runs cannot be archived.
        """
        ending = None
        if not archive or reason is not None:
            ending = Terminate(reason=(reason or REASON)[:WORKFLOW_REASON_CHARS_LIMIT])
        require_workflow_id("workflow_id", workflow_id)
        for _ in range(LOOKS_MAX):
            try:
                if await self._try(workflow_id, archive=archive, ending=ending):
                    return
            except (UnknownExecution, Tombstoned):
                await self._remove_archived(workflow_id, archive=archive)
                return
            await self._services.clock.sleep(LOOK_AGAIN_MS)
        raise Busy(
            f"workflow {workflow_id}: expected that its children and parent are told of its end,"
            " found some that cannot be reached now; try again"
        )

    async def _try(self, workflow_id: str, *, archive: bool, ending: Terminate | None) -> bool:
        """Whether it is gone; `ending` ends what runs. Raises UnknownExecution, Tombstoned."""
        executor, store = self._services.executor, self._services.store
        entry = await executor.read(workflow_id, everything=False)
        header = entry.header
        assert header is not None, workflow_id
        if not header.status.terminal:
            if ending is None:
                raise RequestUnsound(
                    f"Cannot archive workflow: {workflow_id} with status: {header.status}"
                )
            with contextlib.suppress(Rejected):  # it has ended by itself just now
                await executor.call(workflow_id, ending, "")
            return False
        if header.pending:
            return False
        kept = None
        if archive:
            loaded = await store.load(workflow_id, None)
            if loaded is None or loaded.version != entry.version:
                return False  # it changed just now
            kept = await asyncio.to_thread(codec.encode_archive, loaded.fields)
        until_ms = self._services.clock.now_ms() + TOMBSTONE_MS
        removed = await store.remove(workflow_id, entry.version, until_ms, archive=kept)
        self._services.runtime.indexer.look_again()
        return removed

    async def _remove_archived(self, workflow_id: str, *, archive: bool) -> None:
        """Nothing is stored but perhaps a copy. Raises NotFound."""
        store = self._services.store
        found = (
            await store.archived(workflow_id) is not None
            if archive
            else await store.remove_archived(workflow_id)
        )
        if not found:
            raise no_workflow(workflow_id)
        self._services.runtime.indexer.look_again()

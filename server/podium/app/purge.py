"""Removing one execution whatever its state, with all that hangs on it.

What can be decided goes the way of every removal: it is terminated, so that workers, children and
parent hear of it, then removed. What cannot (parked, unreadable, or its children cannot be reached)
is taken out of the store as it is: its parent is told, its children go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from podium.app.failure import Busy, NotFound
from podium.app.names import no_workflow, require_workflow_id
from podium.runtime.letter import DecisionFailed, Parked
from podium.store import codec

if TYPE_CHECKING:
    from podium.app.removal import Removal
    from podium.app.services import Services


REMOVED: Final = "an operator removed the workflow"


class Purged(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed. `status` as it was found, "" = it could not be read, or only a copy was
    there; `forced`: it was taken out without being ended.
    """

    status: str = ""
    forced: bool = False
    archived: bool = False


class Purge:
    """Removes executions. All methods may raise StoreError."""

    def __init__(self, services: Services, removal: Removal) -> None:
        self._services = services
        self._removal = removal

    async def purge(self, workflow_id: str) -> Purged:
        """Raises RequestUnsound, NotFound."""
        require_workflow_id("workflow_id", workflow_id)
        loaded = await self._services.store.load(workflow_id, [codec.HEADER_FIELD])
        forced = loaded is not None and not await self._removed(workflow_id)
        if forced:
            await self._erase(workflow_id)
        archived = await self._services.store.remove_archived(workflow_id)
        self._services.runtime.indexer.look_again()
        if loaded is None and not archived:
            raise no_workflow(workflow_id)
        value = None if loaded is None else loaded.fields.get(codec.HEADER_FIELD)
        return Purged(status=status_of(value), forced=forced, archived=archived)

    async def _erase(self, workflow_id: str) -> None:
        """Workers that have its tasks are told to stop."""
        runtime = self._services.runtime
        await self._services.parking.erase(workflow_id)
        runtime.executor.forget(workflow_id)
        for lease in runtime.leases.known():
            if lease.task_id.startswith(f"{workflow_id}."):
                runtime.leases.cancel(lease.task_id, lease.lease_epoch, REMOVED)

    async def _removed(self, workflow_id: str) -> bool:
        """Whether it went the common way."""
        if await self._services.parking.find(workflow_id) is not None:
            return False
        try:
            await self._removal.remove(workflow_id, archive=False)
        except (Busy, Parked, DecisionFailed, codec.StoredFormatUnknown, msgspec.DecodeError):
            return False
        except NotFound:
            pass  # somebody else was faster
        return True


def status_of(header: bytes | None) -> str:
    """As it stands in a header; "" where that cannot be read."""
    try:
        return "" if header is None else codec.decode_header(header).status.value
    except (codec.StoredFormatUnknown, msgspec.DecodeError):
        return ""

"""What clients do with executions that exist: read, wait, watch, terminate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from podium.app.failure import RequestUnsound
from podium.app.names import no_workflow, require_workflow_id
from podium.app.reading import ExecutionView, Reader
from podium.engine.command import Terminate
from podium.engine.limits import WORKFLOW_REASON_CHARS_LIMIT
from podium.model.execution import HistoryRow
from podium.runtime.letter import UnknownExecution
from podium.store import codec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from podium.app.services import Services
    from podium.engine.command import Command

WAIT_MS_MAX: Final = 600_000
ROWS_PER_READ: Final = 200
LOOK_AGAIN_MS: Final = 60_000


class Seen(msgspec.Struct, frozen=True):
    """One commit; `moved` = the execution's own status is news."""

    row: HistoryRow
    moved: bool


class Executions:
    """Reads and ends executions."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._reader = Reader(services)

    async def get(self, workflow_id: str, *, tasks: bool) -> ExecutionView:
        """As of the last commit. Raises RequestUnsound, NotFound, StoreError."""
        return await self._reader.read(workflow_id, tasks=tasks)

    async def terminate(self, workflow_id: str, reason: str) -> None:
        """End it (S-131 ff.); fine where it is TERMINATED already.

        Raises RequestUnsound, NotFound, Rejected, StoreError, DecisionFailed.
        """
        reason = reason[:WORKFLOW_REASON_CHARS_LIMIT]
        await self.command(workflow_id, Terminate(reason=reason or None))

    async def command(self, workflow_id: str, command: Command) -> None:
        """Send an operator's command. Raises RequestUnsound, NotFound, Rejected, StoreError,
        DecisionFailed.
        """
        require_workflow_id("workflow_id", workflow_id)
        try:
            await self._services.executor.call(workflow_id, command, "")
        except UnknownExecution:
            raise no_workflow(workflow_id) from None

    async def wait(self, workflow_id: str, timeout_ms: int) -> ExecutionView:
        """Wait until it has ended or the time is over. Raises as `get`."""
        require_workflow_id("workflow_id", workflow_id)
        if not 0 <= timeout_ms <= WAIT_MS_MAX:
            raise RequestUnsound(f"timeout_ms: expected 0 to {WAIT_MS_MAX}, found {timeout_ms}")
        try:
            await self._services.watch.wait(workflow_id, timeout_ms)
        except UnknownExecution:
            raise no_workflow(workflow_id) from None
        return await self._reader.read(workflow_id, tasks=False)

    async def watch(self, workflow_id: str, from_position: int) -> AsyncIterator[list[Seen]]:
        """Its commits from a position on, in order, until it has ended.

        Raises RequestUnsound, NotFound, StoreError.
        """
        require_workflow_id("workflow_id", workflow_id)
        if from_position < 0:
            raise RequestUnsound(f"from_position: expected 0 or more, found {from_position}")
        watch = self._services.watch
        event = await watch.subscribe(workflow_id)
        try:
            # One row more than asked for tells whether the first one changed the status.
            after, status = max(from_position - 2, 0), ""
            while True:
                ended = await self._has_ended(workflow_id)
                rows = await self._rows(workflow_id, after)
                seen: list[Seen] = []
                for row in rows:
                    moved = row.workflow_status != status
                    after, status = row.position, row.workflow_status
                    if row.position >= from_position:
                        seen.append(Seen(row, moved))
                if seen:
                    yield seen
                elif not rows and ended:
                    return
                elif not rows:
                    await watch.next_change(event, LOOK_AGAIN_MS)
        finally:
            watch.unsubscribe(workflow_id, event)

    async def _has_ended(self, workflow_id: str) -> bool:
        try:
            entry = await self._services.executor.read(workflow_id, everything=False)
        except UnknownExecution:
            raise no_workflow(workflow_id) from None
        return entry.header is not None and entry.header.status.terminal

    async def _rows(self, workflow_id: str, after: int) -> list[HistoryRow]:
        stored = await self._services.store.history(workflow_id, after, ROWS_PER_READ)
        return [codec.decode_history(row) for row in stored]

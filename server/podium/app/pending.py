"""Tasks of a type that have not ended: what waits, who has what, since when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from podium.app.document import reference_of
from podium.app.failure import NotFound, RequestUnsound, shown
from podium.app.names import require_name
from podium.app.page import require_page_size, require_token, token_of
from podium.app.reading import Reader
from podium.engine.changes import outstanding_of, ready_of
from podium.engine.identity import split_task_id
from podium.engine.timing import ready_ms_of
from podium.model.execution import TaskRecord
from podium.store import codec
from podium.store.port import PARTITIONS, partition_of, workflow_of
from podium.store.queue_view import PendingState

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from podium.app.services import Services

RETRY: Final = "retry"
LOOKED_AT: Final = 100
"""Entries that are read from the store at a time."""


class PendingReport(msgspec.Struct, frozen=True, kw_only=True):
    """One task. Times are epoch ms; `due_ms` 0 = it is not delayed."""

    workflow_id: str
    record: TaskRecord
    reference: str
    state: PendingState
    since_ms: int
    due_ms: int
    server: str


class PendingPage(msgspec.Struct, frozen=True):
    """`next_token` "" = the last page."""

    tasks: list[PendingReport]
    next_token: str


class PendingTasks:
    """Lists pending tasks."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._reader = Reader(services)

    async def page(self, task_type: str, *, size: int, token: str) -> PendingPage:
        """By partition and id. Raises RequestUnsound, StoreError."""
        require_name("task_type", task_type)
        size, after = require_page_size(size), require_token(token)
        if after and split_task_id(after) is None:
            raise RequestUnsound(f"page_token: expected one of a page before, found {shown(token)}")
        first = partition_of(workflow_of(after)) if after else 0
        found: list[PendingReport] = []
        for partition in range(first, PARTITIONS):
            async for task_id, report in self._of(partition, task_type, after):
                found.append(report)
                if len(found) == size:
                    return PendingPage(found, token_of(task_id))
            after = ""
            await self._services.clock.sleep(0)  # a large store is not to hold the loop
        return PendingPage(found, "")

    async def _of(
        self, partition: int, task_type: str, after: str
    ) -> AsyncGenerator[tuple[str, PendingReport]]:
        """Those of a partition that are still pending, however many ended since they were noted."""
        while entries := await self._services.store.pending(partition, task_type, after, LOOKED_AT):
            for entry in entries:
                report = await self._report(entry.task_id)
                if report is not None:
                    yield entry.task_id, report
            after = entries[-1].task_id

    async def _report(self, task_id: str) -> PendingReport | None:
        """The task as it is now; None where it ended meanwhile, or cannot be read (ListParked)."""
        try:
            record = (await self._reader.read_task(task_id)).record
        except (NotFound, codec.StoredFormatUnknown, msgspec.DecodeError):
            return None
        if ready_of(record) is not None:
            state: PendingState = "ready"
        else:
            outstanding = outstanding_of(record)
            if outstanding is None:
                return None
            state = outstanding.state
        due = [each.at_ms for each in record.deadlines if each.kind == RETRY]
        return PendingReport(
            workflow_id=workflow_of(task_id),
            record=record,
            reference=reference_of(record),
            state=state,
            since_ms=ready_ms_of(record) if state == "ready" else record.update_ms,
            due_ms=due[0] if due and state == "delayed" else 0,
            server=record.lease.incarnation if record.lease is not None else "",
        )

"""Who did what, on its way into the store: one write in flight, the next takes all that gathered.

A call waits for its row a moment, so that what was answered is on the trail; it does not fail for
it. What the store does not take is kept and tried again, up to a limit.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import msgspec

from podium.engine.identity import split_task_id
from podium.model.audit import AuditRecord
from podium.runtime.clock import spawn
from podium.store.audit import AuditEntry, AuditQuery
from podium.store.port import StoreError

if TYPE_CHECKING:
    from podium.runtime.clock import Clock
    from podium.store.port import Store

LOG = logging.getLogger("podium.audit")
WAITING_MAX: Final = 10_000
"""Rows that wait for the store; more are dropped and counted."""
BATCH_MAX: Final = 1_000
WAIT_MS: Final = 1_000
"""How long an answer waits for its row."""
RETRY_MS: Final = 500
ENCODE: Final = msgspec.msgpack.Encoder().encode
DECODER: Final = msgspec.msgpack.Decoder(AuditRecord)


class AuditLog:
    """Takes records, and reads those that are kept."""

    def __init__(self, *, store: Store, clock: Clock, incarnation: str) -> None:
        self._store = store
        self._clock = clock
        self.incarnation = incarnation
        self._waiting: list[tuple[AuditEntry, asyncio.Event]] = []
        self._writers: set[asyncio.Task[None]] = set()
        self._writing = False
        self._count = 0
        self.dropped_count = 0

    async def keep(self, record: AuditRecord) -> None:
        """Return when it is durable, or after a moment; nothing is raised for it."""
        kept = self.put(record)
        if kept is None:
            return
        try:
            async with asyncio.timeout(WAIT_MS / 1000):
                await kept.wait()
        except TimeoutError:
            noted = {"event": "audit_waits", "method": record.method}
            LOG.warning("a row of the audit trail waits for the store", extra=noted)

    def put(self, record: AuditRecord) -> asyncio.Event | None:
        """Keep it soon; None where it is dropped, since too many wait."""
        if len(self._waiting) >= WAITING_MAX:
            self.dropped_count += 1
            noted = {"event": "audit_dropped", "method": record.method}
            LOG.error("the audit trail drops a row", extra=noted)
            return None
        self._count += 1
        entry = AuditEntry(
            f"{self.incarnation}-{self._count}", record.at_ms, found_by(record), ENCODE(record)
        )
        kept = asyncio.Event()
        self._waiting.append((entry, kept))
        if not self._writing:
            self._writing = True
            spawn(self._writers, self._write())
        return kept

    async def find(self, query: AuditQuery) -> list[tuple[int, AuditRecord]]:
        """(sequence, record), the newest first. Raises StoreError."""
        rows = await self._store.audit(query)
        return [(row.sequence, DECODER.decode(row.value)) for row in rows]

    async def drain(self) -> None:
        """Wait until nothing waits."""
        while self._writers:
            await asyncio.wait(self._writers)

    def stop(self) -> None:
        for task in list(self._writers):
            task.cancel()

    async def _write(self) -> None:
        while self._waiting:
            batch = self._waiting[:BATCH_MAX]
            try:
                await self._store.add_audit([entry for entry, _ in batch])
            except StoreError:
                await self._clock.sleep(RETRY_MS)
                continue
            del self._waiting[: len(batch)]
            for _, kept in batch:
                kept.set()
        self._writing = False


def found_by(record: AuditRecord) -> tuple[str, ...]:
    """Names the row is found by: those it gives, and the executions of tasks among them."""
    parts = [split_task_id(name) for name in record.names]
    owners = [each[0] for each in parts if each is not None]
    return tuple(dict.fromkeys((*record.names, *owners)))

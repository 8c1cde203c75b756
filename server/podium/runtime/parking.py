"""Executions that are set aside because deciding them raised again and again (architecture §1.9).

They are listed in the store, apart from their records, which may be what cannot be read. Commands
to them are refused until an operator retries or removes them; their deadlines, ready entries and
effects stay stored, and are looked at again then. What is handed out of them leaves its queue.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from podium.engine.command import close_child
from podium.engine.gate import gate_id
from podium.model.parking import ParkedRecord
from podium.store import codec
from podium.store.port import PARKED, TOMBSTONE_MS, DefinitionRow, Release, StoreError, partition_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium.engine.command import Command
    from podium.model.execution import ExecutionHeader, GateRecord
    from podium.model.queue import Queue
    from podium.runtime.clock import Clock
    from podium.store.port import Store

LOG = logging.getLogger("podium.parking")
VERSION: Final = 1
RETRY_MS: Final = 500
LOOKS_MAX: Final = 20
ENCODE: Final = msgspec.msgpack.Encoder().encode
DECODER: Final = msgspec.msgpack.Decoder(ParkedRecord)
REMOVED: Final = "expected the child workflow, found that an operator removed it"


class Submit(Protocol):
    """Sends a command of the server itself (runtime/executor.py)."""

    def __call__(self, workflow_id: str, command: Command, actor: str) -> None: ...


class Repair(Protocol):
    """Follows up what the store holds of an execution (runtime/aftermath.py). Raises StoreError."""

    async def __call__(self, workflow_id: str) -> None: ...


class FreeSlot(Protocol):
    """Lets a queue go on (runtime/dispatcher.py)."""

    def __call__(self, release: Release, done: Callable[[], None]) -> None: ...


class Parking:
    """What is parked, as of the last look. Four links are set before it is used."""

    def __init__(self, *, store: Store, clock: Clock, incarnation: str) -> None:
        self._store = store
        self._clock = clock
        self._incarnation = incarnation
        self._parked: dict[str, ParkedRecord] = {}
        self.submit: Submit
        self.repair: Repair
        self.free_slot: FreeSlot
        self.slot_freed: Callable[[Queue], None]
        """Work may go on in a queue."""
        self.removed: Callable[[], None]

    @property
    def count(self) -> int:
        """How many are set aside."""
        return len(self._parked)

    def holds(self, workflow_id: str) -> bool:
        """Whether the execution is set aside."""
        return workflow_id in self._parked

    async def refresh(self) -> None:
        """Look at what other servers parked or took up again. Raises StoreError."""
        rows = await self._store.list_definitions(PARKED)
        before = self._parked
        self._parked = {row.name: DECODER.decode(row.value) for row in rows}
        for freed in before.keys() - self._parked.keys():
            await self.repair(freed)

    async def listed(self) -> list[ParkedRecord]:
        """All of them, by id. Raises StoreError."""
        await self.refresh()
        return [self._parked[each] for each in sorted(self._parked)]

    async def find(self, workflow_id: str) -> ParkedRecord | None:
        """Why it is set aside, None where it is not. Raises StoreError."""
        row = await self._store.get_definition(PARKED, workflow_id, VERSION)
        return None if row is None else DECODER.decode(row.value)

    async def park(self, workflow_id: str, command: str, error: Exception) -> None:
        """Set it aside; does not give up on a store that fails."""
        record = ParkedRecord(
            workflow_id=workflow_id,
            parked_ms=self._clock.now_ms(),
            command=command,
            error_type=type(error).__name__,
            place=place_of(error),
        )
        row = DefinitionRow(PARKED, workflow_id, VERSION, ENCODE(record))
        while True:
            try:
                await self._store.put_definition(row, overwrite=True)
                break
            except StoreError:
                await self._clock.sleep(RETRY_MS)
        self._parked[workflow_id] = record
        noted = {"event": "workflow_parked", "workflow_id": workflow_id, "command": command}
        LOG.error("a workflow is parked", extra={**noted, "place": record.place})

    async def retry(self, workflow_id: str) -> bool:
        """Take it up again; False where it is not parked. Raises StoreError."""
        held = self.holds(workflow_id)
        found = await self._free(workflow_id)
        if found or held:
            await self.repair(workflow_id)
        return found

    async def purge(self, workflow_id: str) -> bool:
        """Remove all that is stored of it; False where it is not parked. Raises StoreError."""
        await self.refresh()
        if workflow_id not in self._parked:
            return False
        await self.erase(workflow_id)
        return True

    async def erase(self, workflow_id: str) -> None:
        """Take it out of the store as it is, parked or not. Its parent is told, its children go on.

        Raises StoreError.
        """
        header = await self._header_of(workflow_id)
        slots = (await self._store.entries(workflow_id, 0)).slots
        parent = header.parent if header is not None else None
        if parent is not None:
            gone = close_child(parent, workflow_id, "FAILED", reason=REMOVED)
            self.submit(parent.workflow_id, gone, "operator")
        for _ in range(LOOKS_MAX):
            await self._drop_effects(workflow_id)
            loaded = await self._store.load(workflow_id, ())
            until_ms = self._clock.now_ms() + TOMBSTONE_MS
            if loaded is None or await self._store.remove(workflow_id, loaded.version, until_ms):
                self.removed()
                await self._free(workflow_id)
                if header is not None and header.gate is not None:
                    self._free_gate(workflow_id, header.gate)
                for queue in {queue for _, queue in slots}:
                    self.slot_freed(queue)
                return
        raise StoreError(f"{workflow_id} changes while it is parked")

    async def _free(self, workflow_id: str) -> bool:
        found = await self._store.delete_definition(PARKED, workflow_id, VERSION)
        self._parked.pop(workflow_id, None)
        return found

    def _free_gate(self, workflow_id: str, gate: GateRecord) -> None:
        """Those that wait for its slot are let through (S-047)."""
        self.free_slot(Release(gate_id(workflow_id, gate), gate.queue, gate.limits), lambda: None)

    async def _header_of(self, workflow_id: str) -> ExecutionHeader | None:
        """None also where it cannot be read: its parent then waits until it is told, and its slot
        is used by whoever comes next.
        """
        loaded = await self._store.load(workflow_id, [codec.HEADER_FIELD])
        if loaded is None:
            return None
        try:
            header, _ = codec.decode_records(loaded.fields, complete=False)
        except (codec.StoredFormatUnknown, msgspec.DecodeError):
            noted = {"event": "parent_not_told", "workflow_id": workflow_id}
            LOG.warning("a workflow cannot be read, so its parent is not told", extra=noted)
            return None
        return header

    async def _drop_effects(self, workflow_id: str) -> None:
        partition = partition_of(workflow_id)
        members = (await self._store.heartbeat(self._incarnation)).members
        for incarnation in {self._incarnation, *members}:
            entries = await self._store.outbox([partition], incarnation)
            mine = [entry.sequence for entry in entries if entry.workflow_id == workflow_id]
            if mine:
                await self._store.outbox_done(partition, incarnation, mine)


def place_of(error: Exception) -> str:
    """Module, function and line that raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "unknown"
    code = trace.tb_frame.f_code
    return f"{Path(code.co_filename).stem}.{code.co_name}:{trace.tb_lineno}"

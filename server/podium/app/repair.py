"""Mending executions: the store's indexes by their records, queues and leases, their decisions.

Each is safe to repeat, and changes nothing of a sound execution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from podium.app.failure import Busy
from podium.app.inspecting import SETTLE_MS, Inspector
from podium.app.names import no_workflow, require_workflow_id
from podium.app.standing import Finding, FindingKind
from podium.engine.command import Repair
from podium.model.execution import ExecutionHeader, HistoryRow
from podium.protocol.frame import LeaseName
from podium.runtime.letter import Parked, Tombstoned, UnknownExecution
from podium.store import codec
from podium.store.port import Commit, Committed, Release

if TYPE_CHECKING:
    from podium.app.inspecting import Look
    from podium.app.services import Services

ACTOR: Final = "operator"
COMMAND: Final = "RepairWorkflow"
LOOKS_MAX: Final = 5
ROWS_MAX: Final = 20
STAYS: Final = frozenset({FindingKind.UNREADABLE, FindingKind.ORPHAN})
"""What no record says how to mend: PurgeWorkflow removes it."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was done: what was found wrong and mended, what was found and stays, effects that were
    carried out again, and what deciding it again changed ("reference: from → to").
    """

    findings: tuple[Finding, ...] = ()
    left: tuple[Finding, ...] = ()
    effects: int = 0
    decided: tuple[str, ...] = ()
    parked: bool = False
    """It is set aside: it was not decided again."""

    @property
    def changed(self) -> bool:
        """Whether anything was."""
        return bool(self.findings or self.decided)


class Repairs:
    """Mends executions. All methods may raise StoreError."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._inspector = Inspector(services)

    async def repair(self, workflow_id: str) -> Report:
        """Raises RequestUnsound, NotFound, Busy (it changes all the time)."""
        require_workflow_id("workflow_id", workflow_id)
        store = self._services.store
        if await store.load(workflow_id, ()) is None:
            raise no_workflow(workflow_id)
        found = await self._mend(workflow_id)
        effects = await self._waiting_effects(workflow_id)
        await self._services.runtime.take_up(workflow_id)
        decided, parked = await self._decide(workflow_id)
        left = tuple(each for each in found if each.kind in STAYS)
        mended = tuple(each for each in found if each.kind not in STAYS)
        return Report(findings=mended, left=left, effects=effects, decided=decided, parked=parked)

    async def _waiting_effects(self, workflow_id: str) -> int:
        """Those that nobody carries out: they are there a while later as well."""
        runtime, store = self._services.runtime, self._services.store
        count = 0
        for look in range(2):
            await runtime.committer.tell_done()
            found = (await store.entries(workflow_id, 1)).outbox
            if not found:
                return 0
            count = min(count, found) if look else found
            await self._services.clock.sleep(SETTLE_MS)
        return count

    async def _mend(self, workflow_id: str) -> tuple[Finding, ...]:
        """What was wrong, and is mended now."""
        done: dict[Finding, None] = {}
        for _ in range(LOOKS_MAX):
            look = await self._inspector.look(workflow_id)
            header = look.header
            if header is None or look.sound:
                return (*done, *look.findings)
            if not look.mend.empty and not await self._commit(header, look):
                continue
            self._follow(look)
            done.update(dict.fromkeys(look.findings))
            if look.mend.empty:  # the rest is soft, and done
                return tuple(done)
        raise Busy(
            f"workflow {workflow_id}: expected that it rests, found that it changes; try again"
        )

    async def _commit(self, header: ExecutionHeader, look: Look) -> bool:
        """One atomic change of the indexes, with a row in the history. False on a conflict."""
        mend, services = look.mend, self._services
        position = header.history_position + 1
        now_ms = max(services.clock.now_ms(), header.updated_ms)
        row = HistoryRow(position, now_ms, (COMMAND,), ACTOR, header.status)
        after = replace(header, history_position=position, updated_ms=now_ms)
        commit = Commit(
            workflow_id=header.id,
            version=look.version,
            fields={codec.HEADER_FIELD: codec.encode_header(after)},
            armed=mend.armed,
            disarmed=mend.disarmed,
            ready=mend.ready,
            unready=mend.unready,
            slots=mend.slots,
            unslotted=tuple(task_id for task_id, _ in mend.unslotted),
            held=mend.held,
            unheld=mend.unheld,
            history=codec.encode_history(row),
            history_position=position,
            running=not header.status.terminal,
        )
        [result] = await services.store.commit([commit])
        services.executor.forget(header.id)
        if not isinstance(result, Committed):
            return False
        for task_id, queue in mend.unslotted:
            limits = await services.registry.limits(queue.task_type)
            services.runtime.dispatcher.release(Release(task_id, queue, limits), nothing)
        return True

    def _follow(self, look: Look) -> None:
        """What is in memory follows; deadlines and queues of the partition are looked at later."""
        runtime = self._services.runtime
        lost = {each.task_id for each in look.findings if each.kind is FindingKind.LEASE_UNKNOWN}
        for task_id, epoch, _ in look.leases:
            if task_id in lost:
                runtime.leases.lose(LeaseName(task_id, epoch))
        queue = {each.task_id for each in look.findings if each.kind is FindingKind.NOT_QUEUED}
        pushed = [each for each in look.ready if each.task_id in queue]
        runtime.dispatcher.push([*look.mend.ready, *pushed])

    async def _decide(self, workflow_id: str) -> tuple[tuple[str, ...], bool]:
        """What changed, as its history tells; and whether it is parked."""
        executor, store = self._services.executor, self._services.store
        before = await self._position(workflow_id)
        try:
            await executor.call(workflow_id, Repair(), ACTOR)
        except Parked:
            return (), True
        except (UnknownExecution, Tombstoned):
            return (), False
        rows = [
            codec.decode_history(row) for row in await store.history(workflow_id, before, ROWS_MAX)
        ]
        mine = [row for row in rows if Repair.__name__ in row.commands]
        changes = [
            f"{change.ref}: {change.status_from or 'not scheduled'} → {change.status_to}"
            for row in mine
            for change in row.changes
        ]
        return tuple(changes) or tuple("counters" for _ in mine), False

    async def _position(self, workflow_id: str) -> int:
        loaded = await self._services.store.load(workflow_id, [codec.HEADER_FIELD])
        value = None if loaded is None else loaded.fields.get(codec.HEADER_FIELD)
        try:
            return 0 if value is None else codec.decode_header(value).history_position
        except (codec.StoredFormatUnknown, msgspec.DecodeError):
            return 0


def nothing() -> None:
    """Nobody waits for it."""

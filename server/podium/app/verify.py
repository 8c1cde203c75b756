"""Verifying partitions: executions' entries, queues, effects and counters against their records.

One partition after the other, one execution after the other; what is kept in memory is one
execution's entries, a page of its fields, and a partition's ids by pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from podium.app.failure import Busy, NotFound, RequestUnsound
from podium.app.inspecting import Inspector
from podium.app.repair import STAYS, Repairs
from podium.app.standing import Finding, FindingKind
from podium.store import codec
from podium.store.port import PARTITIONS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from podium.app.services import Services
    from podium.store.port import OutboxEntry

IDS_PAGE: Final = 200
EFFECT_MS: Final = 1_000
"""An effect that is there so long after it was first seen is carried out by nobody."""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A finding of a partition (`repaired`: it was mended), or, without one, that it is done."""

    partition: int
    finding: Finding | None = None
    repaired: bool = False
    executions: int = 0
    findings: int = 0


class Verification:
    """Looks at partitions. All methods may raise StoreError."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._store = services.store
        self._inspector = Inspector(services)
        self._repairs = Repairs(services)

    async def verify(self, partitions: Sequence[int], *, repair: bool) -> AsyncGenerator[Verified]:
        """Findings as they come, and one end per partition; none named = all. Raises
        RequestUnsound.
        """
        for each in partitions:
            if not 0 <= each < PARTITIONS:
                raise RequestUnsound(f"partitions: expected 0 to {PARTITIONS - 1}, found {each}")
        for partition in dict.fromkeys(partitions or range(PARTITIONS)):
            async for found in self._partition(partition, repair=repair):
                yield found

    async def _partition(self, partition: int, *, repair: bool) -> AsyncGenerator[Verified]:
        executions = findings = 0
        mended: dict[str, bool] = {}
        effects = await self._effects(partition)
        seen_ms = self._services.clock.now_ms()
        async for workflow_id in self._ids(partition):
            executions += 1
            for finding in (await self._inspector.look(workflow_id)).findings:
                findings += 1
                yield Verified(
                    partition=partition,
                    finding=finding,
                    repaired=repair and await self._repaired(finding, mended),
                )
        async for finding in self._waiting(partition, effects, seen_ms):
            findings += 1
            repaired = repair and await self._repaired(finding, mended)
            yield Verified(partition=partition, finding=finding, repaired=repaired)
        yield Verified(partition=partition, executions=executions, findings=findings)

    async def _ids(self, partition: int) -> AsyncGenerator[str]:
        """Executions that exist, then those that only have entries."""
        after = ""
        while ids := await self._store.scan(partition, after, IDS_PAGE):
            for each in ids:
                yield each
            after = ids[-1]
        for owner in await self._store.owners(partition):
            if await self._store.load(owner, ()) is None:
                yield owner

    async def _repaired(self, finding: Finding, mended: dict[str, bool]) -> bool:
        """Whether a repair of its execution mends it: one for all its findings, noted in `mended`.
        One that changes all the time, or is gone meanwhile, keeps nobody from looking at others.
        """
        if finding.kind in STAYS:
            return False
        workflow_id = finding.workflow_id
        if workflow_id not in mended:
            try:
                await self._repairs.repair(workflow_id)
                mended[workflow_id] = True
            except (Busy, NotFound):
                mended[workflow_id] = False
        return mended[workflow_id]

    # Effects

    async def _effects(self, partition: int) -> dict[tuple[str, int], OutboxEntry]:
        """Of all members, dead ones included."""
        await self._services.runtime.committer.tell_done()
        incarnation = self._services.runtime.incarnation
        members = (await self._store.heartbeat(incarnation)).members
        return {
            (each.incarnation, each.sequence): each
            for member in sorted({incarnation, *members})
            for each in await self._store.outbox([partition], member)
        }

    async def _waiting(
        self, partition: int, before: dict[tuple[str, int], OutboxEntry], seen_ms: int
    ) -> AsyncGenerator[Finding]:
        """Those that are still there a while later."""
        if not before:
            return
        waited_ms = self._services.clock.now_ms() - seen_ms
        await self._services.clock.sleep(max(EFFECT_MS - waited_ms, 0))
        for name in before.keys() & (await self._effects(partition)).keys():
            entry = before[name]
            yield Finding(
                FindingKind.EFFECT_WAITING,
                entry.workflow_id,
                "",
                "carried out",
                f"{effect_name(entry.effect)} of {entry.incarnation}",
            )


def effect_name(effect: bytes) -> str:
    """Its kind; one that cannot be read says so."""
    try:
        return type(codec.decode_effect(effect)).__name__
    except (codec.StoredFormatUnknown, msgspec.DecodeError):
        return "an unreadable effect"

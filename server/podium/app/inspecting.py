"""Comparing what is stored of an execution with its records, page by page.

Memory: the entries of one execution and a page of its fields. An execution that changes while it is
looked at is looked at again; what was found in a look that something overtook is not told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from podium.app.standing import Comparison, Finding, FindingKind, Mend
from podium.engine.gate import is_shut
from podium.engine.settle import is_final
from podium.model.execution import ExecutionHeader
from podium.model.queue import Ready
from podium.store import codec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podium.app.services import Services
    from podium.model.execution import TaskRecord

PAGE_FIELDS: Final = 500
LOOKS_MAX: Final = 5
SETTLE_MS: Final = 250
"""What follows a commit in memory, a hand-out or a push, has come by then."""
UNREADABLE: Final = (codec.StoredFormatUnknown, msgspec.DecodeError)


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One execution at one version. `header` None = it does not exist, or cannot be read."""

    version: int
    header: ExecutionHeader | None
    findings: tuple[Finding, ...]
    mend: Mend = Mend()
    ready: tuple[Ready, ...] = ()
    """What should be in queues."""
    leases: tuple[tuple[str, int, str], ...] = ()
    """(task id, epoch, incarnation) of stream leases."""

    @property
    def sound(self) -> bool:
        return not self.findings


class Inspector:
    """Looks at executions. All methods may raise StoreError."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._store = services.store

    async def look(self, workflow_id: str) -> Look:
        """Everything that is not as it should be; the soft part is looked at twice."""
        for _ in range(LOOKS_MAX):
            found = await self._stored(workflow_id)
            if found is None:
                continue
            if found.header is None or not found.sound:
                return found
            soft = await self._soft(workflow_id, found)
            if not soft:
                return found
            await self._services.clock.sleep(SETTLE_MS)
            again = await self._stored(workflow_id)
            if again is not None and again.version == found.version and again.sound:
                kept = [each for each in await self._soft(workflow_id, again) if each in soft]
                return msgspec.structs.replace(again, findings=tuple(kept))
        return Look(
            version=0, header=None, findings=()
        )  # it never rests, so it does not stand still

    async def _stored(self, workflow_id: str) -> Look | None:
        """None where it changed meanwhile."""
        loaded = await self._store.load(workflow_id, [codec.HEADER_FIELD])
        entries = await self._store.entries(workflow_id, 0)
        if loaded is None:
            found = entries.ready or entries.slots or entries.held or entries.due
            orphan = Finding(FindingKind.ORPHAN, workflow_id, "", "no entries", "some")
            return Look(version=0, header=None, findings=(orphan,) if found else ())
        comparison = Comparison(workflow_id, entries)
        try:
            header = codec.decode_header(loaded.fields[codec.HEADER_FIELD] or b"")
            comparison.take_header(header)
            pages = await self._pages(workflow_id, loaded.version, comparison)
        except UNREADABLE as error:
            name = type(error).__name__
            unreadable = Finding(FindingKind.UNREADABLE, workflow_id, "", "records", name)
            return Look(version=loaded.version, header=None, findings=(unreadable,))
        if pages is None:
            return None
        open_count, leases = pages
        mend = comparison.rest()
        findings = comparison.findings
        if is_counted(header) and header.open_count != open_count:
            wrong = FindingKind.COUNTER_WRONG
            findings.append(
                Finding(wrong, workflow_id, "", f"{open_count} open", f"{header.open_count}")
            )
        return Look(
            version=loaded.version,
            header=header,
            findings=tuple(findings),
            mend=mend,
            ready=tuple(comparison.expected_ready),
            leases=tuple(leases),
        )

    async def _pages(
        self, workflow_id: str, version: int, comparison: Comparison
    ) -> tuple[int, list[tuple[str, int, str]]] | None:
        """Open tasks, and stream leases; None where another version is there."""
        open_count, after = 0, ""
        leases: list[tuple[str, int, str]] = []
        while True:
            page = await self._store.page(workflow_id, after, PAGE_FIELDS)
            if page is None or page.version != version:
                return None
            for task in tasks_in(page.fields):
                comparison.take(task)
                open_count += not is_final(task)
                if task.lease is not None and task.lease.kind == "stream":
                    leases.append((task.id, task.lease_epoch, task.lease.incarnation))
            after = page.next
            if not after:
                return open_count, leases

    async def _soft(self, workflow_id: str, look: Look) -> list[Finding]:
        """What is in memory and follows from what is stored: queues, leases of streams."""
        queued = zip(look.ready, await self._store.queued(look.ready), strict=True)
        absent = [task.task_id for task, there in queued if not there]
        if absent and await self._services.parking.find(workflow_id) is not None:
            absent = []  # what is set aside leaves its queues
        kind = FindingKind.NOT_QUEUED
        found = [Finding(kind, workflow_id, each, "queued", "not") for each in absent]
        if look.leases:
            runtime = self._services.runtime
            members = (await self._store.heartbeat(runtime.incarnation)).members
            for task_id, epoch, incarnation in look.leases:
                here = incarnation == runtime.incarnation
                known = runtime.leases.holds(task_id, epoch) if here else incarnation in members
                if not known:
                    kind = FindingKind.LEASE_UNKNOWN
                    found.append(
                        Finding(kind, workflow_id, task_id, "a holder", f"none at {incarnation}")
                    )
        return found


def tasks_in(fields: Mapping[str, bytes]) -> list[TaskRecord]:
    """The latest attempts among some fields."""
    names = [name for name in fields if name.startswith("t:") and "." not in name]
    return [codec.decode_task(fields[name]) for name in names]


def is_counted(header: ExecutionHeader) -> bool:
    """Whether its counter of open tasks must be exact now: nothing is being continued."""
    going_on = header.pending or header.rerun is not None or is_shut(header)
    return not header.status.terminal and not going_on

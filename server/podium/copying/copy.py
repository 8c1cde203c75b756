"""All of a store into another: definitions, executions, archived ones, the audit trail.

Repeating it goes on where it ended: what is there already and equal is left alone, what differs is
written anew. Each execution is read back from the target and compared by digest, and at the end the
ids of both are. Neither store may have a server meanwhile.

Failures: CopyFailed (what was expected and found), StoreError.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from podium.copying.image import (
    TOMBSTONE_MS,
    CopyFailed,
    Effects,
    effects_in,
    read_image,
    remove_image,
    write_image,
)
from podium.model.audit import AuditRecord
from podium.runtime.audit import found_by
from podium.runtime.away import DEAD_MS
from podium.runtime.members import BEAT_MS
from podium.store.audit import AuditEntry, AuditQuery
from podium.store.port import INDEX, PARTITIONS, Commit

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium.runtime.clock import Clock
    from podium.store.audit import AuditRow
    from podium.store.port import Store

KINDS: Final = ("workflow", "task", "event_handler", "bound", "parked")
"""Of documents; what an index is recognized by belongs to the target's own (INDEX)."""
ID: Final = "podium-admin-copy"
"""This program among the members, for the moment of a look."""
PAGE: Final = 1_000
AT_ONCE: Final = 16
PARTITIONS_SAID: Final = 32
LATER_MS: Final = 2**53
RECORDS: Final = msgspec.msgpack.Decoder(AuditRecord)

assert INDEX not in KINDS


class Copied(msgspec.Struct):
    """What was done, by kind; `equal` was in the target already."""

    definitions: int = 0
    executions: int = 0
    equal: int = 0
    archived: int = 0
    audit_rows: int = 0


class Copying:
    """One copy. `say` gets a line now and then."""

    def __init__(
        self, source: Store, target: Store, clock: Clock, say: Callable[[str], None]
    ) -> None:
        self._source = source
        self._target = target
        self._clock = clock
        self._say = say
        self._copied = Copied()
        self._source_effects: Effects = {}
        self._target_effects: Effects = {}

    async def run(self) -> Copied:
        """Both stores are open."""
        members = await _members_at_rest(self._source, self._clock, "source")
        there = await _members_at_rest(self._target, self._clock, "target")
        self._source_effects = await effects_in(self._source, members)
        # A copy that was cut short has made no members of those whose effects it wrote.
        self._target_effects = await effects_in(self._target, {*members, *there})
        await self._copy_definitions()
        await self._copy_archived()
        for partition in range(PARTITIONS):
            await self._copy_partition(partition)
            if (partition + 1) % PARTITIONS_SAID == 0:
                done = self._copied.executions + self._copied.equal
                self._say(f"{done} executions, {partition + 1} of {PARTITIONS} partitions")
        await self._copy_audit()
        for incarnation in members:  # they are dead there, and what they held is taken over
            await self._target.heartbeat(incarnation)
        return self._copied

    async def _copy_definitions(self) -> None:
        for kind in KINDS:
            there = {
                (row.name, row.version): row for row in await self._target.list_definitions(kind)
            }
            for row in await self._source.list_definitions(kind):
                if there.pop((row.name, row.version), None) != row:
                    await self._target.put_definition(row, overwrite=True)
                    self._copied.definitions += 1
            if there:
                name, version = min(there)
                raise CopyFailed(
                    f"expected a target without {kind} documents of its own, found"
                    f" {len(there)}, {name} version {version} among them"
                )

    async def _copy_partition(self, partition: int) -> None:
        ids = await _ids(self._source, partition)
        strange = sorted(set(await _ids(self._target, partition)) - set(ids))
        if strange:
            raise CopyFailed(
                "expected a target without executions of its own, found"
                f" {len(strange)} in partition {partition}, {strange[0]} among them"
            )
        for first in range(0, len(ids), AT_ONCE):
            some = ids[first : first + AT_ONCE]
            ends = await asyncio.gather(*map(self._copy_execution, some), return_exceptions=True)
            for end in ends:
                if end is not None:
                    raise end
        if sorted(ids) != sorted(await _ids(self._target, partition)):
            raise CopyFailed(
                f"partition {partition}: expected the same {len(ids)} executions in both stores,"
                " found others: one of them was used meanwhile"
            )

    async def _copy_execution(self, workflow_id: str) -> None:
        image = await read_image(self._source, workflow_id, self._source_effects)
        if image is None:
            raise CopyFailed(f"workflow {workflow_id}: expected it in the source, found it removed")
        digest = image.digest
        there = await read_image(self._target, workflow_id, self._target_effects)
        if there is not None and there.digest == digest:
            self._copied.equal += 1
            return
        await remove_image(self._target, workflow_id, self._target_effects)
        await write_image(self._target, image)
        members = {each for each, _ in image.effects}
        effects = await effects_in(self._target, members)
        written = await read_image(self._target, workflow_id, effects)
        if written is None or written.digest != digest:
            raise CopyFailed(
                f"workflow {workflow_id}: expected the digest {digest.hex()} in the target,"
                f" found {'nothing' if written is None else written.digest.hex()}"
            )
        self._copied.executions += 1

    async def _copy_archived(self) -> None:
        after = ""
        while ids := await self._source.archived_after(after, PAGE):
            for workflow_id in ids:
                await self._copy_archive(workflow_id)
            after = ids[-1]

    async def _copy_archive(self, workflow_id: str) -> None:
        """An archive is made of an execution: of one that is there for this. One that was begun
        anew under the same id is copied after it.
        """
        archive = await self._source.archived(workflow_id)
        if archive is None or await self._target.archived(workflow_id) == archive:
            return
        await self._target.remove_archived(workflow_id)
        await remove_image(self._target, workflow_id, self._target_effects)
        await self._target.commit([Commit(workflow_id=workflow_id, version=0, running=False)])
        await self._target.remove(workflow_id, 1, TOMBSTONE_MS, archive=archive)
        if await self._target.archived(workflow_id) != archive:
            raise CopyFailed(f"archived workflow {workflow_id}: expected it in the target as it is")
        self._copied.archived += 1

    async def _copy_audit(self) -> None:
        """Rows of an earlier copy are known by their ids."""
        rows = await _audit_rows(self._source)
        entries = [_entry(row) for row in rows]
        for first in range(0, len(entries), PAGE):
            await self._target.add_audit(entries[first : first + PAGE])
        self._copied.audit_rows = len(entries)


async def _members_at_rest(store: Store, clock: Clock, which: str) -> list[str]:
    """Incarnations that the store knows. Raises CopyFailed where one of them lives, which is seen
    by its next heartbeat: the last one may be of a server that has just ended.
    """
    members, live = await _members(store)
    if live and store.capabilities.shared:
        await clock.sleep(DEAD_MS + BEAT_MS)
        members, live = await _members(store)
        if live:
            raise CopyFailed(
                f"expected a {which} without servers, found {len(live)} ({', '.join(live)})"
            )
    return members


async def _members(store: Store) -> tuple[list[str], list[str]]:
    """All, and those with a heartbeat of late."""
    beat = await store.heartbeat(ID)
    await store.forget(ID)
    members = sorted(each for each in beat.members if each != ID)
    return members, [each for each in members if beat.now_ms - beat.members[each] < DEAD_MS]


async def _ids(store: Store, partition: int) -> list[str]:
    found: list[str] = []
    while page := await store.scan(partition, found[-1] if found else "", PAGE):
        found += page
    return found


async def _audit_rows(store: Store) -> list[AuditRow]:
    """The oldest first."""
    found: list[AuditRow] = []
    before = LATER_MS
    while page := await store.audit(
        AuditQuery(from_ms=0, until_ms=LATER_MS, before=before, limit=PAGE)
    ):
        found += page
        before = page[-1].sequence
    return found[::-1]


def _entry(row: AuditRow) -> AuditEntry:
    record = RECORDS.decode(row.value)
    name = sha256(b"%d:%b" % (row.sequence, row.value)).hexdigest()
    return AuditEntry(f"copy-{name}", record.at_ms, found_by(record), row.value)

"""What stands beside an execution, queues as they stand, the audit trail; for operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, cast

import msgspec

from podium.model.queue import Deadline, Outstanding, Queue, Ready
from podium.store.audit import AUDIT_ROWS_LIMIT, AuditRow
from podium.store.codec import HEADER_FIELD
from podium.store.inspection import Entries as Beside
from podium.store.inspection import Page, QueueState
from podium.store.port import partition_of
from podium.store.queue_state import SLOT_HOLDERS_TOLD
from podium.store.redis.keys import execution_of
from podium.store.redis.queues import Queues
from podium.store.redis.scripts import AUDIT, STATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.model.queue import DeadlineKind, Limits
    from podium.store.audit import AuditEntry, AuditQuery

READY: Final = msgspec.msgpack.Decoder(Ready)
QUEUES: Final = msgspec.msgpack.Decoder(Queue)
OUTSTANDING: Final = msgspec.msgpack.Decoder(Outstanding)
Row: TypeAlias = tuple[int, tuple[str, ...], bytes]
"""When, which names, what."""
ROWS: Final = msgspec.msgpack.Decoder(Row)
ENCODE: Final = msgspec.msgpack.Encoder().encode
ROWS_PAGE: Final = 500


class Inspection(Queues):
    """Part of the Redis store; see store/inspection.py and store/audit.py."""

    async def entries(self, workflow_id: str, limit: int) -> Beside:
        partition = partition_of(workflow_id)
        ready, slots, held, outstanding, effects = await self._tables(partition)
        key = self._keys.partition(partition, "due")
        due = _deadlines(await self._link.one(("ZRANGE", key, 0, -1, "WITHSCORES")))
        most = limit or None
        return Beside(
            ready=tuple(READY.decode(each) for _, each in _own(ready, workflow_id)[:most]),
            slots=tuple((t, QUEUES.decode(each)) for t, each in _own(slots, workflow_id)[:most]),
            held=tuple((each.decode(), t) for t, each in _own(held, workflow_id)[:most]),
            outstanding=tuple(
                (t, OUTSTANDING.decode(each)) for t, each in _own(outstanding, workflow_id)[:most]
            ),
            due=tuple(each for owner, each in due if owner == workflow_id)[:most],
            outbox=sum(_owner(each) == workflow_id for each in effects.values()),
        )

    async def owners(self, partition: int) -> list[str]:
        *tables, _ = await self._tables(partition)
        tasks = {task_id.decode() for table in tables for task_id in table}
        due = await self._link.one(("ZRANGE", self._keys.partition(partition, "due"), 0, -1))
        owners = {_owner(each) for each in cast("list[bytes]", due)}
        return sorted({execution_of(each) for each in tasks} | owners)

    async def page(self, workflow_id: str, after: str, limit: int) -> Page | None:
        key = self._keys.execution(workflow_id, "x")
        names = cast("list[bytes]", await self._link.one(("HKEYS", key)))
        shown = sorted(
            name
            for each in names
            if (name := each.decode()) > after and name != HEADER_FIELD and name[:1] != "."
        )
        some = shown[:limit]
        found = cast("list[bytes | None]", await self._link.one(("HMGET", key, ".v", *some)))
        if found[0] is None:
            return None
        fields = {n: v for n, v in zip(some, found[1:], strict=True) if v is not None}
        return Page(int(found[0]), fields, shown[limit - 1] if len(shown) > limit else "")

    async def queue_state(self, queue: Queue, limits: Limits) -> QueueState:
        answer = await self._link.one(
            self._link.call(
                STATE,
                self._queue_keys(queue),
                *self._limits(limits),
                "",
                queue.domain,
                SLOT_HOLDERS_TOLD,
            )
        )
        ready, claimed, wanted, slots, starts, admits_ms, *holders = cast("list[bytes]", answer)
        return QueueState(
            ready=int(ready),
            claimed=int(claimed),
            wanted=int(wanted),
            slots=int(slots),
            slot_holders=tuple(each.decode() for each in holders),
            starts=int(starts),
            admits_ms=int(admits_ms),
        )

    async def queued(self, tasks: Sequence[Ready]) -> list[bool]:
        places = await self._link.send(
            [("ZSCORE", self._keys.queue(each.queue, "r"), each.task_id) for each in tasks]
        )
        claims = await self._link.send(
            [
                ("HEXISTS", self._keys.type(each.queue.task_type, "c"), each.task_id)
                for each in tasks
            ]
        )
        return [
            place is not None or bool(claim) for place, claim in zip(places, claims, strict=True)
        ]

    async def add_audit(self, entries: Sequence[AuditEntry]) -> None:
        if entries:
            rows = [
                each.id.encode()
                + b"\0"
                + msgspec.msgpack.encode((each.at_ms, each.names, each.value))
                for each in entries
            ]
            call = self._link.call(AUDIT, self._keys.audit, AUDIT_ROWS_LIMIT, *rows)
            await self._link.one(call, kept=True)

    async def audit(self, query: AuditQuery) -> list[AuditRow]:
        """Looks at all rows below `before`, page by page."""
        found: list[AuditRow] = []
        before = query.before
        while len(found) < query.limit:
            page = await self._audit_page(before)
            if not page:
                break
            before = page[-1][0]
            for sequence, (at_ms, names, value) in page:
                in_time = query.from_ms <= at_ms < query.until_ms
                if in_time and (not query.name or query.name in names):
                    found.append(AuditRow(sequence, value))
        return found[: query.limit]

    async def _audit_page(self, before: int) -> list[tuple[int, Row]]:
        rows = self._keys.audit[0]
        answer = await self._link.one(
            ("ZREVRANGEBYSCORE", rows, f"({before}", "-inf", "WITHSCORES", "LIMIT", 0, ROWS_PAGE)
        )
        flat = cast("list[bytes]", answer)
        return [
            (int(float(score)), ROWS.decode(row.partition(b"\0")[2]))
            for row, score in zip(flat[::2], flat[1::2], strict=True)
        ]

    async def _tables(self, partition: int) -> list[dict[bytes, bytes]]:
        """ready, slot, held, out, ob."""
        names = ("ready", "slot", "held", "out", "ob")
        answers = await self._link.send(
            [("HGETALL", self._keys.partition(partition, name)) for name in names]
        )
        return [cast("dict[bytes, bytes]", each) for each in answers]


def _own(table: dict[bytes, bytes], workflow_id: str) -> list[tuple[str, bytes]]:
    """Entries of one execution, by task id."""
    found = ((task_id.decode(), value) for task_id, value in table.items())
    return sorted((t, value) for t, value in found if execution_of(t) == workflow_id)


def _owner(member: bytes) -> str:
    return member.partition(b"\0")[0].decode()


def _deadlines(answer: object) -> list[tuple[str, Deadline]]:
    """With whose they are, the earliest first."""
    flat = cast("list[bytes]", answer)
    found: list[tuple[str, Deadline]] = []
    for member, at_ms in zip(flat[::2], flat[1::2], strict=True):
        owner, task_id, kind = member.decode().split("\0")
        deadline = Deadline(task_id, cast("DeadlineKind", kind), int(float(at_ms)))
        found.append((owner, deadline))
    return found

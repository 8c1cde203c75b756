"""Entries of partitions, members, watchers: deadlines, effects, what is ready, slots, leases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import msgspec

from podium.model.queue import Deadline, Queue, Ready
from podium.store.port import DueEntry, Heartbeat, OutboxEntry
from podium.store.redis.queues import Queues
from podium.store.redis.scripts import BEAT, FORGET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.model.queue import DeadlineKind


READY: Final = msgspec.msgpack.Decoder(Ready)
QUEUES: Final = msgspec.msgpack.Decoder(Queue)
WATCH_MS: Final = 3_600_000
"""Watchers of a server that died are forgotten after this."""


class Entries(Queues):
    """Part of the Redis store; see store/port.py."""

    async def due(self, partitions: Sequence[int], until_ms: int, limit: int) -> list[DueEntry]:
        answers = await self._link.send(
            [
                (
                    "ZRANGEBYSCORE",
                    self._keys.partition(each, "due"),
                    "-inf",
                    until_ms,
                    "WITHSCORES",
                    "LIMIT",
                    0,
                    limit,
                )
                for each in partitions
            ]
        )
        found = sorted(entry for answer in answers for entry in _scored(answer))
        return [_due(member, at_ms) for at_ms, member in found[:limit]]

    async def outbox(self, partitions: Sequence[int], incarnation: str) -> list[OutboxEntry]:
        entries: list[OutboxEntry] = []
        begin = incarnation.encode() + b"\0"
        for partition, fields in await self._hashes(partitions, "ob"):
            found = sorted(
                (int(name[len(begin) :]), value)
                for name, value in fields.items()
                if name.startswith(begin)
            )
            for sequence, value in found:
                workflow_id, _, effect = value.partition(b"\0")
                entries.append(
                    OutboxEntry(partition, incarnation, sequence, workflow_id.decode(), effect)
                )
        return entries

    async def outbox_done(self, partition: int, incarnation: str, sequences: Sequence[int]) -> None:
        if sequences:
            names = [f"{incarnation}\0{each}" for each in sequences]
            await self._link.one(("HDEL", self._keys.partition(partition, "ob"), *names))

    async def ready(self, partitions: Sequence[int]) -> list[Ready]:
        found = [
            READY.decode(value)
            for _, fields in await self._hashes(partitions, "ready")
            for value in fields.values()
        ]
        return sorted(found, key=lambda each: each.task_id)

    async def slots(self, partition: int) -> list[tuple[str, Queue]]:
        ((_, fields),) = await self._hashes((partition,), "slot")
        return sorted(
            ((name.decode(), QUEUES.decode(value)) for name, value in fields.items()),
            key=lambda each: each[0],
        )

    async def held(self, partitions: Sequence[int], incarnation: str) -> list[str]:
        holder = incarnation.encode()
        return sorted(
            name.decode()
            for _, fields in await self._hashes(partitions, "held")
            for name, value in fields.items()
            if value == holder
        )

    async def holders(self, partitions: Sequence[int]) -> set[str]:
        found = await self._hashes(partitions, "held")
        return {value.decode() for _, fields in found for value in fields.values()}

    async def heartbeat(self, incarnation: str, concerns: int | None = None) -> Heartbeat:
        told = "" if concerns is None else concerns
        call = self._link.call(BEAT, self._keys.members, self.now(), incarnation, told)
        now_ms, joined, *flat = cast("list[bytes]", await self._link.one(call))
        if joined == b"1":  # perhaps again: it was forgotten, and lives
            self.note_wishes_again(incarnation)
        names = [name.decode() for name in flat[::3]]
        return Heartbeat(
            int(now_ms),
            dict(zip(names, map(int, flat[1::3]), strict=True)),
            {name: int(count) for name, count in zip(names, flat[2::3], strict=True) if count},
        )

    async def forget(self, incarnation: str, seen_ms: int | None = None) -> None:
        seen = "" if seen_ms is None else seen_ms
        call = self._link.call(FORGET, self._keys.members, incarnation, seen)
        if await self._link.one(call):
            await self.forget_wishes(incarnation)

    async def watch(self, workflow_id: str, server: str, *, on: bool) -> None:
        key = self._keys.execution(workflow_id, "watch")
        if on:
            await self._link.send((("SADD", key, server), ("PEXPIRE", key, WATCH_MS)))
        else:
            await self._link.one(("SREM", key, server))

    async def _hashes(
        self, partitions: Sequence[int], name: str
    ) -> list[tuple[int, dict[bytes, bytes]]]:
        commands = [("HGETALL", self._keys.partition(each, name)) for each in partitions]
        answers = await self._link.send(commands)
        return [
            (each, cast("dict[bytes, bytes]", answer))
            for each, answer in zip(partitions, answers, strict=True)
        ]


def _scored(answer: object) -> list[tuple[int, bytes]]:
    """Scores and members, from a flat answer."""
    flat = cast("list[bytes]", answer)
    return [(int(float(at)), member) for member, at in zip(flat[::2], flat[1::2], strict=True)]


def _due(member: bytes, at_ms: int) -> DueEntry:
    workflow_id, task_id, kind = member.decode().split("\0")
    return DueEntry(workflow_id, Deadline(task_id, cast("DeadlineKind", kind), at_ms))

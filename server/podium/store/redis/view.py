"""Queues and pending tasks as clients and operators see them, and their repairs (queue_view.py)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, cast

from podium.model.queue import UNLIMITED, Queue, Ready
from podium.store.port import PARTITIONS
from podium.store.queue_view import (
    OutstandingCount,
    PendingTask,
    QueueCount,
    Rebuilt,
    Want,
)
from podium.store.redis.inspection import OUTSTANDING, READY, Inspection
from podium.store.redis.keys import execution_of
from podium.store.redis.scripts import COUNT, PLACE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium.model.queue import LeaseKind, Outstanding
    from podium.store.redis.clients import Command


class View(Inspection):
    """Part of the Redis store; see store/queue_view.py."""

    async def task_types(self) -> list[str]:
        found = cast("set[bytes]", await self._link.one(("SMEMBERS", self._keys.types)))
        leased = (each.outstanding.queue.task_type for each in await self.outstanding_counts())
        return sorted({*(each.decode() for each in found), *leased})

    async def queue_counts(self, task_type: str) -> list[QueueCount]:
        queues = await self._queues_of(task_type)
        answers = await self._link.send(
            [
                self._link.call(
                    COUNT, self._queue_keys(each), *self._limits(UNLIMITED), "", each.domain
                )
                for each in queues
            ]
        )
        counts = [_count(each, answer) for each, answer in zip(queues, answers, strict=True)]
        return [each for each in counts if each.ready or each.claimed or each.wants]

    async def outstanding_counts(self) -> list[OutstandingCount]:
        answers = await self._of_partitions("outn")
        counter: Counter[Outstanding] = Counter()
        for answer in answers:
            for value, count in answer.items():
                counter[OUTSTANDING.decode(value)] += int(count)
        return [OutstandingCount(each, count) for each, count in counter.items()]

    async def pending(
        self, partition: int, task_type: str, after: str, limit: int
    ) -> list[PendingTask]:
        keys = [self._keys.partition(partition, name) for name in ("ready", "out")]
        ready, outstanding = await self._link.send([("HGETALL", key) for key in keys])
        found: list[PendingTask] = []
        for value in cast("dict[bytes, bytes]", ready).values():
            each = READY.decode(value)
            found.append(PendingTask(each.task_id, each.queue, "ready"))
        for task_id, value in cast("dict[bytes, bytes]", outstanding).items():
            at = OUTSTANDING.decode(value)
            found.append(PendingTask(task_id.decode(), at.queue, at.state))
        own = [each for each in found if each.queue.task_type == task_type and each.task_id > after]
        return sorted(own, key=lambda each: each.task_id)[:limit]

    async def unqueued(self, partition: int, task_type: str) -> list[Ready]:
        key = self._keys.partition(partition, "ready")
        table = cast("dict[bytes, bytes]", await self._link.one(("HGETALL", key)))
        ready = _of_type(table, task_type)
        queued = await self.queued(ready)
        return [each for each, there in zip(ready, queued, strict=True) if not there]

    async def rebuild_queue(self, task_type: str) -> list[Rebuilt]:
        """Places are listed before the truth is read, and what is taken out is looked at once more:
        so a task that becomes ready meanwhile, which its server pushes, is not lost.
        """
        before = await self._sizes(task_type)
        queues = await self._queues_of(task_type)
        answers = await self._link.send(
            [("ZRANGE", self._keys.queue(each, "r"), 0, -1) for each in queues]
        )
        places = {
            (queue, task_id.decode())
            for queue, answer in zip(queues, answers, strict=True)
            for task_id in cast("list[bytes]", answer)
        }
        ready = [
            each
            for table in await self._of_partitions("ready")
            for each in _of_type(table, task_type)
        ]
        stale = places - {(each.queue, each.task_id) for each in ready}
        await self._link.send(
            [("ZREM", self._keys.queue(queue, "r"), task_id) for queue, task_id in stale]
        )
        await self._place([*ready, *await self._ready_again(stale)])
        after = await self._sizes(task_type)
        return [
            Rebuilt(queue, before.get(queue, 0), after.get(queue, 0))
            for queue in sorted({*before, *after}, key=lambda each: each.domain)
        ]

    async def _ready_again(self, taken: Iterable[tuple[Queue, str]]) -> list[Ready]:
        answers = await self._link.send(
            [
                ("HGET", self._keys.part_of(execution_of(task_id), "ready"), task_id)
                for _, task_id in taken
            ]
        )
        return [READY.decode(each) for each in answers if isinstance(each, bytes)]

    async def _place(self, ready: Iterable[Ready]) -> None:
        commands: list[Command] = []
        for each in ready:
            names = [self._keys.type(each.queue.task_type, name) for name in ("c", "d")]
            keys = [*names, self._keys.queue(each.queue, "r")]
            arguments = (each.task_id, each.score, each.queue.domain)
            commands.append(self._link.call(PLACE, keys, *arguments))
        await self._link.send(commands)

    async def _sizes(self, task_type: str) -> dict[Queue, int]:
        counts = await self.queue_counts(task_type)
        return {each.queue: each.ready + each.claimed for each in counts}

    async def _queues_of(self, task_type: str) -> list[Queue]:
        found = await self._link.one(("SMEMBERS", self._keys.type(task_type, "d")))
        return [Queue(task_type, each.decode()) for each in sorted(cast("set[bytes]", found))]

    async def _of_partitions(self, name: str) -> list[dict[bytes, bytes]]:
        answers = await self._link.send(
            [("HGETALL", self._keys.partition(each, name)) for each in range(PARTITIONS)]
        )
        return [cast("dict[bytes, bytes]", each) for each in answers]


def _of_type(table: dict[bytes, bytes], task_type: str) -> list[Ready]:
    found = [READY.decode(value) for value in table.values()]
    return [each for each in found if each.queue.task_type == task_type]


def _count(queue: Queue, answer: object) -> QueueCount:
    """Of count.lua."""
    ready, claimed, oldest_ms, *flat = cast("list[bytes]", answer)
    wants: list[Want] = []
    for wish, count in zip(flat[::2], flat[1::2], strict=True):
        server, _, kind = wish.decode().partition("\0")
        wants.append(Want(server, cast("LeaseKind", kind), int(count)))
    return QueueCount(
        queue=queue,
        ready=int(ready),
        claimed=int(claimed),
        oldest_ms=int(oldest_ms),
        wants=tuple(sorted(wants)),
    )

"""What the index has yet to see, and the archived copies: a sorted set of each per partition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from podium.store.port import PARTITIONS, Changed, partition_of
from podium.store.redis.linked import Linked
from podium.store.redis.scripts import INDEXED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.store.redis.clients import Argument

TOGETHER: Final = 32
"""Partitions that are asked in one pipeline."""


class Changes(Linked):
    """Part of the Redis store; see store/port.py."""

    async def changed(self, partitions: Sequence[int], limit: int) -> list[Changed]:
        found: list[Changed] = []
        for first in range(0, len(partitions), TOGETHER):
            if len(found) >= limit:
                break
            last = limit - len(found) - 1
            answers = await self._link.send(
                [
                    ("ZRANGE", self._keys.partition(each, "chg"), 0, last, "WITHSCORES")
                    for each in partitions[first : first + TOGETHER]
                ]
            )
            found += [each for answer in answers for each in _noted(answer)]
        return found[:limit]

    async def indexed(self, changes: Sequence[Changed]) -> None:
        by_partition: dict[int, list[Argument]] = {}
        for change in changes:
            arguments = by_partition.setdefault(partition_of(change.workflow_id), [])
            arguments += [change.workflow_id, change.version]
        await self._link.send(
            [
                self._link.call(INDEXED, [self._keys.partition(partition, "chg")], *arguments)
                for partition, arguments in by_partition.items()
            ]
        )

    async def archived_after(self, after: str, limit: int) -> list[str]:
        """In the order of partitions, then of ids."""
        found: list[str] = []
        partition, begin = (partition_of(after), f"({after}") if after else (0, "-")
        while partition < PARTITIONS and len(found) < limit:
            key = self._keys.partition(partition, "arcs")
            command = ("ZRANGEBYLEX", key, begin, "+", "LIMIT", 0, limit - len(found))
            ids = cast("list[bytes]", await self._link.one(command))
            found += [each.decode() for each in ids]
            partition, begin = partition + 1, "-"
        return found


def _noted(answer: object) -> list[Changed]:
    """Members and scores, from a flat answer."""
    flat = cast("list[bytes]", answer)
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return [Changed(member.decode(), int(float(version))) for member, version in pairs]

"""What the index has yet to see, as the memory store notes it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from podium.store.embedded import EmbeddedStore
from podium.store.port import Changed, partition_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class ChangeNotes(EmbeddedStore):
    """`noted`: workflow id → version as of the latest change that is not indexed, 0 = removed."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        super().__init__(now_ms)
        self.noted: dict[str, int] = {}

    async def changed(self, partitions: Sequence[int], limit: int) -> list[Changed]:
        self.check_open()
        asked = frozenset(partitions)
        mine = (each for each in self.noted.items() if partition_of(each[0]) in asked)
        return [Changed(*each) for each in islice(mine, limit)]

    async def indexed(self, changes: Sequence[Changed]) -> None:
        self.check_open()
        for change in changes:
            if self.noted.get(change.workflow_id) == change.version:
                del self.noted[change.workflow_id]

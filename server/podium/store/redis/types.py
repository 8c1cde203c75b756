"""Which task types there are: each is noted once by every server that uses a queue of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.model.queue import GATES
from podium.store.redis.linked import Linked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium.model.queue import Queue
    from podium.store.redis.keys import Keys
    from podium.store.redis.link import Link

NOTED_MAX: Final = 100_000


class TypeNotes(Linked):
    """Part of the Redis store."""

    def __init__(self, link: Link, keys: Keys) -> None:
        super().__init__(link, keys)
        self._types_noted: set[str] = set()

    async def note_types(self, queues: Iterable[Queue]) -> None:
        """Before anything is in a queue, so that `task_types` cannot miss it."""
        noted = self._types_noted
        new = {each.task_type for each in queues if each.task_type not in noted}
        new = {each for each in new if not each.startswith(GATES)}
        if new:
            await self._link.one(("SADD", self._keys.types, *sorted(new)), kept=True)
            if len(noted) > NOTED_MAX:
                noted.clear()
            noted.update(new)

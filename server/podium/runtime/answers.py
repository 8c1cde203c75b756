"""What a decision asks for, answered: by the store, the sandbox, the workers that are there."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from podium.engine.transition import ActiveDomains, Admit, Admitted, Evaluate, FetchDomains
from podium.store.port import StoreError

if TYPE_CHECKING:
    from podium.engine.transition import Answer, Need
    from podium.runtime.loading import Loader
    from podium.runtime.mailbox import Evaluator, Mailbox, Pollers, Work
    from podium.store.port import Store


class Answers:
    """`pollers` is set before the first decision."""

    def __init__(self, *, store: Store, loader: Loader, evaluator: Evaluator) -> None:
        self._store = store
        self._loader = loader
        self._evaluator = evaluator
        self.pollers: Pollers

    async def answer(self, mailbox: Mailbox, work: Work, need: Need) -> Answer | None:
        """None = the stored version moved on: start over. Raises StoreError."""
        if isinstance(need, FetchDomains):
            return ActiveDomains(await self.pollers.active_domains(need.task_type))
        if isinstance(need, Evaluate):
            return await mailbox.evaluated(need, self._evaluator)
        if isinstance(need, Admit):
            taken = await self._store.admit(need.task_id, need.queue, need.limits)
            work.admitted = need if taken else None
            return Admitted(taken)
        return await self._loader.answer(mailbox.workflow_id, work.entry, need)

    async def unadmit(self, admitted: Admit) -> None:
        """The slot is not needed after all; where the store does not answer, its claim ends."""
        with suppress(StoreError):
            await self._store.unclaim(admitted.task_id, admitted.queue)

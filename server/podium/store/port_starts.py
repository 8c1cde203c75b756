"""The part of the store port that starts need beside their commit (see port.py for the rules)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from podium.model.queue import Limits, Queue


class Idempotency(msgspec.Struct, frozen=True):
    """Key of a start. strategy: FAIL and RETURN_EXISTING point at any recorded run, FAIL_ON_RUNNING
    only at one that still runs (its stored status is read in the same atomic step).
    """

    name: str
    key: str
    strategy: Literal["FAIL", "RETURN_EXISTING", "FAIL_ON_RUNNING"]


class StartStore(Protocol):
    """Verbs about executions that are not stored yet."""

    async def recorded(self, workflow_id: str, key: Idempotency) -> str | None:
        """The run that the first commit of `workflow_id` with this key would be answered with
        (Exists); None = the key is free. It may be another one a moment later.
        """
        ...

    async def admit(self, task_id: str, queue: Queue, limits: Limits) -> bool:
        """Claim a slot for a task that is in no queue, as `want` claims one that is: until it is
        stored (settle) or unclaimed, for CLAIM_MS. False where the limits admit none, or others
        wait in this queue. Asked again for what is claimed or has a slot: True, nothing changes.
        """
        ...

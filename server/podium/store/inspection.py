"""The part of the store port that looks: what stands beside an execution's fields, and at queues.

For operators, not for the way of a task: nothing here is called while work goes on by itself. The
rules of store/port.py hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from podium.model.queue import Deadline, Outstanding, Queue, Ready

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.model.queue import Limits


class Entries(msgspec.Struct, frozen=True, kw_only=True):
    """What the store keeps of an execution in the indexes of its partition, in order of task ids
    (deadlines: of time).
    """

    ready: tuple[Ready, ...] = ()
    slots: tuple[tuple[str, Queue], ...] = ()
    held: tuple[tuple[str, str], ...] = ()
    """(incarnation, task id)."""
    outstanding: tuple[tuple[str, Outstanding], ...] = ()
    due: tuple[Deadline, ...] = ()
    outbox: int = 0
    """Effects that wait to be carried out, of all incarnations."""


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """One queue at this moment, under the limits that were asked for."""

    ready: int = 0
    claimed: int = 0
    wanted: int = 0
    """Tasks that servers wait for here."""
    slots: int = 0
    """Slots of the type that are taken, in all domains, by leases and claims."""
    slot_holders: tuple[str, ...] = ()
    """The first few tasks that have a stored slot."""
    starts: int = 0
    """Hand-outs inside the rate window."""
    admits_ms: int = -1
    """When the limits admit the next hand-out: -1 = now, 0 = when a slot is released."""


class Page(msgspec.Struct, frozen=True):
    """Some fields of an execution, its header not among them unless it is asked for by name."""

    version: int
    fields: dict[str, bytes]
    next: str
    """Gives the page after this one; "" = there is none."""


class Inspection(Protocol):
    """Verbs that change nothing."""

    async def entries(self, workflow_id: str, limit: int) -> Entries:
        """At most `limit` entries of each kind (0 = all); none of an unknown execution."""
        ...

    async def page(self, workflow_id: str, after: str, limit: int) -> Page | None:
        """About `limit` fields, each once if nothing is written meanwhile; "" = from the first.
        None where no such execution exists.
        """
        ...

    async def owners(self, partition: int) -> list[str]:
        """Executions that have an entry in the partition, in order, whether they exist or not."""
        ...

    async def queue_state(self, queue: Queue, limits: Limits) -> QueueState: ...

    async def queued(self, tasks: Sequence[Ready]) -> list[bool]:
        """Whether each is in its queue, in its place or claimed."""
        ...

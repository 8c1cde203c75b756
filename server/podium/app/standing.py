"""What the store's indexes should hold of an execution, by its records, and how they differ. Pure.

A record says all: whether its task is ready, who has it, which deadlines it has. What a commit
writes beside the records (engine/changes.py) must be exactly that.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from podium.engine.changes import ready_of
from podium.engine.gate import ready_gate, slot_of
from podium.model.queue import Deadline, DeadlineKind, Queue, Ready

if TYPE_CHECKING:
    from podium.model.execution import ExecutionHeader, TaskRecord
    from podium.store.inspection import Entries


class FindingKind(StrEnum):
    """What is not as it should be; by name podium.v1.FindingKind."""

    READY_MISSING = "READY_MISSING"
    READY_EXTRA = "READY_EXTRA"
    DEADLINE_MISSING = "DEADLINE_MISSING"
    DEADLINE_EXTRA = "DEADLINE_EXTRA"
    SLOT_MISSING = "SLOT_MISSING"
    SLOT_EXTRA = "SLOT_EXTRA"
    HELD_MISSING = "HELD_MISSING"
    HELD_EXTRA = "HELD_EXTRA"
    NOT_QUEUED = "NOT_QUEUED"
    LEASE_UNKNOWN = "LEASE_UNKNOWN"
    EFFECT_WAITING = "EFFECT_WAITING"
    COUNTER_WRONG = "COUNTER_WRONG"
    UNREADABLE = "UNREADABLE"
    ORPHAN = "ORPHAN"


class Finding(msgspec.Struct, frozen=True):
    """One difference: `expected` by the records, `found` in the store."""

    kind: FindingKind
    workflow_id: str
    task_id: str = ""
    expected: str = ""
    found: str = ""


class Mend(msgspec.Struct, frozen=True):
    """What a commit must say so that the indexes follow the records again."""

    ready: tuple[Ready, ...] = ()
    unready: tuple[str, ...] = ()
    armed: tuple[Deadline, ...] = ()
    disarmed: tuple[tuple[str, DeadlineKind], ...] = ()
    slots: tuple[tuple[str, Queue], ...] = ()
    unslotted: tuple[tuple[str, Queue], ...] = ()
    held: tuple[tuple[str, str], ...] = ()
    unheld: tuple[tuple[str, str], ...] = ()

    @property
    def empty(self) -> bool:
        return self == NOTHING


NOTHING: Final = Mend()


class Changes:
    """A Mend that is being put together."""

    def __init__(self) -> None:
        self.ready: list[Ready] = []
        self.unready: list[str] = []
        self.armed: list[Deadline] = []
        self.disarmed: list[tuple[str, DeadlineKind]] = []
        self.slots: list[tuple[str, Queue]] = []
        self.unslotted: list[tuple[str, Queue]] = []
        self.held: list[tuple[str, str]] = []
        self.unheld: list[tuple[str, str]] = []

    def mend(self) -> Mend:
        """All of it."""
        return Mend(
            ready=tuple(self.ready),
            unready=tuple(self.unready),
            armed=tuple(self.armed),
            disarmed=tuple(self.disarmed),
            slots=tuple(self.slots),
            unslotted=tuple(self.unslotted),
            held=tuple(self.held),
            unheld=tuple(self.unheld),
        )


class Comparison:
    """Takes an execution's tasks one after the other; what is left of the entries is too much."""

    def __init__(self, workflow_id: str, entries: Entries) -> None:
        self._id = workflow_id
        self._ready = {each.task_id: each for each in entries.ready}
        self._slots = dict(entries.slots)
        self._held = {task_id: incarnation for incarnation, task_id in entries.held}
        self._due: dict[tuple[str, DeadlineKind], Deadline] = {
            (each.task_id, each.kind): each for each in entries.due
        }
        self.findings: list[Finding] = []
        self._changes = Changes()
        self.expected_ready: list[Ready] = []
        """Tasks that must be in their queues."""

    def take_header(self, header: ExecutionHeader) -> None:
        """The execution's own deadline and gate."""
        if header.deadline_ms:
            self._deadline(Deadline("", "workflow", header.deadline_ms))
        gate = header.gate
        self._readiness(ready_gate(header.id, gate))
        slot = slot_of(header.id, gate)
        if slot and gate is not None:
            self._slot(slot, gate.queue)

    def take(self, task: TaskRecord) -> None:
        """The latest attempt of a task."""
        for deadline in task.deadlines:
            self._deadline(deadline)
        self._readiness(ready_of(task))
        lease = task.lease
        if lease is None:
            return
        if task.queue is not None and task.limits.limited:
            self._slot(task.id, task.queue)
        if lease.kind == "stream":
            self._holding(task.id, lease.incarnation)

    def rest(self) -> Mend:
        """All that is to be mended, once every task was taken."""
        for ready in self._ready.values():
            self._extra(FindingKind.READY_EXTRA, ready.task_id, text_of(ready.queue))
            self._changes.unready.append(ready.task_id)
        for task_id, queue in self._slots.items():
            self._extra(FindingKind.SLOT_EXTRA, task_id, text_of(queue))
            self._changes.unslotted.append((task_id, queue))
        for task_id, incarnation in self._held.items():
            self._extra(FindingKind.HELD_EXTRA, task_id, incarnation)
            self._changes.unheld.append((incarnation, task_id))
        for (task_id, kind), deadline in self._due.items():
            self._extra(FindingKind.DEADLINE_EXTRA, task_id, deadline_text(deadline))
            self._changes.disarmed.append((task_id, kind))
        return self._changes.mend()

    def _readiness(self, ready: Ready | None) -> None:
        if ready is None:
            return
        self.expected_ready.append(ready)
        found = self._ready.pop(ready.task_id, None)
        if found != ready:
            self._differs(
                FindingKind.READY_MISSING,
                ready.task_id,
                ready_text(ready),
                "" if found is None else ready_text(found),
            )
            self._changes.ready.append(ready)

    def _deadline(self, deadline: Deadline) -> None:
        found = self._due.pop((deadline.task_id, deadline.kind), None)
        if found != deadline:
            self._differs(
                FindingKind.DEADLINE_MISSING,
                deadline.task_id,
                deadline_text(deadline),
                "" if found is None else deadline_text(found),
            )
            self._changes.armed.append(deadline)

    def _slot(self, task_id: str, queue: Queue) -> None:
        found = self._slots.pop(task_id, None)
        if found != queue:
            text = "" if found is None else text_of(found)
            self._differs(FindingKind.SLOT_MISSING, task_id, text_of(queue), text)
            self._changes.slots.append((task_id, queue))

    def _holding(self, task_id: str, incarnation: str) -> None:
        found = self._held.pop(task_id, None)
        if found != incarnation:
            self._differs(FindingKind.HELD_MISSING, task_id, incarnation, found or "")
            self._changes.held.append((incarnation, task_id))
            if found is not None:
                self._changes.unheld.append((found, task_id))

    def _differs(self, kind: FindingKind, task_id: str, expected: str, found: str) -> None:
        self.findings.append(Finding(kind, self._id, task_id, expected, found or "none"))

    def _extra(self, kind: FindingKind, task_id: str, found: str) -> None:
        self.findings.append(Finding(kind, self._id, task_id, "none", found))


def text_of(queue: Queue) -> str:
    """Type, and domain where there is one."""
    return f"{queue.task_type}:{queue.domain}" if queue.domain else queue.task_type


def ready_text(ready: Ready) -> str:
    """The queue, the place in it, and the limits that differ from none."""
    limits = ready.limits
    limited = f" limited {limits.concurrent}/{limits.rate}" if limits.limited else ""
    return f"{text_of(ready.queue)} at {ready.score}{limited}"


def deadline_text(deadline: Deadline) -> str:
    """Its kind and its time in epoch ms."""
    return f"{deadline.kind} at {deadline.at_ms}"

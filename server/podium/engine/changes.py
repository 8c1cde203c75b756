"""From changed records to the transition: deadlines, ready entries, leases, slots and history.

All of these follow from the difference between a task's record before and after the draft, so no
rule can forget one: a granted task is not ready, an ended task has no deadline, a lease that is
gone holds no slot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from podium.engine.gate import ready_gate, slot_of
from podium.engine.timing import has
from podium.engine.transition import ReleaseSlot, Transition
from podium.model.execution import HistoryRow, TaskChange, TaskRecord, TaskStatus
from podium.model.queue import Deadline, Outstanding, Ready

if TYPE_CHECKING:
    from podium.engine.state import State
    from podium.engine.transition import Effect
    from podium.model.execution import ExecutionHeader, GateRecord, InboxRecord
    from podium.model.queue import DeadlineKind, Queue

Pair: TypeAlias = tuple[TaskRecord | None, TaskRecord]


def ready_of(task: TaskRecord | None) -> Ready | None:
    """The task's place in its queue, or None where no worker may take it now."""
    if task is None or task.status is not TaskStatus.SCHEDULED or task.queue is None:
        return None
    for deadline in task.deadlines:
        if deadline.kind == "retry":
            return None
    return Ready(task.id, task.queue, task.score, task.limits)


def outstanding_of(task: TaskRecord | None) -> Outstanding | None:
    """Where a task of a queue is that is neither ready nor ended."""
    return whereabouts(task, ready_of(task))


def whereabouts(task: TaskRecord | None, ready: Ready | None) -> Outstanding | None:
    """`outstanding_of` a task of which `ready_of` is known."""
    if ready is not None or task is None or task.queue is None or task.status.terminal:
        return None
    if task.lease is not None:
        return Outstanding(task.queue, "leased")
    delayed = task.status is TaskStatus.SCHEDULED
    return Outstanding(task.queue, "delayed" if delayed else "awaited")


def pairs(draft: State) -> list[Pair]:
    """(before, after) of each task id that the draft changed; before is None for a new one."""
    found: list[Pair] = [*draft.removed]
    for (key, attempt), moved in draft.attempts.changed.items():
        before = draft.tasks.before(key)
        if moved is not None:
            found.append((before if before and before.attempt == attempt else None, moved))
    for key, after in draft.tasks.changed.items():
        before = draft.tasks.before(key)
        if after is not None:
            found.append((before if before and before.attempt == after.attempt else None, after))
    return found


def fresh(draft: State) -> tuple[Ready, ...]:
    """Tasks that became ready in this draft and are not granted."""
    found: list[Ready] = []
    for key, after in draft.tasks.changed.items():  # an attempt that was moved aside has ended
        ready = ready_of(after)
        if ready is None:
            continue
        before = draft.tasks.before(key)
        if before is None or ready != ready_of(before):
            found.append(ready)
    return tuple(found)


class Differences:
    """Collects what the pairs say."""

    __slots__ = (
        "armed", "changes", "disarmed", "effects", "held", "left", "outstanding", "ready",
        "returned", "slots", "unheld", "unready", "unslotted",
    )  # fmt: skip

    def __init__(self) -> None:
        self.armed: list[Deadline] = []
        self.disarmed: list[tuple[str, DeadlineKind]] = []
        self.ready: list[Ready] = []
        self.unready: list[str] = []
        self.left: list[Ready] = []
        self.held: list[tuple[str, str]] = []
        self.unheld: list[tuple[str, str]] = []
        self.outstanding: list[tuple[str, Outstanding]] = []
        self.returned: list[str] = []
        self.slots: list[tuple[str, Queue]] = []
        self.unslotted: list[str] = []
        self.effects: list[Effect] = []
        self.changes: list[TaskChange] = []

    def add(self, before: TaskRecord | None, after: TaskRecord) -> None:
        """Take one task's difference in."""
        if before is None or before.deadlines != after.deadlines:
            self._deadlines(before, after)
        if after.queue is not None or (before is not None and before.queue is not None):
            was, now = ready_of(before), ready_of(after)
            if was != now:
                self._readiness(was, now)
                if was is not None and after.status.terminal:
                    self.left.append(was)
            self._outstanding(after.id, whereabouts(before, was), whereabouts(after, now))
        if (before.lease if before else None) != after.lease:
            self._lease(before, after)
        if before is None or (before.status, before.lease_epoch) != (
            after.status,
            after.lease_epoch,
        ):
            self.changes.append(change_of(before, after))

    def _deadlines(self, before: TaskRecord | None, after: TaskRecord) -> None:
        old = before.deadlines if before else ()
        for deadline in after.deadlines:
            if deadline not in old:
                self.armed.append(deadline)
        for deadline in old:
            if not has(after.deadlines, deadline.kind):
                self.disarmed.append((deadline.task_id, deadline.kind))

    def _readiness(self, was: Ready | None, now: Ready | None) -> None:
        if now is not None:
            self.ready.append(now)
        elif was is not None:
            self.unready.append(was.task_id)

    def _outstanding(self, task_id: str, was: Outstanding | None, now: Outstanding | None) -> None:
        if was == now:
            return
        if now is not None:
            self.outstanding.append((task_id, now))
        else:
            self.returned.append(task_id)

    def _lease(self, before: TaskRecord | None, after: TaskRecord) -> None:
        old, new = (before.lease if before else None), after.lease
        if old is not None and old.kind == "stream":
            self.unheld.append((old.incarnation, after.id))
        if new is not None and new.kind == "stream":
            self.held.append((new.incarnation, after.id))
        if after.queue is None or not after.limits.limited:
            return
        if old is None and new is not None:
            self.slots.append((after.id, after.queue))
        elif old is not None and new is None:
            self.unslotted.append(after.id)
            self.effects.append(
                ReleaseSlot(task_id=after.id, queue=after.queue, limits=after.limits)
            )

    def add_gate(self, workflow_id: str, before: GateRecord | None, after: GateRecord) -> None:
        """Take the gate's difference in; `before` may be one that ended in this draft."""
        was, now = ready_gate(workflow_id, before), ready_gate(workflow_id, after)
        if was is not None and was != now:
            self.unready.append(was.task_id)
            if now is None and not slot_of(workflow_id, after):
                self.left.append(was)
        if now is not None and was != now:
            self.ready.append(now)
        had, has_now = slot_of(workflow_id, before), slot_of(workflow_id, after)
        if had and had != has_now:
            self.unslotted.append(had)
        if has_now and had != has_now:
            self.slots.append((has_now, after.queue))


def change_of(before: TaskRecord | None, after: TaskRecord) -> TaskChange:
    """The history's line for one task."""
    return TaskChange(
        after.key,
        after.ref,
        after.attempt,
        after.retry_count,
        before.status if before else "",
        after.status,
        after.lease_epoch,
        after.id,
    )


def collect(draft: State, actor: str) -> Transition | None:
    """The transition of a draft, or None when nothing changed."""
    header = draft.header
    changed = draft.tasks.changed or draft.attempts.changed or draft.joins.changed
    same_output = draft.output is draft.stored_output
    same_variables = draft.variables is draft.stored_variables
    same = header is draft.stored_header and same_output and same_variables
    if header is None or (same and not changed):
        return None
    found = Differences()
    for before, after in pairs(draft):
        found.add(before, after)
    tasks, attempts, branches = draft.tasks, draft.attempts, draft.branches
    created = draft.stored_header is None
    header_changes(draft, found)
    position = header.history_position + 1
    header = replace(
        header, updated_ms=draft.now_ms, history_position=position, inbox=kept_inbox(header)
    )
    unheld = set(found.held)
    present = tasks.present_changes()
    return Transition(
        header=header,
        created=created,
        input=draft.input if created or draft.input is not draft.stored_input else None,
        variables=None if same_variables and not created else draft.variables,
        output=None if same_output and not created else draft.output,
        tasks=present,
        attempts=attempts.present_changes() if attempts.changed else {},
        joins=draft.joins.changed,
        branches=branches.present_changes() if branches.changed else {},
        removed=tasks.removals() if len(present) < len(tasks.changed) else (),
        removed_attempts=attempts.removals() if attempts.changed else (),
        removed_branches=branches.removals() if branches.changed else (),
        messages=message_changes(draft),
        armed=tuple(found.armed),
        disarmed=tuple(found.disarmed),
        ready=tuple(found.ready),
        unready=tuple(found.unready),
        left=tuple(found.left),
        held=tuple(found.held),
        unheld=tuple(each for each in found.unheld if each not in unheld),
        slots=tuple(found.slots),
        unslotted=tuple(found.unslotted),
        outstanding=tuple(found.outstanding),
        returned=tuple(found.returned),
        logs=tuple(draft.logs),
        effects=(*draft.effects, *found.effects),
        cancels=tuple(draft.cancels),
        history=row_of(draft, header, found, actor),
    )


def message_changes(draft: State) -> dict[int, bytes | None]:
    """Messages that came and stay, and those that were stored and wait no longer."""
    stored = draft.stored_header.inbox if draft.stored_header else None
    inbox = kept_inbox(draft.head)
    if inbox is stored:
        return {}
    before = range(stored.first, stored.next) if stored else range(0)
    now = range(inbox.first, inbox.next) if inbox else range(0)
    gone: dict[int, bytes | None] = {number: None for number in before if number not in now}
    return gone | {number: draft.messages[number] for number in now if number not in before}


def kept_inbox(header: ExecutionHeader) -> InboxRecord | None:
    """The message queue, which goes with the execution's end (S-188)."""
    return None if header.status.terminal else header.inbox


def row_of(draft: State, header: ExecutionHeader, found: Differences, actor: str) -> HistoryRow:
    """What the commit did."""
    return HistoryRow(
        header.history_position,
        draft.now_ms,
        tuple(draft.commands),
        actor,
        header.status,
        tuple(found.changes),
        tuple(draft.events.raised),
    )


def header_changes(draft: State, found: Differences) -> None:
    """Arm or disarm the execution's own deadline as its header says; take its gate's change in."""
    stored, header = draft.stored_header, draft.head
    old, new = stored.deadline_ms if stored else 0, header.deadline_ms
    if new and new != old:
        found.armed.append(Deadline("", "workflow", new))
    elif old and not new:
        found.disarmed.append(("", "workflow"))
    if header.gate is not None:
        former = stored.gate if stored else None
        if header.gate is not former:
            found.add_gate(header.id, former, header.gate)

"""Waiting at the gate, and being let through (S-047): see gate.py.

An execution with a gate is RUNNING and has nothing scheduled until the gate is granted. The grant
is a commit of its own and what it leads to is the next: should that raise, the execution is set
aside with its slot, and those behind it in the queue are not kept waiting.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.command import GrantLease, Outcome, Rejected, Verdict
from podium.engine.ending import leave_sweep
from podium.engine.evaluation import evaluate
from podium.engine.gate import GATE_KEY, gate_id, is_shut
from podium.engine.graph import NONE
from podium.engine.java_text import java_text
from podium.engine.problem import NAME_CHARS_LIMIT, shown
from podium.engine.state import known_tasks
from podium.engine.transition import Admit, Admitted
from podium.engine.trial import is_trial
from podium.model.execution import GateRecord, GateState, TaskRecord, TaskStatus, WorkflowStatus
from podium.model.queue import Limits, gate_queue, key_in, ready_score

if TYPE_CHECKING:
    from podium.engine.graph import RunLimit
    from podium.engine.state import Asking, State

GATE_SWEEP: Final = "gate"
"""Name of the sweep that goes on behind a gate that was granted."""


def begin_at_gate(draft: State) -> Asking[bool]:
    """Whether an execution that starts must wait for a slot. Where its workflow rejects instead, it
    has one from its first commit on, or is refused: raises Rejected.
    """
    limit = draft.graph.run_limit
    if limit is None or not limit.reject or is_trial(draft.head):
        return (yield from wait_at_gate(draft, ""))
    gate = yield from gate_of(draft, limit, "")
    asked = Admit(gate_id(draft.workflow_id, gate), gate.queue, gate.limits)
    answer = yield asked
    assert isinstance(answer, Admitted), answer
    if not answer.taken:
        refused = Rejected("RESOURCE_EXHAUSTED", full_text(draft, gate))
        draft.header = draft.stored_header  # nothing is made
        raise refused
    draft.header = replace(draft.head, gate=replace(gate, state=GateState.OPEN))
    return False


def full_text(draft: State, gate: GateRecord) -> str:
    """Why a start is refused."""
    name = draft.head.name
    key = key_in(gate.queue)
    of = shown(name) if key == name else f"{shown(name)} with the key {shown(key)}"
    most = gate.limits.concurrent
    return (
        f"expected fewer than {most} running executions of workflow {of} (its rateLimitConfig"
        f" rejects more), found {most}, or others that wait; nothing was started"
    )


def wait_at_gate(draft: State, then: str) -> Asking[bool]:
    """Whether the execution must wait for a slot before the sweep `then` (or, "", its first task);
    not when it has one. For a sweep all records must be at hand.
    """
    limit = draft.graph.run_limit
    former = draft.head.gate
    if limit is None or is_trial(draft.head):
        return False
    if former is not None and former.state is not GateState.ENDED:
        return False
    gate = yield from gate_of(draft, limit, then)
    tasks = known_tasks(draft) if then else []
    still_open = sum(not task.status.terminal for task in tasks)
    draft.header = replace(draft.head, gate=gate, open_count=still_open)
    return True


def gate_of(draft: State, limit: RunLimit, then: str) -> Asking[GateRecord]:
    """The execution's next gate."""
    key = yield from key_of(draft, limit)
    header = draft.head
    former = header.gate
    return GateRecord(
        number=former.number + 1 if former else 0,
        queue=gate_queue(header.name, key),
        limits=Limits(limit.concurrent),
        score=ready_score(header.priority, draft.now_ms),
        then=then,
    )


def key_of(draft: State, limit: RunLimit) -> Asking[str]:
    """The evaluated rateLimitKey: the workflow's name where it is blank, a hash where too long."""
    value = yield from evaluate(draft, limit.key)
    text = "" if value is None else java_text(value)
    if not text.strip():
        return draft.head.name
    if len(text) <= NAME_CHARS_LIMIT:
        return text
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()


def is_for_gate(draft: State, task_id: str) -> bool:
    """Whether the id is that of the execution's gate."""
    gate = draft.head.gate
    return gate is not None and task_id == gate_id(draft.workflow_id, gate)


def grant_gate(draft: State, command: GrantLease) -> Outcome:
    """The execution has a slot, and keeps it whatever becomes of the lease."""
    header = draft.head
    gate = header.gate
    assert gate is not None, header.id
    if header.status.terminal:
        return Outcome(Verdict.CLOSED)
    if gate.state is not GateState.WAITING:
        return Outcome(Verdict.STALE)
    draft.header = replace(header, gate=replace(gate, state=GateState.GRANTED))
    leave_sweep(draft, GATE_SWEEP)
    return Outcome(Verdict.OK, as_task(draft, gate, command))


def as_task(draft: State, gate: GateRecord, command: GrantLease) -> TaskRecord:
    """What the dispatcher hands out; it is not stored."""
    return TaskRecord(
        id=gate_id(draft.workflow_id, gate),
        key=GATE_KEY,
        attempt=gate.number,
        seq=0,
        ref="",
        node=NONE,
        task_type=gate.queue.task_type,
        def_name=gate.queue.task_type,
        status=TaskStatus.IN_PROGRESS,
        queue=gate.queue,
        limits=gate.limits,
        lease=command.lease,
        lease_epoch=1,
    )


def open_gate(draft: State) -> GateRecord | None:
    """Take a slot that was granted into use: None where that is done, or in a pause."""
    header = draft.head
    gate = header.gate
    if (
        gate is None
        or gate.state is not GateState.GRANTED
        or header.status is not WorkflowStatus.RUNNING
    ):
        return None
    draft.header = replace(header, gate=replace(gate, state=GateState.OPEN))
    return gate


def go_on_if_granted(draft: State) -> bool:
    """After a pause: False where the execution does not stand at its gate."""
    gate = draft.head.gate
    if gate is None or not is_shut(draft.head):
        return False
    if gate.state is GateState.GRANTED:
        leave_sweep(draft, GATE_SWEEP)
    return True

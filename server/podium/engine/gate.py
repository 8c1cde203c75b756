"""The gate of an execution whose workflow limits how many run at a time (rateLimitConfig, S-047).

The gate is no task: it stands in the header, so nothing that counts, shows, retries or removes
tasks meets it. To the store and the dispatcher it looks like one: it is ready in a queue of its
workflow and key, whoever is granted it has a slot, and the slot is free when the execution ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.identity import task_id
from podium.engine.transition import ReleaseSlot
from podium.model.execution import GateState, RerunRecord
from podium.model.queue import Ready

if TYPE_CHECKING:
    from podium.engine.state import State
    from podium.model.execution import ExecutionHeader, GateRecord

GATE_KEY: Final = "gate"
"""Stands in ids for the key of a task; those have 16 characters."""
FROM_THE_START: Final = ""
SLOTTED: Final = frozenset({GateState.GRANTED, GateState.OPEN})


def gate_id(workflow_id: str, gate: GateRecord) -> str:
    """What the queue knows it by. Each of an execution has its own, so that the slot of a former
    run, which is still on its way to be freed, is not taken for this one's.
    """
    return task_id(workflow_id, GATE_KEY, gate.number)


def is_shut(header: ExecutionHeader) -> bool:
    """Whether the execution waits for a slot: nothing in it goes on."""
    gate = header.gate
    return gate is not None and gate.state in (GateState.WAITING, GateState.GRANTED)


def ready_gate(workflow_id: str, gate: GateRecord | None) -> Ready | None:
    """Its place in its queue while it waits there."""
    if gate is None or gate.state is not GateState.WAITING:
        return None
    return Ready(gate_id(workflow_id, gate), gate.queue, gate.score, gate.limits)


def slot_of(workflow_id: str, gate: GateRecord | None) -> str:
    """The id under which it has a slot; "" where it has none."""
    return gate_id(workflow_id, gate) if gate is not None and gate.state in SLOTTED else ""


def end_gate(draft: State) -> None:
    """The execution ends. One that had not begun yet begins from the start when it is retried.

    The slot is released also where it was only about to be granted: the queue then goes on at once.
    """
    header = draft.head
    gate = header.gate
    if gate is None or gate.state is GateState.ENDED:
        return
    draft.effects.append(
        ReleaseSlot(task_id=gate_id(header.id, gate), queue=gate.queue, limits=gate.limits)
    )
    if not gate.then and gate.state is not GateState.OPEN:
        header = replace(header, rerun=RerunRecord(key=FROM_THE_START), skipped=())
    draft.header = replace(header, gate=replace(gate, state=GateState.ENDED))

"""Commands about the execution as a whole: start, terminate, continue, a cleaner that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from podium.engine.command import (
    Continue,
    FailFailureWorkflow,
    Outcome,
    Rejected,
    Start,
    Terminate,
    Verdict,
)
from podium.engine.ending import (
    FAILURE_WORKFLOW_KEY,
    cancel_open,
    close,
    final_output,
    resume,
    tell_parent,
)
from podium.engine.enforce import taken_input
from podium.engine.gathering import OutputTooLarge
from podium.engine.gating import GATE_SWEEP, begin_at_gate, open_gate
from podium.engine.lifecycle import require_state
from podium.engine.limits import WORKFLOW_REASON_CHARS_LIMIT
from podium.engine.pausing import call_back, release
from podium.engine.removing import run_root
from podium.engine.reopening import retry, retry_children
from podium.engine.state import State, payload, want_payloads
from podium.engine.timing import workflow_deadline_ms
from podium.engine.work import read_cursor
from podium.model.execution import ExecutionHeader, WorkflowStatus
from podium.model.payload import EMPTY, Payload
from podium.model.queue import PRIORITY_MAX

if TYPE_CHECKING:
    from podium.engine.state import Asking


SWEEPS: Final = {
    "release": release,
    "callbacks": call_back,
    "retry": retry,
    "retry_children": retry_children,
}
"""What a Continue takes up again, by the name in its cursor; see also `pass_gate`."""


def start(draft: State, command: Start) -> Asking[Outcome]:
    """Create the execution and put its first task on the list (S-059 to S-066)."""
    if draft.header is not None:
        raise Rejected("ALREADY_EXISTS", f"workflow {draft.workflow_id} exists already")
    if not 0 <= command.priority <= PRIORITY_MAX:
        raise Rejected(
            "INVALID_ARGUMENT",
            f"expected a priority of 0 to {PRIORITY_MAX}, found {command.priority}",
        )
    definition, now_ms = draft.graph.definition, draft.now_ms
    draft.input = yield from taken_input(draft.graph, command.input, command.secrets)
    draft.variables = Payload.of(definition.variables)
    draft.output = EMPTY
    draft.stored_output = EMPTY
    draft.payloads_known = True
    draft.header = ExecutionHeader(
        id=draft.workflow_id,
        name=command.name,
        version=command.version,
        digest=command.digest,
        status=WorkflowStatus.RUNNING,
        created_ms=now_ms,
        updated_ms=now_ms,
        correlation_id=command.correlation_id,
        priority=command.priority,
        task_to_domain=command.task_to_domain,
        secrets=command.secrets,
        parent=command.parent,
        deadline_ms=workflow_deadline_ms(definition, now_ms),
        created_by=command.created_by,
        event=command.event,
        inline_definition=command.inline_definition,
        idempotency_key=command.idempotency_key,
        depth=command.parent.depth if command.parent else 0,
        trace_parent=command.trace.parent,
        trace_state=command.trace.state,
    )
    if draft.graph.run_limit is None or not (yield from begin_at_gate(draft)):
        run_root(draft)
    return Outcome(Verdict.OK)


def pass_gate(draft: State) -> Asking[None]:
    """What waited at the gate goes on, unless that is done or the execution is paused (S-047)."""
    gate = open_gate(draft)
    if gate is None:
        return
    if not gate.then:
        run_root(draft)
        return
    yield from SWEEPS[gate.then](draft)
    yield from release(draft)


def terminate(draft: State, command: Terminate) -> Asking[Outcome]:
    """End from outside: no failure workflow (S-131, S-132). What ended already stays, but FAILED
    and TIMED_OUT become TERMINATED; a parent's end does not touch a child that ended (S-139).
    """
    header = draft.head
    if header.status is WorkflowStatus.TERMINATED or (command.by_parent and header.status.terminal):
        return Outcome(Verdict.NOOP)
    require_state(header, "Terminate")
    if header.status.terminal:
        draft.set_status(WorkflowStatus.TERMINATED)
        reason = command.reason
        reason = reason[:WORKFLOW_REASON_CHARS_LIMIT] if reason else reason
        draft.header = replace(draft.head, reason=reason)
        return Outcome(Verdict.OK)
    try:
        output = yield from final_output(draft)
    except OutputTooLarge:
        output = EMPTY  # S-133: the end does not depend on it
    close(draft, WorkflowStatus.TERMINATED, command.reason)
    draft.output = output
    if not command.by_parent:
        tell_parent(draft)
    yield from cancel_open(draft)
    return Outcome(Verdict.OK)


def continue_(draft: State, command: Continue) -> Asking[Outcome]:
    """Take up what a full transition left."""
    try:
        cursor = read_cursor(command.cursor)
    except msgspec.DecodeError:
        raise Rejected("INVALID_ARGUMENT", "expected a cursor of this server") from None
    taken = yield from resume(draft, cursor)
    if taken and cursor.sweep and draft.running:
        go_on = pass_gate if cursor.sweep == GATE_SWEEP else SWEEPS[cursor.sweep]
        yield from go_on(draft)
    return Outcome(Verdict.OK if taken else Verdict.NOOP)


def fail_failure_workflow(draft: State, command: FailFailureWorkflow) -> Asking[Outcome]:
    """Say in the output that the failure workflow could not be started (S-146)."""
    if not draft.head.status.terminal:
        return Outcome(Verdict.NOOP)
    yield from want_payloads(draft)
    text = f"Error workflow {command.name} failed to start.  reason: {command.reason}"
    draft.output = Payload.of({**payload(draft.output).value, FAILURE_WORKFLOW_KEY: text})
    return Outcome(Verdict.OK)

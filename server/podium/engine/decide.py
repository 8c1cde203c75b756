"""The engine's one entry: a command decided on a draft, as a generator that asks for what it needs.

Pure: no clock, no chance, no I/O. What comes in is the draft, the command and the time; what goes
out is the draft's changes and an Outcome. Illegal commands raise Rejected before anything changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from podium.engine.command import (
    CloseChild,
    Command,
    Continue,
    Due,
    FailFailureWorkflow,
    GrantLease,
    Outcome,
    Pause,
    PushMessage,
    Rejected,
    Repair,
    ReportResult,
    Rerun,
    ResetCallbacks,
    Restart,
    Resume,
    Retry,
    Revive,
    Signal,
    SkipTask,
    Start,
    Terminate,
    UpdateVariables,
    Verdict,
)
from podium.engine.drive import driven
from podium.engine.gating import grant_gate, is_for_gate
from podium.engine.inbox import push
from podium.engine.leases import LeaseCommand, lease_command
from podium.engine.outside import continue_, fail_failure_workflow, start, terminate
from podium.engine.pausing import pause, reset_callbacks, unpause
from podium.engine.raising import raise_events
from podium.engine.reopening import retry_execution, revive
from podium.engine.repairing import drop_what_is_equal, repair
from podium.engine.report import close_child, report_result
from podium.engine.restarting import rerun, restart
from podium.engine.signalling import signal, update_variables
from podium.engine.skipping import skip
from podium.engine.timeouts import due

if TYPE_CHECKING:
    from podium.engine.draft import Draft
    from podium.engine.state import Asking

OK = Outcome(Verdict.OK)
ProgressCommand: TypeAlias = ReportResult | CloseChild | Due | LeaseCommand
ControlCommand: TypeAlias = (
    Pause | Resume | ResetCallbacks | SkipTask | Signal | PushMessage | UpdateVariables
)
AgainCommand: TypeAlias = Retry | Revive | Restart | Rerun
OutsideCommand: TypeAlias = Start | Terminate | Continue | FailFailureWorkflow | Repair
CONTROL: Final = (Pause, Resume, ResetCallbacks, SkipTask, Signal, PushMessage, UpdateVariables)
AGAIN: Final = (Retry, Revive, Restart, Rerun)
OUTSIDE: Final = (Start, Terminate, Continue, FailFailureWorkflow, Repair)


def decide(draft: Draft, command: Command, now_ms: int) -> Asking[Outcome]:
    """Decide one command; several may follow each other on one draft.

    Time never runs backwards: the later of `now_ms` and the last change counts. Raises Rejected:
    NOT_FOUND for an execution or task that does not exist, INVALID_ARGUMENT, FAILED_PRECONDITION,
    ALREADY_EXISTS for a second Start.
    """
    header = draft.header
    if header is None and not isinstance(command, Start):
        raise Rejected("NOT_FOUND", f"No such workflow found by id: {draft.workflow_id}")
    draft.now_ms = max(now_ms, draft.now_ms, header.updated_ms if header else 0)
    outcome = yield from answered(draft, command)
    if draft.graph.raises:
        yield from raise_events(draft)
    draft.commands.append(type(command).__name__)
    return outcome


def answered(draft: Draft, command: Command) -> Asking[Outcome]:
    """The command, and all that follows from it."""
    if isinstance(command, GrantLease):  # the most frequent one: no step follows from it
        if draft.head.gate is not None and is_for_gate(draft, command.task_id):
            return grant_gate(draft, command)
        return (yield from lease_command(draft, command))
    if isinstance(command, OUTSIDE):
        return (yield from outside(draft, command))
    if isinstance(command, CONTROL):
        return (yield from driven(draft, control(draft, command), OK))
    if isinstance(command, AGAIN):
        return (yield from driven(draft, again(draft, command), OK))
    return (yield from driven(draft, progress(draft, command), OK))


def progress(draft: Draft, command: ProgressCommand) -> Asking[Outcome]:
    """Commands about one task."""
    match command:
        case ReportResult():
            return (yield from report_result(draft, command))
        case CloseChild():
            return (yield from close_child(draft, command))
        case Due():
            return (yield from due(draft, command))
        case _:
            return (yield from lease_command(draft, command))


def control(draft: Draft, command: ControlCommand) -> Asking[Outcome]:
    """Commands of operators to an execution that runs."""
    match command:
        case Pause():
            return (yield from pause(draft))
        case Resume():
            return (yield from unpause(draft))
        case ResetCallbacks():
            return (yield from reset_callbacks(draft))
        case SkipTask():
            return (yield from skip(draft, command))
        case Signal():
            return (yield from signal(draft, command))
        case PushMessage():
            return (yield from push(draft, command))
        case UpdateVariables():
            return (yield from update_variables(draft, command))
        case _:
            assert_never(command)


def again(draft: Draft, command: AgainCommand) -> Asking[Outcome]:
    """Commands to one that ended, of operators, children and parents."""
    match command:
        case Retry():
            return (yield from retry_execution(draft, command))
        case Revive():
            return (yield from revive(draft, command))
        case Restart():
            return (yield from restart(draft, command))
        case Rerun():
            return (yield from rerun(draft, command))
        case _:
            assert_never(command)


def outside(draft: Draft, command: OutsideCommand) -> Asking[Outcome]:
    """Commands about the execution."""
    match command:
        case Start():
            return (yield from driven(draft, start(draft, command), OK))
        case Continue():
            return (yield from driven(draft, continue_(draft, command), OK))
        case Terminate():
            return (yield from terminate(draft, command))
        case FailFailureWorkflow():
            return (yield from fail_failure_workflow(draft, command))
        case Repair():
            outcome = yield from driven(draft, repair(draft), OK)
            drop_what_is_equal(draft)
            return outcome
        case _:
            assert_never(command)

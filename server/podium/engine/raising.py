"""Raising the events of tasks whose state changed, in the commit that changes it (S-044).

They are told by the difference between a task before a command and after it, so no rule can forget
one, and what a command passes through (a failure that is forgiven) raises nothing. Their payloads
are evaluated once the command is decided; the task itself is read as it was when it changed, also
where an attempt or an iteration has followed it. An event never harms its workflow: one that is
too large is raised without its payload, and says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.engine.changes import pairs
from podium.engine.evaluation import Reader, evaluate_for
from podium.engine.gathering import OutputTooLarge
from podium.engine.graph import Place, branch_graph
from podium.engine.limits import EVENTS_BYTES_LIMIT, STATE_EVENT_BYTES_LIMIT
from podium.engine.schedule import locate
from podium.engine.state_event import MOMENTS
from podium.model.execution import RaisedEvent, TaskStatus
from podium.model.payload import EMPTY, Payload

if TYPE_CHECKING:
    from podium.engine.state import Asking, State
    from podium.engine.state_event import Hook, Moment
    from podium.model.execution import TaskRecord

ENDS: Final[dict[TaskStatus, Moment]] = {
    TaskStatus.COMPLETED: "onSuccess",
    TaskStatus.COMPLETED_WITH_ERRORS: "onSuccess",
    TaskStatus.FAILED: "onFailed",
    TaskStatus.FAILED_WITH_TERMINAL_ERROR: "onFailed",
    TaskStatus.TIMED_OUT: "onFailed",
    TaskStatus.CANCELED: "onCancelled",
}
"""A task that was skipped was never there: it raises nothing."""


def raise_events(draft: State) -> Asking[None]:
    """Add what the command that was just decided raises. Nothing else in the draft changes."""
    if _may_raise(draft):
        yield from _raise_changed(draft)


def _raise_changed(draft: State) -> Asking[None]:
    events = draft.events
    found: dict[str, tuple[TaskRecord | None, TaskRecord]] = {}
    for before, after in [*events.gone_pairs(), *pairs(draft)]:
        if after.raises:
            found.setdefault(after.id, (events.told.get(after.id, before), after))
    for before, after in sorted(found.values(), key=lambda pair: (pair[1].seq, pair[1].attempt)):
        events.told[after.id] = after
        moments = moments_of(before, after)
        if moments:
            place = yield from place_of(draft, after)
            for moment in moments:
                for hook in place.node.hooks:
                    if hook.moment == moment:
                        yield from raise_event(draft, place, after, hook)
    events.gone.clear()


def _may_raise(draft: State) -> bool:
    """Whether a changed task has hooks. Asked after each of the commands that share a draft, and in
    a wide dynamic fork, which cannot know beforehand, these are hundreds: nothing is compared yet.
    """
    changed = (*draft.tasks.changed.values(), *draft.attempts.changed.values())
    gone = draft.events.gone or draft.removed
    return bool(gone) or any(task is not None and task.raises for task in changed)


def moments_of(before: TaskRecord | None, after: TaskRecord) -> list[Moment]:
    """What an attempt has come to, in order: each once in its life, but that one which is given
    back unseen starts again, and one that is waited for again ends again.
    """
    found: set[Moment] = set()
    if before is None and after.status is not TaskStatus.SKIPPED:
        found.add("onScheduled")
    if after.start_ms and not (before and before.start_ms):
        found.add("onStart")
    if after.status in ENDS and not (before and before.status.terminal):
        found.add("onFailed" if after.forgiven else ENDS[after.status])
    return [moment for moment in MOMENTS if moment in found]


def place_of(draft: State, task: TaskRecord) -> Asking[Place]:
    """Where the task stands, or stood: its branch may have gone with it."""
    branch = draft.events.branches.get(task.branch)
    if branch is None:
        return (yield from locate(draft, task))
    graph = branch_graph(branch.definition)
    return Place(graph, graph.nodes[task.node], task.branch, task.iteration, task.loop)


def raise_event(draft: State, place: Place, task: TaskRecord, hook: Hook) -> Asking[None]:
    """One event of the task, within the limits of its size and of the commit's."""
    payload, error = EMPTY, ""
    try:
        reader = Reader(task_id=task.id, place=place, own=task)
        value = yield from evaluate_for(draft, hook.payload, reader)
        assert isinstance(value, dict), value
        payload = Payload.of(value)
        if len(payload) > STATE_EVENT_BYTES_LIMIT:
            error = f"at most {STATE_EVENT_BYTES_LIMIT} bytes as JSON, found {len(payload)}"
        elif draft.events.bytes + len(payload) > EVENTS_BYTES_LIMIT:
            error = f"at most {EVENTS_BYTES_LIMIT} bytes with all events of the commit, found more"
    except OutputTooLarge as large:
        error = f"at most {STATE_EVENT_BYTES_LIMIT} bytes as JSON: {large}"
    if error:
        payload, error = EMPTY, f"expected a payload of {error}"
    draft.events.bytes += len(payload)
    draft.events.raised.append(
        RaisedEvent(task.id, task.ref, hook.moment, hook.type, payload, error)
    )

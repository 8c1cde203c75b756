"""Pause, resume, and callbacks that are due at once (S-074 to S-080, S-153).

A paused execution goes on to hand out what is ready and to take results; nothing follows from them,
and no deadline but its own does anything, until it is resumed. What waits for that is told by the
records: tasks that ended are `unsettled`, deadlines that passed stand at HELD_MS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from podium.engine.command import Outcome, Verdict
from podium.engine.ending import leave_sweep
from podium.engine.gating import go_on_if_granted
from podium.engine.lifecycle import require_state
from podium.engine.schedule import definition_of, locate
from podium.engine.state import known_tasks, want_all
from podium.engine.timing import HELD_MS, has, waiting_deadlines, without, workflow_deadline_ms
from podium.engine.work import Step
from podium.model.execution import TaskStatus, WorkflowStatus
from podium.model.queue import ready_score

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord


def pause(draft: State) -> Asking[Outcome]:
    """Nothing new is decided from now on; children go on (S-077)."""
    header = draft.head
    require_state(header, "Pause")
    if header.status is WorkflowStatus.PAUSED:
        return Outcome(Verdict.NOOP)
    draft.set_status(WorkflowStatus.PAUSED)
    return Outcome(Verdict.OK)
    yield  # a part of a decision is a generator also where it asks nothing


def unpause(draft: State) -> Asking[Outcome]:
    """Go on with what waited; the clock of the execution's timeout starts anew (S-079)."""
    require_state(draft.head, "Resume")
    draft.set_status(WorkflowStatus.RUNNING)
    draft.header = replace(
        draft.head,
        last_retried_ms=draft.now_ms,
        deadline_ms=workflow_deadline_ms(draft.graph.definition, draft.now_ms),
    )
    if not go_on_if_granted(draft):
        yield from release(draft)
    return Outcome(Verdict.OK)


def release(draft: State) -> Asking[None]:
    """Settle what ended and let happen what was due during the pause."""
    yield from want_all(draft)
    for task in waiting_for(draft, lambda task: task.unsettled or is_held(task)):
        if draft.full:
            leave_sweep(draft, "release")
            return
        if task.unsettled:
            draft.put(task, replace(task, unsettled=False))
            draft.later.append(Step("settle", key=task.key))
            continue
        due = tuple(
            replace(each, at_ms=draft.now_ms) if each.at_ms == HELD_MS else each
            for each in task.deadlines
        )
        draft.put(task, replace(task, deadlines=due))


def is_held(task: TaskRecord) -> bool:
    """Whether a deadline of it passed during the pause."""
    return any(deadline.at_ms == HELD_MS for deadline in task.deadlines)


def waiting_for(draft: State, wanted: Callable[[TaskRecord], bool]) -> list[TaskRecord]:
    """Those of all tasks, which are at hand, in the order they were scheduled."""
    return sorted(filter(wanted, known_tasks(draft)), key=lambda task: task.seq)


def reset_callbacks(draft: State) -> Asking[Outcome]:
    """Worker tasks that wait for their callback are ready now."""
    require_state(draft.head, "ResetCallbacks")
    yield from call_back(draft)
    return Outcome(Verdict.OK)


def call_back(draft: State) -> Asking[None]:
    """As many as one transition holds; the rest by a Continue."""
    yield from want_all(draft)
    for task in waiting_for(draft, waits_for_callback):
        if draft.full:
            leave_sweep(draft, "callbacks")
            return
        place = yield from locate(draft, task)
        deadlines = waiting_deadlines(task, definition_of(place, task), ready_ms=draft.now_ms)
        again = replace(
            task,
            score=ready_score(draft.head.priority, draft.now_ms),
            callback_after_ms=0,
            deadlines=without(deadlines, "retry"),
        )
        draft.put(task, again)


def waits_for_callback(task: TaskRecord) -> bool:
    """A worker's task that is not offered yet."""
    return (
        task.status is TaskStatus.SCHEDULED
        and task.queue is not None
        and task.callback_after_ms > 0
        and has(task.deadlines, "retry")
    )

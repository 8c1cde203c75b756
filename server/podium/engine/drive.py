"""Working off the steps of a decision, until none is left, the transition is full, or it ends.

The stack `now` holds what belongs to this pass, in Conductor's order of creation; `later` what
follows from it. No step is taken inside another, so no definition can make the call stack deep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.again import retry
from podium.engine.ending import complete, end_execution, leave_cursor, terminate_by_task
from podium.engine.gate import is_shut
from podium.engine.gathering import OutputTooLarge
from podium.engine.graph import NONE, Place, branch_graph
from podium.engine.identity import task_key
from podium.engine.loops import iterate, prune
from podium.engine.operators.dynamic_fork import create_branches
from podium.engine.operators.join import close, run_dynamic
from podium.engine.operators.table import operator_for, operator_of
from podium.engine.schedule import EndExecution, locate
from podium.engine.settle import settle
from podium.engine.skipping import is_skipped, pass_by
from podium.engine.state import State, want_branch, want_task
from podium.engine.work import Step
from podium.model.execution import WorkflowStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from podium.engine.command import Outcome
    from podium.engine.state import Asking
    from podium.engine.work import Action


def driven(draft: State, asking: Asking[Outcome], otherwise: Outcome) -> Asking[Outcome]:
    """Decide a command and everything that follows from it within this draft."""
    outcome = otherwise
    try:
        outcome = yield from asking
        yield from work_off(draft)
    except EndExecution as ending:
        yield from end_execution(draft, ending)
    except OutputTooLarge as large:
        yield from end_execution(draft, EndExecution(str(large)))
    return outcome


def work_off(draft: State) -> Asking[None]:
    """Take steps in order. Raises EndExecution as the rules do."""
    while True:
        if not draft.now:
            if draft.terminating:
                yield from terminate_by_task(draft)
                return
            if not draft.later and not look_at_loops(draft):
                break
            draft.now, draft.later = draft.later[::-1], []
        step = draft.now.pop()
        if draft.full and step.action != "settle":
            draft.now.append(step)
            leave_cursor(draft)
            return
        yield from take(draft, step)
    header = draft.head
    done = header.open_count == 0 and not header.pending
    if done and header.status is WorkflowStatus.RUNNING and not is_shut(header):
        yield from complete(draft)


def look_at_loops(draft: State) -> bool:
    """Nothing else is left to do: a loop none of whose tasks is open may go on. With a cursor on
    the way they are not all there yet.
    """
    header = draft.head
    held = bool(header.pending) or header.status is not WorkflowStatus.RUNNING
    if draft.loops or (header.waiting_loops and not held):
        loops = tuple(dict.fromkeys((*header.waiting_loops, *draft.loops)))
        draft.loops = [] if held else list(loops)
        draft.header = replace(header, waiting_loops=loops if held else ())
    if not draft.loops:
        return False
    draft.later.append(Step("iterate", key=draft.loops.pop(0)))
    return True


def take(draft: State, step: Step) -> Asking[None]:
    """Take one step."""
    if step.action in OF_TASKS:
        yield from OF_TASKS[step.action](draft, step.key)
        return
    if step.action == "prune":
        yield from prune(draft, step)
        return
    place = yield from place_of(draft, step)
    if step.action == "run":
        head = draft.head
        if (head.last_retried_ms or head.skipped) and (yield from is_passed(draft, place)):
            return
        yield from operator_of(place.node.task.type, place.node.ref).run(draft, place)
    elif step.action == "branches":
        yield from create_branches(draft, place, step)
    else:
        yield from run_dynamic(draft, place, step.key)


def is_passed(draft: State, place: Place) -> Asking[bool]:
    """Whether the task was skipped, and the flow goes on behind it, or is there already, in an
    execution that had ended and goes on. A skipped one has a record, too.
    """
    if is_skipped(draft, place):
        pass_by(draft, place)
        return True
    if not draft.head.last_retried_ms:
        return False
    task = yield from want_task(draft, task_key(place.node.ref, place.iteration))
    return task is not None


def place_of(draft: State, step: Step) -> Asking[Place]:
    """The node that a step names, in its graph."""
    graph, loop = draft.graph, ""
    if step.branch:
        branch = yield from want_branch(draft, step.branch)
        graph, loop = branch_graph(branch.definition), branch.loop
    node = graph.nodes[step.node]
    if node.loop != NONE:
        loop = task_key(graph.nodes[node.loop].ref, step.iteration[:-1])
    return Place(graph, node, step.branch, step.iteration, loop)


def begin(draft: State, key: str) -> Asking[None]:
    """The delay of a task that no worker takes is over: its operator starts it."""
    task = yield from want_task(draft, key)
    if task is None or task.status.terminal:
        return
    place = yield from locate(draft, task)
    operator = operator_for(place, task)
    assert operator.begin is not None, f"{task.id}: nothing begins a {task.task_type}"
    yield from operator.begin(draft, place, task)


OF_TASKS: Final[dict[Action, Callable[[State, str], Asking[None]]]] = {
    "settle": settle,
    "retry": retry,
    "begin": begin,
    "close": close,
    "iterate": iterate,
}
"""Steps about a stored task; the others are about a node."""

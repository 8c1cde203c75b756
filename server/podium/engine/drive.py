"""Working off the steps of a decision, until none is left, the transition is full, or it ends.

The stack `now` holds what belongs to this pass, in Conductor's order of creation; `later` what
follows from it. No step is taken inside another, so no definition can make the call stack deep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from podium.engine.again import retry
from podium.engine.ending import complete, end_execution, leave_cursor, terminate_by_task
from podium.engine.evaluation import OutputTooLarge
from podium.engine.graph import Place, branch_graph
from podium.engine.operators.dynamic_fork import create_branches
from podium.engine.operators.join import close, run_dynamic
from podium.engine.operators.table import operator_of
from podium.engine.schedule import EndExecution, locate
from podium.engine.settle import settle
from podium.engine.state import State, want_branch, want_task
from podium.model.execution import WorkflowStatus

if TYPE_CHECKING:
    from podium.engine.command import Outcome
    from podium.engine.state import Asking
    from podium.engine.work import Step


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
            if not draft.later:
                break
            draft.now, draft.later = draft.later[::-1], []
        step = draft.now.pop()
        if draft.full and step.action != "settle":
            draft.now.append(step)
            leave_cursor(draft)
            return
        yield from take(draft, step)
    header = draft.head
    if header.open_count == 0 and not header.pending and header.status is WorkflowStatus.RUNNING:
        yield from complete(draft)


def take(draft: State, step: Step) -> Asking[None]:
    """Take one step."""
    match step.action:
        case "run":
            place = yield from place_of(draft, step)
            yield from operator_of(place.node.task.type, place.node.ref).run(draft, place)
        case "settle":
            yield from settle(draft, step.key)
        case "retry":
            yield from retry(draft, step.key)
        case "begin":
            yield from begin(draft, step.key)
        case "close":
            yield from close(draft, step.key)
        case "branches":
            yield from create_branches(draft, (yield from place_of(draft, step)), step)
        case "join":
            yield from run_dynamic(draft, (yield from place_of(draft, step)), step.key)
        case _:
            assert_never(step.action)


def place_of(draft: State, step: Step) -> Asking[Place]:
    """The node that a step names, in its graph."""
    graph = draft.graph
    if step.branch:
        graph = branch_graph((yield from want_branch(draft, step.branch)).definition)
    return Place(graph, graph.nodes[step.node], step.branch, step.iteration)


def begin(draft: State, key: str) -> Asking[None]:
    """The delay of a task that no worker takes is over: its operator starts it."""
    task = yield from want_task(draft, key)
    if task is None or task.status.terminal:
        return
    place = yield from locate(draft, task)
    operator = operator_of(place.node.task.type, task.ref)
    assert operator.begin is not None, f"{task.id}: nothing begins a {task.task_type}"
    yield from operator.begin(draft, place, task)

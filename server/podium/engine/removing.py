"""Removing what a former run left, in portions of a transition, and beginning the run anew.

While that goes on a cursor is on the way and the header says from where the run shall begin, so an
execution that ends meanwhile takes it up again when it goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from podium.engine.caching import named
from podium.engine.evaluation import evaluate_map
from podium.engine.gate import FROM_THE_START
from podium.engine.gathering import latest
from podium.engine.graph import NONE
from podium.engine.operators.do_while import items_of, progress
from podium.engine.operators.table import operator_for
from podium.engine.reach import behind
from podium.engine.schedule import (
    await_again,
    definition_of,
    draft_task,
    locate,
    queued,
    want_domains,
)
from podium.engine.secret import INPUT
from podium.engine.settle import enter
from podium.engine.state import known_tasks
from podium.engine.work import Step
from podium.model.execution import JoinRecord, TaskStatus
from podium.model.payload import Payload

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import RerunRecord, TaskRecord


def remove_left(draft: State, rerun: RerunRecord) -> Asking[bool]:
    """Remove what the transition holds of it; True when nothing is left. All is at hand."""
    if rerun.key == FROM_THE_START:
        return remove_all(draft)
    start = latest(draft, rerun.key)
    assert start is not None, rerun.key
    reach = yield from behind(draft, start)
    for key in reversed(reach.keys):  # so that the rest is still found from the start
        if draft.full:
            return False
        task = latest(draft, key)
        if task is not None and task.status is not TaskStatus.SKIPPED:
            draft.remove(task)
    if latest(draft, draft.head.last_key) is None:
        rest = [each for each in known_tasks(draft) if each.status is not TaskStatus.SKIPPED]
        newest = max(rest, key=lambda each: each.seq)  # the task to begin from is one of them
        draft.header = replace(draft.head, last_key=newest.key)
    for key, number in reach.loops.items():
        yield from go_back(draft, key, number)
    return True


def remove_all(draft: State) -> bool:
    """Every record of the execution."""
    for task in known_tasks(draft):
        if draft.full:
            return False
        draft.remove(task)
    for key in [*draft.joins.known, *draft.joins.changed]:
        draft.joins.changed[key] = None
    for key in [*draft.branches.known, *draft.branches.changed]:
        draft.branches.changed[key] = None
    return True


def go_back(draft: State, key: str, number: int) -> Asking[None]:
    """The loop is in that iteration again. Its list is evaluated anew, so it may have changed."""
    loop = latest(draft, key)
    assert loop is not None, key
    place = yield from locate(draft, loop)
    value = yield from evaluate_map(draft, place.node.template, task_id=loop.id, place=place)
    items = yield from items_of(draft, place, value)
    if items is not None and len(items) < number:
        items = None
    await_again(draft, place, replace(loop, output=Payload.of(progress(number, items))))
    known = draft.joins.before(key)
    newest = newest_in(draft, known.latest if known else {})
    draft.joins.changed[key] = JoinRecord(key=key, open_count=0, loop=True, latest=newest)


def newest_in(draft: State, known: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Reference → iteration path of its newest task that is left."""
    found: dict[str, TaskRecord] = {}
    for task in known_tasks(draft):
        if task.ref in known and (task.ref not in found or task.seq > found[task.ref].seq):
            found[task.ref] = task
    return {ref: task.iteration for ref, task in found.items()}


def begin_anew(draft: State, rerun: RerunRecord) -> Asking[None]:
    """Nothing is left of the former run: begin."""
    draft.header = replace(draft.head, rerun=None)
    if rerun.key == FROM_THE_START:
        begin_whole(draft)
    elif rerun.anew:
        start = latest(draft, rerun.key)
        assert start is not None, rerun.key
        place = yield from locate(draft, start)
        draft.remove(start)
        draft.branches.changed.pop(start.branch, None)  # its branch stays
        yield from run_again(draft, place, start)


def begin_whole(draft: State) -> None:
    """As a start does (S-084)."""
    definition = draft.graph.definition
    draft.header = replace(
        draft.head,
        next_seq=1,
        task_count=0,
        last_key="",
        last_retried_ms=0,
    )
    draft.variables = Payload.of(definition.variables)
    kept = tuple(mark for mark in draft.head.secrets if mark.path[0] == INPUT)
    draft.header = replace(draft.head, secrets=kept)
    run_root(draft)


def run_root(draft: State) -> None:
    """Put the first task on the list."""
    if draft.graph.root != NONE:
        draft.later.append(Step("run", draft.graph.root))


def run_again(draft: State, place: Place, former: TaskRecord) -> Asking[None]:
    """The task, from its beginning. What workers and timers do has the input it had, or was given;
    what decides the flow reads its parameters again (S-113 to S-115). It runs, whatever the cache
    holds.
    """
    operator = operator_for(place, former)
    if not takes_input(former, place):
        yield from operator.run(draft, place)
        return
    task = draft_task(draft, place, former.task_type, former.def_name)
    task = replace(task, retry_count=former.retry_count, task_def=former.task_def)
    task = replace(task, secrets=former.secrets)
    if former.queue is not None:
        task_def = definition_of(place, former)
        yield from want_domains(draft, former.task_type)
        task = queued(draft, place, task, task_def=task_def, delay_ms=0)
        task = yield from named(draft, place, task, former.input.value)
    yield from enter(draft, place, task, former.input.value)
    entered = latest(draft, task.key)
    if operator.begin is not None and entered is not None and not entered.status.terminal:
        yield from operator.begin(draft, place, entered)


def takes_input(task: TaskRecord, place: Place) -> bool:
    """Whether a task can run on an input that was given."""
    if task.queue is not None:
        return True
    return operator_for(place, task).begin is not None

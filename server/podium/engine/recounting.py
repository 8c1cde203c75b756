"""Counters of an execution that goes on, made anew from its records, and what follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from podium.engine.gathering import DYNAMIC_FORK, LOOP, forked_of, latest, members_of
from podium.engine.graph import NONE, SWITCHES
from podium.engine.identity import task_key
from podium.engine.operators.exclusive_join import EXCLUSIVE_JOIN_TYPE
from podium.engine.operators.switch import HAS_CHILDREN
from podium.engine.pausing import waiting_for
from podium.engine.schedule import locate
from podium.engine.settle import TERMINATE, counter_of, is_final, note_permissive, tally
from podium.engine.skipping import next_of
from podium.engine.state import COUNTED, UNKNOWN
from podium.engine.work import Step
from podium.model.execution import JoinRecord, TaskStatus

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord


def recount(draft: State) -> Asking[None]:
    """Counters from the records, and the steps that the end had cut off."""
    settle_old(draft)
    tasks = waiting_for(draft, lambda _: True)
    draft.header = replace(
        draft.head,
        open_count=sum(not is_final(task) for task in tasks),
        permissive_failures=(),
        permissive_failure_count=0,
    )
    for task in tasks:
        place = yield from locate(draft, task)
        if not task.status.terminal:
            if task.task_type in COUNTED:
                count_anew(draft, place, task)
            continue
        settled_before(draft, place, task)


def settle_old(draft: State) -> None:
    """What had ended unsettled before the end is looked at by this recount, and counts in it,
    whatever the order of the tasks; what ended since, while nothing went on, is settled when it
    does.
    """
    since_ms = draft.head.last_retried_ms
    for task in waiting_for(draft, lambda task: task.unsettled and task.end_ms <= since_ms):
        draft.reopen(replace(task, unsettled=False))


def settled_before(draft: State, place: Place, task: TaskRecord) -> None:
    """What an ended task led to. One that was made in this very decision has its steps."""
    if not is_final(task):
        return  # it is not settled yet, or failed again at once and is tried again
    if not task.status.successful:
        note_permissive(draft, task)
    before = draft.tasks.before(task.key)
    if before is not None and before.id == task.id:
        follow(draft, place, task)


def count_anew(draft: State, place: Place, task: TaskRecord) -> None:
    """The counter of a task that waits for others."""
    if task.task_type == LOOP:
        known = draft.joins.look(task.key)
        inside = waiting_for(draft, lambda each: each.loop == task.key)
        counter = JoinRecord(
            key=task.key,
            open_count=len(inside),
            loop=True,
            latest=known.latest if known and known is not UNKNOWN else {},
        )
        for each in filter(is_final, inside):
            counter = tally(counter, each)
        draft.joins.changed[task.key] = counter
        draft.loops.append(task.key)
        return
    exclusive = task.task_type == EXCLUSIVE_JOIN_TYPE
    refs = place.node.members if exclusive else members_of(task)
    keys = [task_key(ref, task.iteration) for ref in refs]
    counter = counter_of(draft, task.key, keys, exclusive=exclusive)
    draft.joins.changed[task.key] = counter
    if exclusive or counter.open_count == 0:
        draft.later.append(Step("close", key=task.key))


def follow(draft: State, place: Place, task: TaskRecord) -> None:
    """Schedule what should have followed from an ended task and is not there."""
    node, graph = place.node, place.graph
    kind = node.task.type
    if task.task_type == TERMINATE or task.status is TaskStatus.SKIPPED:
        return  # behind a skipped task goes on what stands before it
    if kind == DYNAMIC_FORK:
        follow_dynamic(draft, place, task)
        return
    ahead = [node.next]
    if kind == "FORK_JOIN":
        ahead = [*node.branches, node.join]
    elif kind in SWITCHES and task.input.value.get(HAS_CHILDREN) == "true":
        chosen = node.cases.get(str(task.input.value.get("case")), NONE)
        ahead = [node.default if chosen == NONE else chosen]
    for index in ahead:
        reached = next_of(draft, place, index)
        if reached == NONE:
            continue
        if latest(draft, task_key(graph.nodes[reached].ref, task.iteration)) is None:
            draft.later.append(Step("run", reached, place.branch, place.iteration))


def follow_dynamic(draft: State, place: Place, fork: TaskRecord) -> None:
    """Branches are made in their order, so those behind the first that is missing are, too."""
    node = place.node
    keys = [task_key(ref, fork.iteration) for ref in forked_of(fork)]
    there = [latest(draft, key) is not None for key in keys]
    if not all(there):
        step = Step("branches", node.index, place.branch, place.iteration, fork.key)
        draft.later.append(replace(step, first=there.index(False)))
    join = task_key(place.graph.nodes[node.join].ref, fork.iteration)
    if latest(draft, join) is None:
        step = Step("join", node.join, place.branch, place.iteration, fork.key)
        draft.later.append(step)
        draft.joins.changed[join] = counter_of(draft, join, keys)

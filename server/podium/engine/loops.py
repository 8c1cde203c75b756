"""Between two iterations of a DO_WHILE: its condition, the next one or its end (S-397 to S-408).

A loop is looked at when no task of its iteration is open and nothing else is left to decide: then
all that could follow within the iteration has been scheduled. Nothing here looks at former
iterations, but for a condition that reads them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.evaluation import evaluate_map
from podium.engine.gathering import (
    DYNAMIC_FORK,
    GATHERING,
    ITERATION,
    OutputTooLarge,
    gather,
    iteration_members,
    iteration_of,
    keep_last_of,
    latest,
    want_parts,
)
from podium.engine.operators.do_while import items_of, progress
from podium.engine.operators.instant import evaluated
from podium.engine.reading import WHOLE
from podium.engine.report import cut
from podium.engine.schedule import locate, shown
from podium.engine.settle import settle_at
from podium.engine.state import want_join, want_task
from podium.engine.work import Step
from podium.model.execution import TaskStatus
from podium.model.payload import Payload

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord
    from podium.model.payload import JsonObject, JsonValue

OWN_NAMES: Final = (ITERATION, "loopIndex", "loopItem")
OWN_NAME: Final = "|".join(OWN_NAMES)
OWN_ENTRY: Final = (
    rf"""(?:['"]\s*\])?\s*(?:\.\s*(?:{OWN_NAME})\b|\[\s*['"](?:{OWN_NAME})['"]\s*\])"""
)
"""What follows the loop's reference where a condition reads one of the loop's own entries."""


class ConditionFailed(Exception):
    """The condition gave no answer; the text says why."""


def iterate(draft: State, key: str) -> Asking[None]:
    """No task of the present iteration is open: the next one, or the end of the loop."""
    loop = yield from want_join(draft, key)
    task = yield from want_task(draft, key)
    if loop is None or loop.open_count or task is None or task.status.terminal:
        return
    place = yield from locate(draft, task)
    number = iteration_of(task)
    if loop.failed_count:  # S-402: a permissive task failed
        reason = " ".join((*loop.reasons, ""))
        yield from end(draft, place, task, TaskStatus.FAILED, reason)
        return
    kept = keep_last_of(task)
    if kept and number > kept:
        draft.later.append(Step("prune", key=key, first=number - kept))
    try:
        another, items = yield from goes_on(draft, place, task)
    except (ConditionFailed, OutputTooLarge) as failure:
        condition = shown(place.node.task.loop_condition)
        reason = f"Unable to evaluate condition {condition}, exception {failure}"
        yield from end(draft, place, task, TaskStatus.FAILED_WITH_TERMINAL_ERROR, reason)
        return
    if not another:
        yield from end(draft, place, task, TaskStatus.COMPLETED, None)
        return
    output = Payload.of(progress(number + 1, items))
    draft.put(task, replace(task, output=output, update_ms=draft.now_ms))
    draft.later.append(Step("run", place.node.body, place.branch, (*place.iteration, number + 1)))


def end(
    draft: State, place: Place, task: TaskRecord, status: TaskStatus, reason: str | None
) -> Asking[None]:
    """The loop is over; its output keeps what the last iteration said (S-412)."""
    done = replace(task, status=status, reason=cut(reason), end_ms=draft.now_ms, deadlines=())
    yield from settle_at(draft, place, draft.put(task, done))


def goes_on(
    draft: State, place: Place, task: TaskRecord
) -> Asking[tuple[bool, list[JsonValue] | None]]:
    """Whether there is another iteration, and the items of a loop that has a list. They are
    evaluated anew, so they may have changed (S-406, S-407). Raises ConditionFailed.
    """
    value = yield from evaluate_map(draft, place.node.template, task_id=task.id, place=place)
    items = yield from items_of(draft, place, value)
    if items is not None and iteration_of(task) >= len(items):
        return False, items
    condition = place.node.task.loop_condition
    if condition is None or not condition.strip():
        return items is not None, items  # S-400
    given = {**value, **(yield from condition_input(draft, place, task, condition))}
    seed = f"{task.id}:{iteration_of(task)}"
    found = yield from evaluated(draft, "javascript", condition, given, seed)
    if found.error:
        raise ConditionFailed(found.error)
    return holds(found.value), items


def holds(value: JsonValue) -> bool:
    """S-349: true, or a number above 0."""
    if isinstance(value, bool):
        return value
    return isinstance(value, int | float) and value > 0


def condition_input(
    draft: State, place: Place, task: TaskRecord, condition: str
) -> Asking[JsonObject]:
    """What a condition sees beside the parameters (S-399): the loop's own entries, the loop's
    output, and the outputs of this iteration's tasks. What its text does not name is not made.
    """
    given: JsonObject = {
        name: task.output.value[name] for name in OWN_NAMES[1:] if name in task.output.value
    }
    own = re.findall(word(task.ref) + OWN_ENTRY, condition)
    entry = ITERATION if len(own) == len(re.findall(word(task.ref), condition)) else WHOLE
    nodes = [place.graph.nodes[at] for at in place.graph.loops.regions[place.node.index]]
    read = [(task, entry)]
    if any(node.task.type == DYNAMIC_FORK or named(node.ref, condition) for node in nodes):
        members = yield from iteration_members(draft, place, iteration_of(task))
        read += [(each, WHOLE) for each in members if named(each.ref, condition)]
    parts = yield from want_parts(draft, read)
    for member, _ in read:
        gathers = member.task_type in GATHERING
        given[member.ref] = (
            gather(member, parts, lambda key: latest(draft, key))
            if gathers
            else member.output.value
        )
    return given


def word(ref: str) -> str:
    """The pattern of a reference as a word of its own."""
    return rf"(?<!\w){re.escape(ref)}(?!\w)"


def named(ref: str, condition: str) -> bool:
    """Whether the condition's text names the task."""
    return re.search(word(ref), condition) is not None


def prune(draft: State, step: Step) -> Asking[None]:
    """Remove an iteration that the loop no longer keeps (S-408), innermost tasks first, as many as
    one transition holds.
    """
    task = yield from want_task(draft, step.key)
    if task is None:
        return
    place = yield from locate(draft, task)
    members = yield from iteration_members(draft, place, step.first, deep=True)
    for member in reversed(members):
        if draft.full:
            draft.later.append(step)
            return
        draft.remove(member)

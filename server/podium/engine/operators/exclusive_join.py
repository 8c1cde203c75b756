"""EXCLUSIVE_JOIN: goes on as soon as the one task that ran of several has ended (S-389 to S-392).

Never polled: its counter in the store says which member it waits for, and that member's own commit
closes it. Members are looked at when it opens and at most once again, when the first one comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.evaluation import want_gathered
from podium.engine.gathering import GATHERING, latest
from podium.engine.identity import task_key
from podium.engine.operators.operator import Operator
from podium.engine.schedule import (
    draft_task,
    under_way,
)
from podium.engine.settle import enter, is_final, settle_at
from podium.engine.state import want_join, want_tasks
from podium.model.execution import JoinRecord, TaskStatus
from podium.model.payload import EMPTY, Payload

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord
    from podium.model.payload import JsonObject, JsonValue

EXCLUSIVE_JOIN_TYPE: Final = "EXCLUSIVE_JOIN"


def run(draft: State, place: Place) -> Asking[None]:
    """Open the join, or close it at once where the task that ran has ended."""
    task = opened(draft, place)
    yield from enter(draft, place, task, input_of(place))
    entered = latest(draft, task.key)
    if entered is not None and not entered.status.terminal:
        keys = tuple(keys_of(place, *place.node.members))
        yield from want_tasks(draft, keys)
        waiting = sum(not is_final(latest(draft, key)) for key in keys)
        draft.joins.changed[task.key] = JoinRecord(key=task.key, open_count=waiting, exclusive=True)
        yield from decide(draft, place, entered)


def opened(draft: State, place: Place) -> TaskRecord:
    """The record: IN_PROGRESS from the start."""
    task = draft_task(draft, place, EXCLUSIVE_JOIN_TYPE, place.node.task.name)
    return under_way(draft, place, task)


def input_of(place: Place) -> JsonObject:
    """What it waits for, and what it takes where none of that ran."""
    template = place.node.task
    joined: list[JsonValue] = [*template.join_on]
    value: JsonObject = {"joinOn": joined}
    if template.default_exclusive_join_task:
        value["defaultExclusiveJoinTask"] = [*template.default_exclusive_join_task]
    return value


def keys_of(place: Place, *refs: str) -> list[str]:
    """Keys of these references in the join's own iteration."""
    return [task_key(ref, place.iteration) for ref in refs]


def decide(draft: State, place: Place, task: TaskRecord) -> Asking[None]:
    """End as the task that ran has ended; wait for it where it runs; else as the default that ended
    (S-391 takes a default also while the task runs); else wait for any of them.
    """
    template = place.node.task
    joined = yield from present(draft, keys_of(place, *template.join_on))
    defaults = yield from present(draft, keys_of(place, *template.default_exclusive_join_task))
    chosen = joined[0] if joined else next(filter(is_final, defaults), None)
    join = yield from want_join(draft, task.key)
    if chosen is not None and is_final(chosen):
        yield from end_as(draft, place, task, chosen)
    elif chosen is not None and join is not None:
        draft.joins.changed[task.key] = replace(join, awaited=chosen.key)
    elif join is not None and join.open_count == 0:
        yield from settle_at(draft, place, ended_as(draft, task, None, EMPTY))


def present(draft: State, keys: list[str]) -> Asking[list[TaskRecord]]:
    """Those of these tasks that were scheduled and not skipped."""
    yield from want_tasks(draft, tuple(keys))
    found = [latest(draft, key) for key in keys]
    return [task for task in found if task and task.status is not TaskStatus.SKIPPED]


def end_as(draft: State, place: Place, task: TaskRecord, chosen: TaskRecord) -> Asking[None]:
    """COMPLETED with the chosen task's output, or FAILED for its reason (S-390)."""
    output = chosen.output
    if chosen.task_type in GATHERING:
        output = Payload.of((yield from want_gathered(draft, chosen)))
    yield from settle_at(draft, place, ended_as(draft, task, chosen, output))


def ended_as(
    draft: State, task: TaskRecord, chosen: TaskRecord | None, output: Payload
) -> TaskRecord:
    """The record as it ends; nothing chosen = every member was skipped."""
    done = replace(task, end_ms=draft.now_ms, deadlines=())
    if chosen is not None and not chosen.status.successful:
        return draft.put(task, replace(done, status=TaskStatus.FAILED, reason=chosen.reason))
    completed = replace(done, status=TaskStatus.COMPLETED, output=output)
    return draft.put(task, completed)


EXCLUSIVE_JOIN: Final = Operator(run)

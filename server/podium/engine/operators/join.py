"""JOIN: waits until all its members are final, by a counter that their own commits lower.

It is never polled. Its output is not stored: evaluation.py assembles it when something reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.identity import task_key
from podium.engine.limits import REASON_CHARS_LIMIT
from podium.engine.operators.exclusive_join import decide
from podium.engine.operators.operator import Operator
from podium.engine.schedule import (
    draft_task,
    locate,
    under_way,
)
from podium.engine.settle import (
    counter_of,
    enter,
    settle_at,
)
from podium.engine.state import want_join, want_task, want_tasks
from podium.engine.work import Step
from podium.model.execution import TaskStatus

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.payload import JsonObject, JsonValue

JOIN_TYPE: Final = "JOIN"
JOIN_ON: Final = "joinOn"


def run(draft: State, place: Place) -> Asking[None]:
    """Open the join of a static fork: count the members that are not final yet (S-375, S-385)."""
    node = place.node
    members: list[JsonValue] = [*node.members]
    yield from open_join(draft, place, {JOIN_ON: members}, def_name=node.task.name)
    key = task_key(node.ref, place.iteration)
    keys = tuple(task_key(ref, place.iteration) for ref in node.members)
    yield from want_tasks(draft, keys)
    join = draft.joins.changed[key] = counter_of(draft, key, keys)
    if join.open_count == 0:
        draft.later.append(Step("close", key=key))


def run_dynamic(draft: State, place: Place, fork_key: str) -> Asking[None]:
    """Open the join of a dynamic fork, whose counter the fork made (S-369, S-370)."""
    fork = yield from want_task(draft, fork_key)
    assert fork is not None, fork_key
    value: JsonObject = dict(place.node.task.input_parameters)
    value[JOIN_ON] = fork.input.value.get("forkedTasks", [])
    yield from open_join(draft, place, value, def_name=JOIN_TYPE)
    key = task_key(place.node.ref, place.iteration)
    join = yield from want_join(draft, key)
    if join is not None and join.open_count == 0:
        draft.later.append(Step("close", key=key))


def open_join(draft: State, place: Place, input_: JsonObject, *, def_name: str) -> Asking[None]:
    """The record of a join: IN_PROGRESS from the start."""
    task = draft_task(draft, place, JOIN_TYPE, def_name)
    yield from enter(draft, place, under_way(draft, place, task), input_)


def close(draft: State, key: str) -> Asking[None]:
    """All members are final: end the join as they ended (S-380 to S-382); an exclusive one as the
    member that ran.
    """
    join = yield from want_join(draft, key)
    task = yield from want_task(draft, key)
    if join is None or task is None or task.status.terminal:
        return
    place = yield from locate(draft, task)
    if join.exclusive:
        yield from decide(draft, place, task)
        return
    status, reason = TaskStatus.COMPLETED, None
    if join.failed_count:
        canceled = join.canceled_count == join.failed_count
        status = TaskStatus.CANCELED if canceled else TaskStatus.FAILED
        reason = " ".join(join.reasons)
    elif join.with_errors:
        status = TaskStatus.COMPLETED_WITH_ERRORS
        reason = f"{' '.join(join.forgiven)} completed with errors"
    done = replace(
        task,
        status=status,
        reason=reason[:REASON_CHARS_LIMIT] if reason else None,
        end_ms=draft.now_ms,
        deadlines=(),
        forgiven=place.node.task.optional and join.with_errors,
    )
    yield from settle_at(draft, place, draft.put(task, done))


JOIN: Final = Operator(run)

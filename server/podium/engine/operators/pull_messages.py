"""PULL_WORKFLOW_MESSAGES: takes messages that were pushed to the execution (S-485)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.gathering import latest
from podium.engine.inbox import PULL, blocks, has_messages, served, wait_for_message
from podium.engine.operators.instant import parameters
from podium.engine.operators.operator import Operator
from podium.engine.schedule import draft_task, under_way
from podium.engine.settle import enter, settle_at

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord


def run(draft: State, place: Place) -> Asking[None]:
    """Record the task; it ends at once where there is a message, or where it does not wait."""
    task = draft_task(draft, place, PULL, place.node.task.name)
    value = yield from parameters(draft, place, task)
    yield from enter(draft, place, under_way(draft, place, task), value)
    entered = latest(draft, task.key)
    if entered is not None and not entered.status.terminal:
        yield from receive(draft, place, entered)


def begin(draft: State, place: Place, task: TaskRecord) -> Asking[None]:
    """The delay of a retry is over."""
    now = under_way(draft, place, replace(task, update_ms=draft.now_ms))
    yield from receive(draft, place, draft.put(task, now))


def receive(draft: State, place: Place, task: TaskRecord) -> Asking[None]:
    """Take what there is, or wait."""
    if blocks(task) and not has_messages(draft):
        wait_for_message(draft, task)
        return
    done = draft.put(task, (yield from served(draft, task)))
    yield from settle_at(draft, place, done)


PULL_MESSAGES: Final = Operator(run, parameters, begin)

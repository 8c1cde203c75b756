"""Deciding an execution again from its records: its counters, and all that follows from them.

Every commit decides what follows from it, so in a sound execution nothing changes. Where something
was lost, the counters are made anew, ended tasks are settled and their successors scheduled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from podium.engine.command import Outcome, Verdict
from podium.engine.gate import is_shut
from podium.engine.pausing import release, waiting_for
from podium.engine.recounting import recount
from podium.engine.settle import is_final
from podium.engine.state import want_all
from podium.engine.work import Step
from podium.model.execution import WorkflowStatus

if TYPE_CHECKING:
    from podium.engine.state import Asking, State
    from podium.model.execution import JoinRecord, TaskRecord


def repair(draft: State) -> Asking[Outcome]:
    """NOOP where it is not running, waits at its gate, or its last decision is being continued."""
    header = draft.head
    going_on = header.pending or header.rerun is not None
    if header.status is not WorkflowStatus.RUNNING or is_shut(header) or going_on:
        return Outcome(Verdict.NOOP)
    yield from want_all(draft)
    yield from recount(draft)
    for task in waiting_for(draft, is_unsettled):
        draft.later.append(Step("settle", key=task.key))
    yield from release(draft)
    return Outcome(Verdict.OK)


def is_unsettled(task: TaskRecord) -> bool:
    """It ended, and what follows was never decided; what ended in a pause is `release`'s."""
    return task.status.terminal and not task.unsettled and not is_final(task)


def drop_what_is_equal(draft: State) -> None:
    """What was made anew and is as it was is no change. Reasons are kept in the order they came."""
    for key, join in list(draft.joins.changed.items()):
        before = draft.joins.before(key)
        if before is not None and join is not None and counts(before) == counts(join):
            del draft.joins.changed[key]
    for key, task in list(draft.tasks.changed.items()):
        if task is not None and task == draft.tasks.before(key):
            del draft.tasks.changed[key]
    stored, header = draft.stored_header, draft.header
    if stored is None or header is None:
        return
    if header.permissive_failure_count == stored.permissive_failure_count:
        header = replace(header, permissive_failures=stored.permissive_failures)
    draft.header = stored if header == stored else header


def counts(join: JoinRecord) -> tuple[object, ...]:
    """What of a counter is decided by. Of a loop: whether tasks are open, and whether one failed in
    spite of being permissive (S-402); what was forgiven goes with the iterations that are pruned.
    """
    if join.loop:
        return join.open_count, join.failed_count
    return (
        join.open_count,
        join.with_errors,
        join.failed_count,
        join.canceled_count,
        join.exclusive,
        join.awaited,
    )

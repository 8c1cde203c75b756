"""What follows when a task has ended: a retry, the next task, a step of its joins, or the end.

A task is final when no retry follows: it was successful (forgiven optional ones are) or gave up.
Becoming final happens once per task: it lowers the header's and its joins' counters and leads on
to the successor. Nothing here looks at any other task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.enforce import admitted, is_checked, judged
from podium.engine.gate import is_shut
from podium.engine.gathering import latest
from podium.engine.graph import NONE
from podium.engine.identity import reference_in, task_key
from podium.engine.lifecycle import workflow_status_of
from podium.engine.limits import NOTED_LIMIT, PAYLOAD_BYTES_LIMIT
from podium.engine.retry import gives_up_for_time, may_retry
from podium.engine.schedule import (
    EndExecution,
    definition_of,
    failed_at_once,
    locate,
    marked,
    too_large,
)
from podium.engine.state import State, want_branch, want_join, want_task
from podium.engine.work import Step
from podium.model.execution import JoinRecord, TaskRecord, TaskStatus, WorkflowStatus
from podium.model.payload import Payload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium.engine.graph import Place
    from podium.engine.state import Asking
    from podium.model.payload import JsonObject

NAMED_FAILURES: Final = frozenset({TaskStatus.FAILED, TaskStatus.FAILED_WITH_TERMINAL_ERROR})
"""Statuses whose tasks a workflow lists by name; TIMED_OUT is not among them (S-134)."""
TERMINATE: Final = "TERMINATE"
JOIN: Final = "JOIN"
JOINS: Final = frozenset({JOIN, "EXCLUSIVE_JOIN"})
SUB_WORKFLOW: Final = "SUB_WORKFLOW"


def settle(draft: State, key: str) -> Asking[None]:
    """Decide what follows from the task `key`, which has ended in this draft.

    Raises EndExecution when it ends the workflow.
    """
    task = yield from want_task(draft, key)
    assert task is not None, key
    assert task.status.terminal, task.id
    place = yield from locate(draft, task)
    if is_checked(place, task) and not judged_before(draft, task):
        task = yield from judged(draft, place, task)
    header = draft.head
    if header.status is WorkflowStatus.PAUSED or (header.gate is not None and is_shut(header)):
        draft.put(task, replace(task, unsettled=True))
        return
    yield from follow(draft, place, task)


def settle_at(draft: State, place: Place, task: TaskRecord) -> Asking[None]:
    """`settle` of a task whose place is known and that has ended just now."""
    if is_checked(place, task):
        task = yield from judged(draft, place, task)
    yield from follow(draft, place, task)


def judged_before(draft: State, task: TaskRecord) -> bool:
    """Whether it ended in a pause, which is over now: it was judged when it ended."""
    return draft.tasks.before(task.key) == replace(task, unsettled=True)


def follow(draft: State, place: Place, task: TaskRecord) -> Asking[None]:
    """What comes of a task that has ended and was judged."""
    if task.status.successful:
        yield from finalise(draft, place, task)
    else:
        yield from unsuccessful(draft, place, task)


def enter(draft: State, place: Place, task: TaskRecord, input_: JsonObject) -> Asking[None]:
    """Put a new record with its input into the draft; where it has ended already, decide what
    follows at once, so that no join sees it before it was counted.
    """
    task = yield from add(draft, place, task, input_)
    if task.loop:
        yield from count_in(draft, place, task)
    if task.status.terminal:
        yield from settle_at(draft, place, task)


def add(draft: State, place: Place, task: TaskRecord, input_: JsonObject) -> Asking[TaskRecord]:
    """Put a new record with its input into the draft: as it is, or failed where that input is over
    the limit or does not fit its schema.
    """
    encoded = Payload.of(input_)
    if len(encoded) > PAYLOAD_BYTES_LIMIT:
        task = failed_at_once(draft, task, too_large("task input", len(encoded)))
    else:
        task = marked(draft, replace(task, input=encoded))
        if is_checked(place, task):
            task = yield from admitted(draft, place, task)
    draft.create(task)
    return task


def choose(
    draft: State, place: Place, task: TaskRecord, input_: JsonObject, *, first: int
) -> Asking[None]:
    """`enter` of a choice that is made: the node `first` follows in this very pass; where it is
    NONE, what stands after the choice.
    """
    task = yield from add(draft, place, task, input_)
    if is_checked(place, task):
        task = yield from judged(draft, place, task)
    if task.loop:
        yield from count_in(draft, place, task)
    if not task.status.successful:
        yield from settle_at(draft, place, task)
        return
    yield from count_final(draft, place, task)
    if first != NONE:
        draft.now.append(Step("run", first, place.branch, place.iteration))
    else:
        lead_on(draft, place, task)


def unsuccessful(draft: State, place: Place, task: TaskRecord) -> Asking[None]:
    """Retry, forgive, or give up (S-215 to S-219)."""
    task_def, template = definition_of(place, task), place.node.task
    if may_retry(task, place.node.task, task_def):
        late = gives_up_for_time(task, task_def, draft.now_ms)
        if late is None:
            note_failure(draft, task)
            draft.later.append(Step("retry", key=task.key))
            return
        no_longer_open(draft, give_up(draft, task))
        raise EndExecution(late, workflow_status_of(task.status), task)
    if template.optional:
        forgiven = draft.put(
            task, replace(task, status=TaskStatus.COMPLETED_WITH_ERRORS, forgiven=True)
        )
        yield from finalise(draft, place, forgiven)
        return
    task = give_up(draft, task)
    if not template.permissive:
        no_longer_open(draft, task)
        if task.task_type == SUB_WORKFLOW:
            yield from fail_joins(draft, place, task)
        status = workflow_status_of(task.status)
        raise EndExecution(failure_text(task, status.value), status, task)
    note_permissive(draft, task)
    yield from finalise(draft, place, task)


def fail_joins(draft: State, place: Place, child: TaskRecord) -> Asking[None]:
    """The joins of a child that failed fail before the workflow does (S-380, S-386)."""
    for key in (yield from joins_of(draft, place)):
        task = yield from want_task(draft, key)
        if task is None or task.status.terminal or task.task_type != JOIN:
            continue
        canceled = child.status is TaskStatus.CANCELED
        status = TaskStatus.CANCELED if canceled else TaskStatus.FAILED
        failed = replace(
            task, status=status, reason=child.reason, end_ms=draft.now_ms, deadlines=()
        )
        no_longer_open(draft, give_up(draft, draft.put(task, failed)))


def no_longer_open(draft: State, task: TaskRecord) -> None:
    """The task is final or cancelled: it is counted no more, and as a join counts no more."""
    header = draft.head
    draft.header = replace(header, open_count=header.open_count - 1)
    if task.task_type in JOINS:
        draft.joins.changed[task.key] = None


def give_up(draft: State, task: TaskRecord) -> TaskRecord:
    """No retry follows, and it is not forgiven."""
    note_failure(draft, task)
    return draft.put(task, replace(task, gave_up=True))


def failure_text(task: TaskRecord, status: str) -> str:
    """S-230 with the task's status, S-241 with the workflow's."""
    return f"Task {task.id} failed with status: {status} and reason: '{task.reason or 'null'}'"


def note_failure(draft: State, task: TaskRecord) -> None:
    """Keep the names of failed tasks, the first few (S-133)."""
    header = draft.head
    ref = reference_in(task.ref, task.iteration)
    if task.status not in NAMED_FAILURES or ref in header.failed_refs:
        return
    if len(header.failed_refs) < NOTED_LIMIT:
        names = header.failed_names
        if task.def_name not in names:
            names = (*names, task.def_name)
        draft.header = replace(header, failed_refs=(*header.failed_refs, ref), failed_names=names)


def note_permissive(draft: State, task: TaskRecord) -> None:
    """Keep why the workflow will fail at its end (S-230), the first few reasons."""
    header = draft.head
    kept = header.permissive_failures
    if len(kept) < NOTED_LIMIT:
        kept = (*kept, failure_text(task, task.status.value))
    draft.header = replace(
        header,
        permissive_failures=kept,
        permissive_failure_count=header.permissive_failure_count + 1,
    )


def finalise(draft: State, place: Place, task: TaskRecord) -> Asking[None]:
    """The task is final: count it, tell its joins, schedule its successor."""
    yield from count_final(draft, place, task)
    lead_on(draft, place, task)


def count_in(draft: State, place: Place, task: TaskRecord) -> Asking[None]:
    """A new task in the body of a loop: its iteration waits for it, and expressions read it."""
    loop = yield from want_join(draft, task.loop)
    assert loop is not None, f"{task.id}: no counter of its loop"
    draft.joins.changed[task.loop] = replace(loop, open_count=loop.open_count + 1)
    outermost = place.graph.loops.outermost.get(task.ref)
    if outermost is not None:
        base = task.iteration[: len(task.iteration) - place.node.loop_depth]
        key = task_key(outermost, base)
        outer = yield from want_join(draft, key)
        assert outer is not None, f"{task.id}: no counter of {outermost}"
        latest = {**outer.latest, task.ref: task.iteration}
        draft.joins.changed[key] = replace(outer, latest=latest)


def count_final(draft: State, place: Place, task: TaskRecord) -> Asking[None]:
    """Lower the counters that wait for the task."""
    no_longer_open(draft, task)
    if task.loop:
        yield from count_member(draft, task.loop, task)
    if place.branch or task.ref in place.graph.joins_by_ref:
        for key in (yield from joins_of(draft, place)):
            yield from count_member(draft, key, task)


def lead_on(draft: State, place: Place, task: TaskRecord) -> None:
    """What comes after a final task, in the next pass."""
    node = place.node
    if task.task_type == TERMINATE and task.status is TaskStatus.COMPLETED:
        draft.header = replace(draft.head, terminate_key=task.key)
    elif node.next != NONE:
        draft.later.append(Step("run", node.next, place.branch, place.iteration))


def joins_of(draft: State, place: Place) -> Asking[list[str]]:
    """Keys of the joins that name this task."""
    ref, iteration = place.node.ref, place.iteration
    graphs = [place.graph] if place.graph is draft.graph else [place.graph, draft.graph]
    keys = [
        task_key(graph.nodes[join].ref, iteration)
        for graph in graphs
        for join in graph.joins_by_ref.get(ref, ())
    ]
    if place.branch and place.node.index == 0:
        branch = yield from want_branch(draft, place.branch)
        keys.append(branch.join_key)
    return keys


def count_member(draft: State, key: str, task: TaskRecord) -> Asking[None]:
    """One member of the join `key` became final."""
    join = yield from want_join(draft, key)
    if join is None:  # not scheduled yet: it will see the task as it is; or already ended
        return
    join = tally(join, task)
    draft.joins.changed[key] = join
    if join.loop:
        if join.open_count == 0:
            draft.loops.append(key)
    elif join.open_count == 0 or (join.exclusive and join.awaited in ("", task.key)):
        draft.later.append(Step("close", key=key))


def tally(join: JoinRecord, task: TaskRecord) -> JoinRecord:
    """The counter with one more final member (S-380 to S-382)."""
    with_errors, forgiven, reasons = join.with_errors, join.forgiven, join.reasons
    failed, canceled = join.failed_count, join.canceled_count
    if task.forgiven:
        with_errors = True
        if len(forgiven) < NOTED_LIMIT:
            forgiven = (*forgiven, f"{task.def_name}/{task.id}")
    elif not task.status.successful:
        failed += 1
        canceled += task.status is TaskStatus.CANCELED
        if task.reason and len(reasons) < NOTED_LIMIT:
            reasons = (*reasons, task.reason)
    return JoinRecord(
        key=join.key,
        open_count=join.open_count - 1,
        with_errors=with_errors,
        failed_count=failed,
        canceled_count=canceled,
        reasons=reasons,
        forgiven=forgiven,
        exclusive=join.exclusive,
        awaited=join.awaited,
        loop=join.loop,
        latest=join.latest,
    )


def counter_of(
    draft: State, key: str, members: Iterable[str], *, exclusive: bool = False
) -> JoinRecord:
    """The counter of the join `key` over the tasks of these keys, which are at hand."""
    keys = dict.fromkeys(members)
    counter = JoinRecord(key=key, open_count=len(keys), exclusive=exclusive)
    for task in [latest(draft, each) for each in keys]:
        if task is not None and is_final(task):
            counter = tally(counter, task)
    return counter


def is_final(task: TaskRecord | None) -> bool:
    """Whether the task has ended for good and what follows from it was decided."""
    if task is None or not task.status.terminal or task.unsettled:
        return False
    return task.status.successful or task.gave_up

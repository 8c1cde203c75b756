"""An execution that had ended goes on: retried, or revived by its child (S-090 to S-104, S-125).

First every unsuccessful task is tried again, in portions of a transition: as a new attempt, or in
place where it only waits for others. Then all counters are made anew from the records, and what
should follow from a task that had succeeded but was not scheduled, because the end came first, is
scheduled. Until that is done a cursor is on the way, so nothing is complete meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.engine.command import Outcome, Rejected, Retry, Revive, Verdict
from podium.engine.ending import leave_sweep, tell_parent
from podium.engine.gathering import DYNAMIC_FORK, LOOP, forked_of, latest, members_of
from podium.engine.graph import NONE, SWITCHES
from podium.engine.identity import task_key
from podium.engine.leases import current_attempt
from podium.engine.operators.exclusive_join import EXCLUSIVE_JOIN_TYPE
from podium.engine.operators.switch import HAS_CHILDREN
from podium.engine.operators.table import operator_of
from podium.engine.pausing import waiting_for
from podium.engine.schedule import locate, under_way
from podium.engine.settle import SUB_WORKFLOW, TERMINATE, counter_of, is_final, note_permissive
from podium.engine.skipping import next_of
from podium.engine.state import COUNTED, want_all
from podium.engine.timing import workflow_deadline_ms
from podium.engine.transition import RetryChild, ReviveParent
from podium.engine.work import Step
from podium.model.execution import JoinRecord, TaskStatus, WorkflowStatus

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import ExecutionHeader, TaskRecord

NOTHING: Final = (
    "There are no retryable tasks! Use restart if you want to attempt entire workflow execution"
    " again."
)


def retry_execution(draft: State, command: Retry) -> Asking[Outcome]:
    """Try all unsuccessful tasks again; of failed children, on wish, go on with the child."""
    header = draft.head
    if not header.status.terminal and command.by_parent:
        return Outcome(Verdict.NOOP)  # it runs, and will report
    yield from want_all(draft)
    retried = waiting_for(draft, unsuccessful)
    nothing = not retried and header.status is not WorkflowStatus.TIMED_OUT
    if header.status.terminal and (nothing or ended_on_purpose(header)):
        if command.by_parent:  # the parent waits for it
            draft.header = replace(header)
            tell_parent(draft)
            return Outcome(Verdict.OK)
        raise Rejected("FAILED_PRECONDITION", f"{NOTHING} Found {header.id} {header.status}.")
    check_ended(header, f"Workflow is still running. status={header.status}")
    reopen_execution(draft, tell=not command.by_parent)
    yield from try_again(draft, "retry_children" if command.resume_children else "retry")
    return Outcome(Verdict.OK)


def revive(draft: State, command: Revive) -> Asking[Outcome]:
    """The child of a task goes on: so does the task, and with it an execution that had ended for
    it. Where the flow has gone on, or the task is optional, nothing changes (S-125).
    """
    task = yield from current_attempt(draft, command.task_id)
    header = draft.head
    if (
        task is None
        or not task.status.terminal
        or task.status.successful
        or task.sub_workflow_id != command.child_id
        or task.run_epoch != command.run_epoch
        or not header.status.terminal
        or ended_on_purpose(header)
        or header.pending
    ):
        return Outcome(Verdict.NOOP, task)
    yield from want_all(draft)
    reopen_execution(draft, tell=True)
    place = yield from locate(draft, task)
    await_again(draft, place, task)
    yield from try_again(draft, "retry_children")
    return Outcome(Verdict.OK)


def check_ended(header: ExecutionHeader, otherwise: str) -> None:
    """Raises Rejected where the execution runs, or is still cancelling its tasks."""
    if not header.status.terminal:
        raise Rejected("FAILED_PRECONDITION", otherwise)
    if header.pending:
        raise Rejected(
            "FAILED_PRECONDITION",
            f"expected an execution whose tasks have all ended, found {header.id} {header.status}"
            " and still cancelling; try again",
        )


def reopen_execution(draft: State, *, tell: bool) -> None:
    """RUNNING again, its timeout's clock anew (S-096). `tell` = its parent shall wait for it."""
    header = draft.head
    draft.header = replace(
        header,
        status=WorkflowStatus.RUNNING,
        reason=None,
        ended_ms=0,
        last_retried_ms=draft.now_ms,
        deadline_ms=workflow_deadline_ms(draft.graph.definition, draft.now_ms),
    )
    if tell and header.parent is not None:
        draft.effects.append(ReviveParent(parent=header.parent, child_id=header.id))


def ended_on_purpose(header: ExecutionHeader) -> bool:
    """COMPLETED, or by a TERMINATE task, behind which nothing goes on (S-039)."""
    return header.status is WorkflowStatus.COMPLETED or bool(header.terminate_key)


def unsuccessful(task: TaskRecord) -> bool:
    """A task that ended, and not well."""
    return task.status.terminal and not task.status.successful


def retry(draft: State) -> Asking[None]:
    """Go on trying again; children are started anew."""
    yield from try_again(draft, "retry")


def retry_children(draft: State) -> Asking[None]:
    """Go on trying again; children go on."""
    yield from try_again(draft, "retry_children")


def try_again(draft: State, sweep: str) -> Asking[None]:
    """As many of the tasks that had failed as one transition holds; after the last, recount."""
    yield from want_all(draft)
    since_ms = draft.head.last_retried_ms
    for task in waiting_for(draft, lambda task: unsuccessful(task) and task.end_ms <= since_ms):
        if draft.full:
            leave_sweep(draft, sweep)
            return
        place = yield from locate(draft, task)
        if task.task_type in COUNTED:
            await_again(draft, place, task)
        elif sweep == "retry_children" and task.task_type == SUB_WORKFLOW and task.sub_workflow_id:
            await_again(draft, place, task)
            draft.effects.append(
                RetryChild(
                    workflow_id=task.sub_workflow_id, task_id=task.id, run_epoch=task.run_epoch
                )
            )
        else:
            draft.set_aside(task)
            yield from operator_of(place.node.task.type, task.ref).run(draft, place)
    yield from recount(draft)


def await_again(draft: State, place: Place, task: TaskRecord) -> None:
    """The same attempt waits again for what it waits for (S-097, S-126)."""
    again = replace(
        under_way(draft, place, task),
        start_ms=task.start_ms,
        update_ms=draft.now_ms,
        reason=None,
        retry_count=task.retry_count + 1,
        end_ms=0,
        gave_up=False,
    )
    draft.reopen(again)


def recount(draft: State) -> Asking[None]:
    """Counters from the records, and the steps that the end had cut off."""
    tasks = waiting_for(draft, lambda _: True)
    draft.header = replace(
        draft.head,
        open_count=sum(not is_final(replace(task, unsettled=False)) for task in tasks),
        permissive_failures=(),
        permissive_failure_count=0,
    )
    for task in tasks:
        place = yield from locate(draft, task)
        if not task.status.terminal:
            if task.task_type in COUNTED:
                count_anew(draft, place, task)
            continue
        if task.unsettled:
            draft.reopen(replace(task, unsettled=False))
        if not task.status.successful:
            note_permissive(draft, task)
        follow(draft, place, task)


def count_anew(draft: State, place: Place, task: TaskRecord) -> None:
    """The counter of a task that waits for others."""
    if task.task_type == LOOP:
        known = draft.joins.before(task.key)
        inside = waiting_for(draft, lambda each: each.loop == task.key and not is_final(each))
        counter = JoinRecord(
            key=task.key, open_count=len(inside), loop=True, latest=known.latest if known else {}
        )
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

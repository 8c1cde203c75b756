"""From facts to the causes of an execution that goes on. Pure: nothing is read here.

Each open task yields a cause; tasks that wait for the same thing share one. A loop yields none of
its own where something in it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.app.cause import CAUSES_TOLD, TASKS_TOLD, Cause, CauseKind, Explanation
from podium.app.naming import at_of, last_row, named, named_missing, ref_of
from podium.app.queue_causes import queue_cause
from podium.app.words import counted, listed, moment, since
from podium.engine.gate import is_shut
from podium.engine.graph import LOOP
from podium.engine.operators.wait import FOR_EVER_MS
from podium.engine.timing import HELD_MS
from podium.model.execution import TaskStatus, WorkflowStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium.app.cause import Facts
    from podium.engine.open_tasks import Missing
    from podium.model.execution import TaskRecord
    from podium.model.parking import ParkedRecord
    from podium.model.queue import DeadlineKind, Queue

PULL: Final = "PULL_WORKFLOW_MESSAGES"
SIGNALS: Final = frozenset({"WAIT", "HUMAN", "EVENT", PULL})
CHILDREN: Final = frozenset({"SUB_WORKFLOW"})
JOINS: Final = frozenset({"JOIN", "EXCLUSIVE_JOIN"})
TIMEOUTS: Final[tuple[DeadlineKind, ...]] = ("response", "timeout", "total")


def explained(facts: Facts) -> Explanation:
    """Why the execution stands where it stands."""
    header = facts.header
    causes = [*state_causes(facts), *task_causes(facts)]
    if not causes:
        causes.append(nothing_wrong(facts))
    told = causes[:CAUSES_TOLD]
    silent = sum(task.task_type == LOOP for task in facts.open.tasks)
    named = sum(own_tasks(cause) for cause in told) + silent
    return Explanation(
        workflow_id=header.id,
        name=header.name,
        status=header.status.value,
        since_ms=header.updated_ms,
        causes=tuple(told),
        more=max(header.open_count - named, 0),
    )


def own_tasks(cause: Cause) -> int:
    """How many open tasks a cause is the cause of; what a join waits for has causes of its own."""
    if cause.kind is CauseKind.MISSING_BRANCH:
        return 1
    return len(cause.tasks) + cause.more_tasks


# The execution itself


def state_causes(facts: Facts) -> list[Cause]:
    """What holds all of it."""
    found: list[Cause] = []
    if facts.parked is not None:
        found.append(parked(facts.parked, facts.now_ms))
    if facts.header.status is WorkflowStatus.PAUSED:
        found.append(paused(facts))
    if is_shut(facts.header):
        found.append(run_limited(facts))
    found += paused_parents(facts.paused_parents)
    return found


def parked(record: ParkedRecord, now_ms: int) -> Cause:
    """Set aside after five faults."""
    return Cause(
        kind=CauseKind.PARKED,
        text=f"It is parked {since(record.parked_ms, now_ms)}: deciding {record.command} raised"
        f" {record.error_type} at {record.place}, five times in a row.",
        remedy="RetryParked takes it up again once the fault is mended; the log of the server has"
        " the rest. PurgeParked or PurgeWorkflow removes it.",
        since_ms=record.parked_ms,
        reason=record.error_type,
        place=record.place,
    )


def paused(facts: Facts) -> Cause:
    """By whom and since when, as far as its history tells."""
    row = last_row(facts.history, "Pause")
    by = f" by {row.actor}" if row is not None and row.actor else ""
    since_ms = row.time_ms if row is not None else facts.header.updated_ms
    return Cause(
        kind=CauseKind.PAUSED,
        text=f"It was paused{by} {since(since_ms, facts.now_ms)}: results are taken, and nothing"
        " follows from them.",
        remedy="ResumeWorkflow lets it go on.",
        since_ms=since_ms,
        actor=row.actor if row is not None else "",
    )


def run_limited(facts: Facts) -> Cause:
    """It waits for a slot of its workflow (rateLimitConfig, S-047)."""
    gate = facts.header.gate
    assert gate is not None, facts.header.id
    known = facts.queues.get(gate.queue)
    limit = gate.limits.concurrent
    in_use = known.state.slots if known is not None else 0
    return Cause(
        kind=CauseKind.RUN_LIMITED,
        text=f"It has not begun: {in_use} of {limit} executions that its rateLimitConfig lets run"
        " at a time are running.",
        remedy="It begins when one of those ends, by priority, then by age.",
        since_ms=facts.header.updated_ms,
        queue=gate.queue,
        limit=limit,
        in_use=in_use,
        holders=known.state.slot_holders if known is not None else (),
        ahead=known.state.ready if known is not None else 0,
    )


def paused_parents(ids: Iterable[str]) -> list[Cause]:
    """Nothing follows from its end until they are resumed."""
    return [
        Cause(
            kind=CauseKind.PARENT_PAUSED,
            text=f"Its parent {each} is paused: this execution goes on, and nothing follows from"
            " its end there.",
            remedy=f"ResumeWorkflow of {each}.",
            workflow_id=each,
        )
        for each in ids
    ]


def nothing_wrong(facts: Facts) -> Cause:
    """Nothing is open, or what is open needs nobody: a decision is on its way."""
    waiting = len(facts.header.pending) + facts.effects
    text = "A decision is on its way."
    if waiting:
        text = f"A decision is on its way: {counted(waiting, 'effect')} of the last one is carried"
        text += " out now." if waiting == 1 else " out now, one after the other."
    return Cause(
        kind=CauseKind.NOTHING_WRONG,
        text=text,
        remedy="It goes on by itself; RepairWorkflow, where it does not.",
        since_ms=facts.header.updated_ms,
    )


# Its tasks


def task_causes(facts: Facts) -> list[Cause]:
    """Causes of the open tasks; those of one queue together, where they first stand."""
    found: list[Cause] = []
    by_queue: dict[Queue, list[TaskRecord]] = {}
    for task in facts.open.tasks:
        if task.queue is not None and is_ready(task):
            by_queue.setdefault(task.queue, []).append(task)
    for queue, tasks in by_queue.items():
        found.append(queue_cause(facts, queue, tasks))
    for task in facts.open.tasks:
        if task.queue is None or not is_ready(task):
            found += task_cause(facts, task)
    return found


def is_ready(task: TaskRecord) -> bool:
    """Whether a worker may take it now."""
    return task.status is TaskStatus.SCHEDULED and not at_of(task, "retry")


def task_cause(facts: Facts, task: TaskRecord) -> list[Cause]:
    """Of a task that is in no queue; none of a loop."""
    if at_of(task, "retry"):
        return [delayed(facts, task)]
    if task.lease is not None:
        return [leased(facts, task)]
    if task.task_type in SIGNALS:
        return [signal(facts, task)]
    if task.task_type in CHILDREN:
        return [child(facts, task)]
    if task.task_type in JOINS:
        return [missing_branch(facts, task)]
    if task.task_type == LOOP:
        return []
    return [still_open(facts, task)]


def delayed(facts: Facts, task: TaskRecord) -> Cause:
    """A retry, a start delay, or the wish of the worker that had it to be called later."""
    at_ms = at_of(task, "retry")
    held = at_ms == HELD_MS
    again = f"task {ref_of(task)}"
    if task.poll_count > 0:
        kind, what = CauseKind.DELAYED, f"{again}: its worker asked to be called again"
    elif task.retried_task_id is not None:
        kind, what = (
            CauseKind.RETRY_DELAY,
            f"{again} is tried again: attempt {task.retry_count + 1}",
        )
    else:
        kind, what = CauseKind.DELAYED, f"{again} has a startDelay"
    when = "when the execution is resumed" if held else moment(at_ms, facts.now_ms)
    return Cause(
        kind=kind,
        text=f"{what[0].upper()}{what[1:]}, ready {when}.",
        remedy="Time moves it; ResetWorkflowCallbacks makes it ready at once."
        if task.queue is not None and task.callback_after_ms > 0
        else "Time moves it.",
        since_ms=task.scheduled_ms if task.poll_count == 0 else task.update_ms,
        until_ms=0 if held else at_ms,
        tasks=(named(task),),
        attempts=task.retry_count + 1,
        queue=task.queue,
    )


def leased(facts: Facts, task: TaskRecord) -> Cause:
    """A worker has it."""
    lease, soft = task.lease, facts.leases.get(task.id)
    assert lease is not None, task.id
    since_ms = task.start_ms if task.poll_count <= 1 and task.start_ms else task.update_ms
    deadline_ms = min((at for kind in TIMEOUTS if (at := at_of(task, kind))), default=0)
    how = "over its stream" if lease.kind == "stream" else "from a poll"
    if lease.kind == "stream" and soft is not None and soft.here and not soft.session:
        how = "over a stream that is broken; the grace runs in which it may come back"
    until = f", and must answer {moment(deadline_ms, facts.now_ms)}" if deadline_ms else ""
    return Cause(
        kind=CauseKind.LEASED,
        text=f"Worker {task.worker_id or 'without a name'} works on task {ref_of(task)}"
        f" {since(since_ms, facts.now_ms)}, {how}{until}.",
        remedy="Its result moves it; so does its response or execution timeout"
        + (", or the death of its stream." if lease.kind == "stream" else "."),
        since_ms=since_ms,
        tasks=(named(task),),
        queue=task.queue,
        worker_id=task.worker_id or "",
        session=soft.session if soft is not None else "",
        deadline_ms=deadline_ms,
        attempts=task.retry_count + 1,
    )


def signal(facts: Facts, task: TaskRecord) -> Cause:
    """WAIT, HUMAN, an EVENT that somebody completes, and what takes messages."""
    kind, call = ("message", "PushMessage") if task.task_type == PULL else ("signal", "Signal")
    at_ms = at_of(task, "wait")
    waited = bool(at_ms) and at_ms != HELD_MS
    until = f", or until it is over {moment(at_ms, facts.now_ms)}" if waited else ""
    timed = task.callback_after_ms not in (0, FOR_EVER_MS)
    if not until and timed and at_ms == HELD_MS:
        until = ", and its time is over: it goes on when the execution is resumed"
    return Cause(
        kind=CauseKind.WAITING_SIGNAL,
        text=f"{task.task_type} task {ref_of(task)} waits for a {kind}"
        f" {since(task.start_ms or task.scheduled_ms, facts.now_ms)}{until}.",
        remedy=f"{call}, or UpdateTask with the task's id, ends it.",
        since_ms=task.start_ms or task.scheduled_ms,
        until_ms=at_ms if waited else 0,
        tasks=(named(task),),
    )


def child(facts: Facts, task: TaskRecord) -> Cause:
    """The child is explained within, if it was looked at."""
    child_id = task.sub_workflow_id or ""
    inner = facts.children.get(child_id)
    if child_id in facts.children and inner is None:
        text = f"Task {ref_of(task)} waits for child {child_id}, which is about to be started."
        remedy = "It is started by an effect of the last decision; RepairWorkflow, where it is not."
    else:
        state = f", which is {inner.status}" if inner is not None and inner.status else ""
        text = f"Task {ref_of(task)} waits for child {child_id}{state}."
        remedy = "What moves the child, or its end."
    return Cause(
        kind=CauseKind.WAITING_CHILD,
        text=text,
        remedy=remedy,
        since_ms=task.start_ms,
        tasks=(named(task),),
        workflow_id=child_id,
        inner=inner,
    )


def missing_branch(facts: Facts, task: TaskRecord) -> Cause:
    """Which members a join waits for."""
    counter = facts.open.joins.get(task.key)
    missing = facts.open.missing.get(task.key, ())
    count = max(counter.open_count if counter is not None else 0, min(len(missing), 1))
    told = missing[:TASKS_TOLD]
    names = listed([missing_text(each) for each in told], count - len(told))
    never = [each.ref for each in told if each.task is None]
    remedy = "It closes when those have ended."
    if never and len(never) == len(told):
        remedy = "What was not scheduled comes when the flow reaches it; if it cannot, the"
        remedy += " definition's joinOn names a task that this run does not take."
    return Cause(
        kind=CauseKind.MISSING_BRANCH,
        text=f"{task.task_type} {ref_of(task)} waits for {names}."
        if told
        else f"{task.task_type} {ref_of(task)} waits for {counted(count, 'branch', 'branches')}.",
        remedy=remedy,
        since_ms=task.start_ms,
        tasks=(named(task), *(named_missing(each) for each in told)),
        more_tasks=max(count - len(told), 0),
    )


def missing_text(missing: Missing) -> str:
    """A member with how far it is."""
    task = missing.task
    return f"{missing.ref} ({'not scheduled' if task is None else task.status.value})"


def still_open(facts: Facts, task: TaskRecord) -> Cause:
    """Any other: the server itself is about to go on with it."""
    return Cause(
        kind=CauseKind.OPEN,
        text=f"{task.task_type} task {ref_of(task)} is {task.status.value}"
        f" {since(task.update_ms, facts.now_ms)}.",
        remedy="The server goes on with it by itself; UpdateTask with its id ends it.",
        since_ms=task.update_ms,
        tasks=(named(task),),
    )

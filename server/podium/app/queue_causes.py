"""Why nobody took tasks that are ready: no worker, another domain, a limit, or none free.

Pure. The first that applies is told: without a worker no limit matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from podium.app.cause import TASKS_TOLD, Cause, CauseKind, QueueFacts
from podium.app.naming import at_of, named, ref_of
from podium.app.words import counted, listed, moment, since, span
from podium.engine.timing import ready_ms_of
from podium.store.inspection import QueueState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.app.cause import Facts
    from podium.model.execution import TaskRecord
    from podium.model.queue import Queue

UNKNOWN = QueueFacts(state=QueueState())


def queue_cause(facts: Facts, queue: Queue, tasks: Sequence[TaskRecord]) -> Cause:
    """The one cause of all these tasks, which are ready in that queue."""
    known, now_ms = facts.queues.get(queue, UNKNOWN), facts.now_ms
    since_ms = min(ready_ms_of(task) for task in tasks)
    kind, why, remedy = reason_of(known, queue, now_ms)
    names = listed([ref_of(task) for task in tasks[:TASKS_TOLD]], len(tasks) - TASKS_TOLD)
    word = "Task" if len(tasks) == 1 else "Tasks"
    verb = "waits" if len(tasks) == 1 else "wait"
    polls = [at for task in tasks if (at := at_of(task, "poll"))]
    limits, state = known.limits, known.state
    rate = kind is CauseKind.RATE_LIMITED
    return Cause(
        kind=kind,
        text=f"{word} {names} {verb} for a worker of {shown(queue)}"
        f" {since(since_ms, now_ms)}: {why}.",
        remedy=remedy,
        since_ms=since_ms,
        until_ms=state.admits_ms if rate else 0,
        tasks=tuple(named(task) for task in tasks[:TASKS_TOLD]),
        more_tasks=max(len(tasks) - TASKS_TOLD, 0),
        queue=queue,
        domains=tuple(sorted(known.active)),
        workers=known.workers,
        limit=limits.rate if rate else limits.concurrent,
        in_use=state.starts if rate else state.slots,
        holders=state.slot_holders if kind is CauseKind.CONCURRENCY_LIMITED else (),
        ahead=state.ready,
        deadline_ms=min(polls, default=0),
    )


class Reason(NamedTuple):
    """Why, as the rest of a sentence, and what would move it."""

    kind: CauseKind
    why: str
    remedy: str


def reason_of(known: QueueFacts, queue: Queue, now_ms: int) -> Reason:
    """The first that applies."""
    limits, state = known.limits, known.state
    if not known.active and not known.workers:
        return no_worker(known, queue, now_ms)
    if queue.domain not in known.active and not known.workers:
        return wrong_domain(known, queue)
    if limits.concurrent and state.slots >= limits.concurrent:
        why = f"{state.slots} of {limits.concurrent} tasks that its concurrentExecLimit lets run"
        remedy = "The end of one of those; a higher concurrentExecLimit lets more run."
        return Reason(CauseKind.CONCURRENCY_LIMITED, f"{why} at a time are running", remedy)
    if limits.rate and state.starts >= limits.rate:
        return rate_limited(known, now_ms)
    here = counted(len(known.workers), "worker")
    ready = counted(state.ready, "task")
    why = f"{here} here, and those elsewhere, have no room for it now; {ready} of the queue waiting"
    return Reason(CauseKind.WORKERS_BUSY, why, "A worker that becomes free, or more workers.")


def no_worker(known: QueueFacts, queue: Queue, now_ms: int) -> Reason:
    """Of the type, in any domain."""
    seen = f"; the last one asked {span(now_ms - known.seen_ms)} ago" if known.seen_ms else ""
    why = f"none is connected, and none polled in the last 10 seconds{seen}"
    return Reason(CauseKind.NO_WORKER, why, f"Start a worker of {shown(queue)}.")


def wrong_domain(known: QueueFacts, queue: Queue) -> Reason:
    """Workers of the type are in others."""
    there = listed([within(replace(queue, domain=each)) for each in sorted(known.active)])
    why = f"workers of the type are in {there}, and none in {within(queue)}"
    remedy = f"Start a worker in {within(queue)}, or the workflow with another taskToDomain."
    return Reason(CauseKind.WRONG_DOMAIN, why, remedy)


def rate_limited(known: QueueFacts, now_ms: int) -> Reason:
    """The window is full."""
    limits, state = known.limits, known.state
    when = moment(state.admits_ms, now_ms) if state.admits_ms > 0 else "soon"
    why = f"{state.starts} of {limits.rate} that its rate limit lets begin in"
    why += f" {span(limits.rate_window_ms)} have begun; the next may begin {when}"
    remedy = "Time moves it; a higher rateLimitPerFrequency lets more begin."
    return Reason(CauseKind.RATE_LIMITED, why, remedy)


def shown(queue: Queue) -> str:
    """Type, and domain where there is one."""
    return f"{queue.task_type} in {within(queue)}" if queue.domain else queue.task_type


def within(queue: Queue) -> str:
    """The domain."""
    return f"domain {queue.domain!r}" if queue.domain else "no domain"

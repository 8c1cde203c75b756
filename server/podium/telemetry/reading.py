"""Reads all counters of a server at one moment. In the loop, so it only copies integers.

Rows say (metric, label values, value). What they become is exposition.py's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from podium.telemetry.metric import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from podium.api.call_counts import CallCounts
    from podium.api.worker_service import WorkerService
    from podium.app.retention import Retention
    from podium.runtime.lag import LoopLag
    from podium.runtime.measure import Histogram, Tally
    from podium.runtime.service import Runtime
    from podium.runtime.task_log import TaskLog
    from podium.sandbox.pool import Sandbox


@dataclass(frozen=True, slots=True)
class Sources:
    """Who counts."""

    runtime: Runtime
    retention: Retention
    sandbox: Sandbox
    calls: CallCounts
    workers: WorkerService
    task_log: TaskLog
    lag: LoopLag


@dataclass(frozen=True, slots=True)
class Buckets:
    """A copy of a histogram."""

    bounds: tuple[int, ...]
    counts: tuple[int, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Row:
    """One number, or one histogram, in the scale of its metric."""

    name: str
    value: int | Buckets
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert len(self.labels) == len(TABLE[self.name].labels), self


def read(sources: Sources) -> list[Row]:
    """Everything that is counted without asking the store."""
    return [
        *_tasks(sources),
        *_workflows(sources),
        *_commits(sources),
        *_loop(sources),
        *_calls(sources),
        *_memory(sources),
    ]


def _tasks(sources: Sources) -> Iterator[Row]:
    progress, leases = sources.runtime.progress, sources.runtime.leases
    for task_type, each in progress.types:
        label = (task_type,)
        yield _copy("podium_task_handout_seconds", each.handed_out, label)
        yield _copy("podium_task_receipt_seconds", each.received, label)
        yield _copy("podium_task_run_seconds", each.held, label)
        yield _copy("podium_task_completion_seconds", each.finished, label)
        yield from _tally("podium_ended_tasks_total", each.ended, label)
        yield from _tally("podium_granted_leases_total", each.granted, label)
    yield from _tally("podium_worker_results_total", progress.results)
    yield Row("podium_held_leases", len(leases))
    yield Row("podium_lost_leases_total", leases.lost_count)
    yield Row("podium_resumed_leases_total", leases.resumed_count)


def _workflows(sources: Sources) -> Iterator[Row]:
    for workflow, each in sources.runtime.progress.workflows:
        label = (workflow,)
        yield Row("podium_started_workflows_total", each.started, label)
        yield Row("podium_reopened_workflows_total", each.reopened, label)
        yield from _tally("podium_ended_workflows_total", each.ended, label)
        yield _copy("podium_workflow_duration_seconds", each.lasted, label)
    yield Row("podium_parked_workflows", sources.runtime.parking.count)
    yield from _tally("podium_removed_workflows_total", sources.retention.removed)
    yield Row("podium_removal_lateness_seconds", sources.retention.late_ms)


def _commits(sources: Sources) -> Iterator[Row]:
    runtime = sources.runtime
    yield Row("podium_decided_commands_total", runtime.deciding.decisions)
    yield Row("podium_conflicting_commits_total", runtime.deciding.conflicts)
    yield _copy("podium_group_size_commits", runtime.committer.group_sizes)
    yield _copy("podium_group_duration_seconds", runtime.committer.group_us)
    yield Row("podium_failed_groups_total", runtime.committer.failures)
    yield Row("podium_store_syncs_total", runtime.store.syncs)
    yield Row("podium_store_unsuitable_nodes", runtime.store.unsuitable_nodes)
    yield Row("podium_open_mailboxes", runtime.executor.mailbox_count)


def _loop(sources: Sources) -> Iterator[Row]:
    runtime = sources.runtime
    relay, since_ms = runtime.relay, runtime.relay.oldest_ms
    yield _copy("podium_loop_lag_seconds", sources.lag.histogram)
    yield _copy("podium_timer_lateness_seconds", runtime.timers.lateness)
    yield Row("podium_armed_timers", runtime.timers.armed_count)
    yield Row("podium_outbox_effects", relay.open_count)
    age_ms = max(runtime.clock.now_ms() - since_ms, 0) if since_ms else 0
    yield Row("podium_outbox_oldest_seconds", age_ms)
    yield Row("podium_carried_effects_total", relay.carried_out)
    yield Row("podium_live_servers", len(runtime.members.live))
    yield Row("podium_server_takeovers_total", runtime.members.takeovers)


def _calls(sources: Sources) -> Iterator[Row]:
    polls, workers = sources.runtime.polls, sources.workers
    for method, each in sources.calls.methods.items():
        label = (method.removeprefix("/"),)
        yield Row("podium_open_calls", each.open, label)
        yield from _tally("podium_ended_calls_total", each.by_status, label)
        yield _copy("podium_call_duration_seconds", each.duration_us, label)
    refused = {
        **sources.calls.refused.counts,
        "polls": polls.refused_count,
        "streams": workers.refused_count,
    }
    yield from (
        Row("podium_refused_calls_total", count, (reason,)) for reason, count in refused.items()
    )
    yield Row("podium_worker_streams", workers.stream_count)
    yield Row("podium_parked_polls", polls.parked_count)


def _memory(sources: Sources) -> Iterator[Row]:
    cache, sandbox = sources.runtime.cache, sources.sandbox
    yield Row("podium_cache_hits_total", cache.hits)
    yield Row("podium_cache_misses_total", cache.misses)
    yield Row("podium_cache_evictions_total", cache.evictions)
    yield Row("podium_cache_bytes", cache.size_bytes)
    yield Row("podium_cached_workflows", len(cache))
    yield from _tally("podium_sandbox_calls_total", sandbox.calls)
    yield Row("podium_sandbox_kills_total", sandbox.kills)
    yield Row("podium_waiting_programs", sandbox.waiting_count)
    yield Row("podium_dropped_lines_total", sources.task_log.dropped_count)


def _copy(name: str, histogram: Histogram, labels: tuple[str, ...] = ()) -> Row:
    found = Buckets(histogram.bounds, tuple(histogram.counts), histogram.total)
    return Row(name, found, labels)


def _tally(name: str, tally: Tally, labels: tuple[str, ...] = ()) -> Iterable[Row]:
    return [Row(name, count, (*labels, kind)) for kind, count in tally.counts.items()]

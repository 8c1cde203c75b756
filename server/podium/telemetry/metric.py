"""Every metric by name: what it is, its labels, and one sentence.

One rule names them: `podium_<what>_<unit>`, and `_total` where it only grows; of a count the unit
is what is counted. Labels are task types, workflows, methods, and words of the code: never an id,
never a value of anybody. docs/metrics.md shows this table; a test compares them.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
COUNTER: Final = "counter"
GAUGE: Final = "gauge"
HISTOGRAM: Final = "histogram"


class Metric(msgspec.Struct, frozen=True):
    """One family. `scale`: so many of what is counted are one unit of the name."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    scale: int = 1


MS: Final = 1_000
US: Final = 1_000_000
TYPE: Final = ("task_type",)
QUEUE: Final = ("task_type", "domain")
WORKFLOW: Final = ("workflow",)

TASKS: Final = (
    Metric(
        "podium_task_handout_seconds", HISTOGRAM, "Ready until handed out to a worker.", TYPE, MS
    ),
    Metric(
        "podium_task_receipt_seconds",
        HISTOGRAM,
        "Handed out until the worker says it is there; a sample, of streams.",
        TYPE,
        MS,
    ),
    Metric(
        "podium_task_run_seconds", HISTOGRAM, "First handed out until the attempt ended.", TYPE, MS
    ),
    Metric("podium_task_completion_seconds", HISTOGRAM, "Ready until the attempt ended.", TYPE, MS),
    Metric(
        "podium_ended_tasks_total",
        COUNTER,
        "Attempts that ended, operators' too, by status.",
        (*TYPE, "status"),
    ),
    Metric(
        "podium_worker_results_total",
        COUNTER,
        "Results of workers: ok (repeated too), stale, closed or rejected.",
        ("verdict",),
    ),
    Metric(
        "podium_granted_leases_total",
        COUNTER,
        "Hand-outs over streams and to polls.",
        (*TYPE, "kind"),
    ),
    Metric("podium_ready_tasks", GAUGE, "Tasks that a worker may take now.", QUEUE),
    Metric(
        "podium_oldest_task_seconds",
        GAUGE,
        "Since when the oldest of them is ready.",
        QUEUE,
        MS,
    ),
    Metric("podium_held_leases", GAUGE, "Leases of streams here, those in their grace included."),
    Metric("podium_lost_leases_total", COUNTER, "Leases whose worker did not come back in time."),
    Metric("podium_resumed_leases_total", COUNTER, "Leases that a worker came back with."),
)
WORKFLOWS: Final = (
    Metric("podium_started_workflows_total", COUNTER, "Executions created.", WORKFLOW),
    Metric(
        "podium_ended_workflows_total",
        COUNTER,
        "Executions that ended, by status.",
        (*WORKFLOW, "status"),
    ),
    Metric(
        "podium_reopened_workflows_total",
        COUNTER,
        "Ended executions that run again: retried, restarted, rerun.",
        WORKFLOW,
    ),
    Metric("podium_workflow_duration_seconds", HISTOGRAM, "Created until ended.", WORKFLOW, MS),
    Metric("podium_parked_workflows", GAUGE, "Executions set aside because deciding them raised."),
    Metric(
        "podium_removed_workflows_total",
        COUNTER,
        "Closed executions and archived copies that retention removed.",
        ("kind",),
    ),
    Metric(
        "podium_removal_lateness_seconds",
        GAUGE,
        "How long past its time the last batch of retention was, 0 where nothing waits.",
        (),
        MS,
    ),
)
COMMITS: Final = (
    Metric("podium_decided_commands_total", COUNTER, "Commands decided, again after conflicts."),
    Metric(
        "podium_conflicting_commits_total", COUNTER, "Commits decided anew, as the store had moved."
    ),
    Metric("podium_group_size_commits", HISTOGRAM, "Commits that travelled to the store together."),
    Metric(
        "podium_group_duration_seconds",
        HISTOGRAM,
        "A group's way to the store until durable.",
        (),
        US,
    ),
    Metric("podium_failed_groups_total", COUNTER, "Groups that the store refused or lost."),
    Metric("podium_store_syncs_total", COUNTER, "Syncs of the store's file to the disk."),
    Metric("podium_store_unsuitable_nodes", GAUGE, "Nodes that may lose acknowledged work."),
    Metric("podium_open_mailboxes", GAUGE, "Executions with commands that wait or are decided."),
)
LOOP: Final = (
    Metric("podium_loop_lag_seconds", HISTOGRAM, "How late the event loop is.", (), US),
    Metric("podium_timer_lateness_seconds", HISTOGRAM, "Deadlines that fired, how late.", (), MS),
    Metric("podium_armed_timers", GAUGE, "Deadlines of the next seconds, in memory."),
    Metric("podium_outbox_effects", GAUGE, "Effects on other executions that are on their way."),
    Metric("podium_outbox_oldest_seconds", GAUGE, "Age of the oldest of them.", (), MS),
    Metric("podium_carried_effects_total", COUNTER, "Effects that were set on their way."),
    Metric("podium_live_servers", GAUGE, "Servers that share the store, this one included."),
    Metric("podium_server_takeovers_total", COUNTER, "Shares of dead servers taken over."),
)
CALLS: Final = (
    Metric("podium_open_calls", GAUGE, "gRPC calls in flight, streams too.", ("method",)),
    Metric(
        "podium_ended_calls_total",
        COUNTER,
        "gRPC calls that ended, by status.",
        ("method", "status"),
    ),
    Metric(
        "podium_call_duration_seconds",
        HISTOGRAM,
        "gRPC calls from their request to their end; of streams, their life.",
        ("method",),
        US,
    ),
    Metric(
        "podium_refused_calls_total",
        COUNTER,
        "Calls and polls not let in, by what there were too many of.",
        ("reason",),
    ),
    Metric("podium_worker_streams", GAUGE, "Open streams of workers."),
    Metric("podium_parked_polls", GAUGE, "Polls that wait for a task."),
)
MEMORY: Final = (
    Metric("podium_cache_hits_total", COUNTER, "Executions found in memory."),
    Metric("podium_cache_misses_total", COUNTER, "Executions that were read from the store."),
    Metric("podium_cache_evictions_total", COUNTER, "Executions dropped for want of room."),
    Metric("podium_cache_bytes", GAUGE, "Hot executions in memory, roughly."),
    Metric("podium_cached_workflows", GAUGE, "Hot executions in memory."),
    Metric("podium_sandbox_calls_total", COUNTER, "Programs given to the sandbox.", ("language",)),
    Metric("podium_sandbox_kills_total", COUNTER, "Sandbox processes that ended over a program."),
    Metric("podium_waiting_programs", GAUGE, "Programs that wait for a place in the sandbox."),
    Metric("podium_dropped_lines_total", COUNTER, "Log lines of tasks that the store did not get."),
)
TABLE: Final = {each.name: each for each in (*TASKS, *WORKFLOWS, *COMMITS, *LOOP, *CALLS, *MEMORY)}

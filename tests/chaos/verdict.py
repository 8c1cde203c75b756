"""The verdict: ledgers against the store that the last server left.

Every acknowledged start must be completed. Of each task attempt at most one completion may be
recorded (history rows) and at most one hand-out acknowledged to the worker, and the output stored
is the one acknowledged; one that came twice was answered alike. What the second task read must be
what the first one's counted run made, and it came not before the pause between them was over. No
attempt runs into its timeout, which is longer than any fault and the recovery from it.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from podium.engine.identity import split_task_id
from podium.model.execution import TaskStatus, WorkflowStatus
from podium.runtime.clock import SystemClock
from podium.store import codec
from podium.store.sqlite import SqliteStore
from tests.chaos.load import PAUSE_S, TASKS
from tests.simulation.fold import Fold
from tests.simulation.rest import at_rest, left_over
from tests.simulation.scene import Violation

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from podium.engine.transition import Records
    from podium.model.execution import HistoryRow, TaskChange
    from podium.store.port import Store
    from tests.chaos.load import Ledgers
    from tests.chaos.overheard import Overheard

HISTORY_LIMIT = 1_000
REST_S_MAX = 60
EARLY_S_MAX = 0.3
"""Servers know the store's time to within half a round trip."""


@dataclass(slots=True)
class Verdict:
    """What was found; `faults` empty = nothing wrong."""

    acknowledged: int = 0
    completed: int = 0
    runs: int = 0
    faults: list[str] = field(default_factory=list)


async def judge(path: Path, ledgers: Ledgers) -> Verdict:
    """Open the store (no server may have it) and compare."""
    return await judge_store(SqliteStore(path, SystemClock().now_ms), ledgers)


async def judge_store(store: Store, ledgers: Ledgers) -> Verdict:
    """Open the store and compare."""
    await store.open()
    try:
        verdict = Verdict(runs=sum(len(each) for each in ledgers.runs.values()))
        ids = ledgers.acknowledged
        verdict.acknowledged = len(ids)
        doubled = [each for each, count in Counter(ids).items() if count > 1]
        verdict.faults += [f"{each} answered two keys" for each in doubled]
        for workflow_id in ids:
            await _judge_one(store, workflow_id, ledgers, verdict)
        verdict.faults += await unstored(store, ledgers.worker)
        verdict.faults += [
            f"{task_id} epoch {epoch} was acknowledged and refused"
            for task_id, outputs in ledgers.worker.accepted.items()
            for epoch in outputs
            if (task_id, epoch) in ledgers.worker.refused
        ]
        return verdict
    finally:
        await store.close()


async def unstored(store: Store, worker: Overheard) -> list[str]:
    """Faults: results that were acknowledged to the worker and do not count."""
    faults: list[str] = []
    for task_id, outputs in worker.accepted.items():
        if len(outputs) > 1:
            faults.append(f"{task_id} was acknowledged for the epochs {sorted(outputs)}")
        parts = split_task_id(task_id)
        assert parts is not None, task_id
        loaded = await store.load(parts[0], None)
        if loaded is None:
            faults.append(f"{task_id} was acknowledged and its workflow is not stored")
            continue
        _, records = codec.decode_records(loaded.fields, complete=True)
        task = records.tasks.get(parts[1])
        found = None if task is None or task.id != task_id else task.output.value.get("number")
        wanted = [json.loads(each)["number"] for each in outputs.values()]
        if [found] != wanted:
            faults.append(f"{task_id} was acknowledged with {wanted}, stored is {found}")
    return faults


async def _judge_one(store: Store, workflow_id: str, ledgers: Ledgers, verdict: Verdict) -> None:
    loaded = await store.load(workflow_id, None)
    if loaded is None:
        verdict.faults.append(f"{workflow_id} was acknowledged and is not stored")
        return
    header, records = codec.decode_records(loaded.fields, complete=True)
    assert header is not None, workflow_id
    if header.status is not WorkflowStatus.COMPLETED:
        stands = await _stands(store, workflow_id, records)
        verdict.faults.append(f"{workflow_id} is {header.status}, expected COMPLETED: {stands}")
        return
    verdict.completed += 1
    tasks = {task.ref: task for task in records.tasks.values() if task is not None}
    first, second = (tasks[name] for name in TASKS)
    number = first.output.value.get("number")
    if number not in ledgers.runs.get(first.id, []):
        verdict.faults.append(f"{first.id} holds the number {number} that no run of it made")
    if second.input.value.get("number") != number:
        verdict.faults.append(f"{second.id} read {second.input.value}, expected number {number}")
    done_s = ledgers.done_s.get(number, 0) if isinstance(number, int) else 0
    paused_s = ledgers.came_s[second.id] - done_s
    if paused_s < PAUSE_S - EARLY_S_MAX:
        verdict.faults.append(f"{second.id} came {paused_s:.2f} s after the first task, too early")
    await _judge_history(store, workflow_id, verdict)


async def _stands(store: Store, workflow_id: str, records: Records) -> str:
    """What is known of one that did not end: its tasks, its entries, its places in queues."""
    entries = await store.entries(workflow_id, 0)
    tasks = [
        (task.ref, task.status, task.lease_epoch, task.lease)
        for task in records.tasks.values()
        if task is not None
    ]
    return f"{tasks}, {entries}, queued {await store.queued(entries.ready)}"


async def _judge_history(store: Store, workflow_id: str, verdict: Verdict) -> None:
    """By the simulation's rules: legal transitions, one completion per attempt, no row missing."""
    fold = Fold()
    rows = [codec.decode_history(row) for row in await store.history(workflow_id, 0, HISTORY_LIMIT)]
    for row in rows:
        try:
            fold.take(row)
        except Violation as found:
            verdict.faults.append(f"{workflow_id}: {found}")
            return
        for change in row.changes:
            if change.status_to == TaskStatus.TIMED_OUT:
                was = _course(rows, change)
                verdict.faults.append(f"{workflow_id}: {change.ref} timed out: {was}")


def _course(rows: list[HistoryRow], task: TaskChange) -> list[tuple[int, str, str, int]]:
    """Of one attempt: (ms, by whom, to which status, lease epoch)."""
    return [
        (row.time_ms, row.actor, change.status_to, change.lease_epoch)
        for row in rows
        for change in row.changes
        if (change.key, change.attempt) == (task.key, task.attempt)
    ]


async def left_at_rest(store: Store, incarnations: Collection[str]) -> list[str]:
    """Faults: what is still there though all has ended and the servers (these) had their time."""
    await store.open()
    try:
        found = await at_rest(lambda: left_over(store, incarnations), REST_S_MAX)
        return [f"expected that {rule}, found {left}" for rule, left in found]
    finally:
        await store.close()

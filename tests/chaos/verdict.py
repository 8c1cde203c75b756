"""The verdict: ledgers against the store that the last server left.

Every acknowledged start must be completed. Of each task attempt at most one completion may be
recorded (history rows) and at most one hand-out acknowledged to the worker, and the output stored
is the one acknowledged. What the second task read must be what the first one's counted run made.
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
from tests.chaos.load import TASKS

if TYPE_CHECKING:
    from pathlib import Path

    from podium.engine.transition import Records
    from podium.store.port import Store
    from tests.chaos.load import Ledgers
    from tests.chaos.overheard import Overheard

HISTORY_LIMIT = 1_000


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
    completions: Counter[tuple[str, int]] = Counter()
    for row in await store.history(workflow_id, 0, HISTORY_LIMIT):
        for change in codec.decode_history(row).changes:
            if change.status_to == TaskStatus.COMPLETED:
                completions[change.ref, change.attempt] += 1
    for (ref, attempt), count in completions.items():
        if count > 1:
            verdict.faults.append(f"{workflow_id} completed {ref} attempt {attempt} {count} times")

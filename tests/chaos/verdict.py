"""The verdict: ledgers against the store that the last server left.

Every acknowledged start must be completed; of each task attempt at most one completion may be
recorded (history rows); what the second task read must be what the first one's counted run made.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from podium.model.execution import TaskStatus, WorkflowStatus
from podium.store import codec
from podium.store.sqlite import SqliteStore
from tests.chaos.load import TASKS

if TYPE_CHECKING:
    from pathlib import Path

    from podium.store.port import Store
    from tests.chaos.load import Ledgers

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
    store = SqliteStore(path)
    await store.open()
    try:
        verdict = Verdict(runs=sum(len(each) for each in ledgers.runs.values()))
        ids = ledgers.acknowledged
        verdict.acknowledged = len(ids)
        doubled = [each for each, count in Counter(ids).items() if count > 1]
        verdict.faults += [f"{each} answered two keys" for each in doubled]
        for workflow_id in ids:
            await _judge_one(store, workflow_id, ledgers, verdict)
        return verdict
    finally:
        await store.close()


async def _judge_one(store: Store, workflow_id: str, ledgers: Ledgers, verdict: Verdict) -> None:
    loaded = await store.load(workflow_id, None)
    if loaded is None:
        verdict.faults.append(f"{workflow_id} was acknowledged and is not stored")
        return
    header, records = codec.decode_records(loaded.fields, complete=True)
    assert header is not None, workflow_id
    if header.status is not WorkflowStatus.COMPLETED:
        verdict.faults.append(f"{workflow_id} is {header.status}, expected COMPLETED")
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


async def _judge_history(store: Store, workflow_id: str, verdict: Verdict) -> None:
    completions: Counter[tuple[str, int]] = Counter()
    for row in await store.history(workflow_id, 0, HISTORY_LIMIT):
        for change in codec.decode_history(row).changes:
            if change.status_to == TaskStatus.COMPLETED:
                completions[change.ref, change.attempt] += 1
    for (ref, attempt), count in completions.items():
        if count > 1:
            verdict.faults.append(f"{workflow_id} completed {ref} attempt {attempt} {count} times")

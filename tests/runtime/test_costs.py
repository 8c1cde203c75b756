"""What one more branch, and one more iteration, writes: the same however many there are.

Counted at the store port, over all commits of a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from podium.model.definition import TaskDef, WorkflowDef, WorkflowTask
from podium.model.execution import WorkflowStatus
from podium.model.payload import Payload
from podium.model.queue import Queue
from tests.runtime.rig import Hand, Rig

if TYPE_CHECKING:
    from podium.store.port import Commit

SMALL, LARGE = 100, 10_000
SAME = 0.1
STEP = WorkflowTask(name="step", task_reference_name="step")
WIDE = WorkflowDef(
    name="wide",
    tasks=[
        WorkflowTask(
            name="fork", task_reference_name="fork", type="FORK_JOIN_DYNAMIC",
            dynamic_fork_tasks_param="t", dynamic_fork_tasks_input_param_name="i",
            input_parameters={"t": "${workflow.input.t}", "i": {}},
        ),
        WorkflowTask(name="join", task_reference_name="join", type="JOIN"),
    ],
)  # fmt: skip
LONG = WorkflowDef(
    name="long",
    tasks=[
        WorkflowTask(
            name="loop", task_reference_name="loop", type="DO_WHILE", loop_over=[STEP],
            input_parameters={"keepLastN": 3},
            items="${workflow.input.items}",
        ),
    ],
)  # fmt: skip
TASK = TaskDef(name="step", response_timeout_seconds=3600)


def wide(count: int) -> dict[str, Any]:
    return {"t": [{"name": "step", "taskReferenceName": f"b{number}"} for number in range(count)]}


def long(count: int) -> dict[str, Any]:
    return {"items": list(range(count))}


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("definition", "value"), [(WIDE, wide), (LONG, long)])
async def test_bytes_and_records_per_step_do_not_grow(definition: WorkflowDef, value: Any) -> None:
    small = await costs(definition, value(SMALL), SMALL)
    large = await costs(definition, value(LARGE), LARGE)
    for kind, few, many in zip(("bytes", "records", "commits"), small, large, strict=True):
        assert abs(many / few - 1) <= SAME, (kind, few, many)


async def costs(
    definition: WorkflowDef, value: dict[str, Any], count: int
) -> tuple[float, float, float]:
    """Bytes, fields and commits per step; results come one after the other."""
    async with Rig([definition], [TASK]) as rig:
        server = await rig.server()
        hand = Hand(server, "w", [Queue("step")], 1)
        workflow_id = await rig.start(server, definition.name, Payload.of(value))
        for _ in range(count):
            await hand.answer(await hand.take())
        commits = rig.store.commits_of(workflow_id)
        header = await rig.finished(server, workflow_id)
        assert header.status is WorkflowStatus.COMPLETED
    return (
        sum(bytes_of(each) for each in commits) / count,
        sum(len(each.fields) for each in commits) / count,
        len(commits) / count,
    )


def bytes_of(commit: Commit) -> int:
    written = sum(len(value) for value in commit.fields.values() if value is not None)
    return written + sum(map(len, commit.outbox)) + len(commit.history or b"")

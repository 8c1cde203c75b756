"""What an execution's history rows say, and whether they may say it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from podium.engine.lifecycle import TASK_NEXT
from podium.model.execution import TaskStatus
from tests.simulation.scene import expect

if TYPE_CHECKING:
    from podium.model.execution import HistoryRow, TaskChange

REOPENS = frozenset({"Retry", "Restart", "Rerun", "Revive"})
"""Commands by which an execution that ended goes on, and its ended tasks with it."""
GOES_ON = REOPENS | {"Continue", "GrantLease", "Resume"}
"""The same, cut at the limit of a transition or by a gate."""


class Fold:
    """What the history rows of one execution say."""

    def __init__(self) -> None:
        self.position = 0
        self.tasks: dict[tuple[str, int], tuple[str, int]] = {}
        """(key, attempt) → (status, lease epoch)."""
        self.completions: Counter[tuple[str, int]] = Counter()

    def take(self, row: HistoryRow) -> None:
        expect(row.position == self.position + 1, "history positions rise by 1", row)
        self.position = row.position
        for change in row.changes:
            self._take_change(change, goes_on=bool(GOES_ON & set(row.commands)))

    def _take_change(self, change: TaskChange, *, goes_on: bool) -> None:
        name = (change.key, change.attempt)
        before, epoch = self.tasks.get(name, ("", 0))
        expect(change.status_from == before, f"history folds, expected from {before}", change)
        if before:
            legal = TASK_NEXT[TaskStatus(before)]
            if goes_on and TaskStatus(before).terminal:
                legal = frozenset(TaskStatus)
                self.completions[name] = 0
            expect(TaskStatus(change.status_to) in legal, "the transition is legal", change)
        expect(epoch <= change.lease_epoch <= epoch + 1, "epochs rise by 1", change)
        self.tasks[name] = (change.status_to, change.lease_epoch)
        if change.status_to == TaskStatus.COMPLETED and before != change.status_to:
            self.completions[name] += 1
            expect(self.completions[name] == 1, "one completion per attempt", change)

"""What a draft remembers for the events of its tasks (raising.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podium.model.execution import BranchRecord, RaisedEvent, TaskRecord


class Events:
    """Raised events of one draft, and what is needed to tell them."""

    __slots__ = ("branches", "bytes", "gone", "raised", "told")

    def __init__(self) -> None:
        self.raised: list[RaisedEvent] = []
        self.bytes = 0
        """Of their payloads."""
        self.told: dict[str, TaskRecord] = {}
        """Tasks whose changes were told, by id, as they stood then."""
        self.gone: dict[str, tuple[TaskRecord | None, TaskRecord]] = {}
        """Tasks that were removed since, by id: as they were stored, as they ended."""
        self.branches: dict[str, BranchRecord] = {}
        """Branches of dynamic forks that were removed, by key."""

    def remove(self, before: TaskRecord | None, task: TaskRecord) -> None:
        """A task that raises events goes."""
        same = before is not None and before.id == task.id
        self.gone.setdefault(task.id, (before if same else None, task))

    def gone_pairs(self) -> list[tuple[TaskRecord | None, TaskRecord]]:
        return list(self.gone.values())

"""What commits changed and the index does not hold yet, by execution, the newest of each record.

Notes are made beside the loop's hot path, so they only keep what the transition holds; documents
are made of them later. They are bounded by records and bytes: what is over the bound is not noted,
since the store has a note of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.engine.identity import ATTEMPTS_PER_RUN, task_id
from podium.index.document import Update, task_document, text_of, workflow_document
from podium.model.payload import EMPTY

if TYPE_CHECKING:
    from collections.abc import Collection

    from podium.engine.transition import Transition
    from podium.model.execution import TaskRecord
    from podium.model.payload import Payload

RECORDS_MAX: Final = 20_000
BYTES_MAX: Final = 64 * 1024 * 1024


class Note:
    """One execution's changes; they become one update."""

    __slots__ = ("_ids", "_keys", "_tasks", "commit", "header", "hidden", "input", "output")

    def __init__(self, transition: Transition, commit: int, hidden: Collection[str]) -> None:
        self.header = transition.header
        self.commit = commit
        self.hidden = hidden
        """Names whose values nobody sees."""
        self.input: Payload | None = EMPTY if transition.created else None
        self.output = self.input
        self._tasks: dict[str, dict[int, TaskRecord]] = {}
        """By key and attempt."""
        self._keys: dict[str, None] = {}
        self._ids: dict[str, None] = {}
        self.take(transition, commit, hidden)

    def take(self, transition: Transition, commit: int, hidden: Collection[str]) -> None:
        """The next commit of the execution."""
        self.header, self.commit, self.hidden = transition.header, commit, hidden
        if transition.input is not None:
            self.input = transition.input
        if transition.output is not None:
            self.output = transition.output
        if transition.removed or transition.removed_attempts:
            self._remove(transition)
        for key, task in transition.tasks.items():
            if task.attempt and not task.attempt % ATTEMPTS_PER_RUN:
                self._forget(key)  # the first of a later run: the one before was removed
            self._tasks.setdefault(key, {})[task.attempt] = task
        for (key, attempt), task in transition.attempts.items():
            self._tasks.setdefault(key, {})[attempt] = task

    def _remove(self, transition: Transition) -> None:
        aside = {key for key, _ in transition.attempts}
        for key in transition.removed:
            if key not in aside:  # its latest attempt is a former one now
                self._forget(key)
        for key, attempt in transition.removed_attempts:
            self._ids[task_id(self.header.id, key, attempt)] = None
            self._tasks.get(key, {}).pop(attempt, None)

    def _forget(self, key: str) -> None:
        """The latest attempt; former ones are removed by their number."""
        self._keys[key] = None
        attempts = self._tasks.get(key)
        if attempts is not None:
            self._tasks[key] = {n: task for n, task in attempts.items() if task.retried}

    def update(self) -> Update:
        """What the index is told."""
        hidden = self.hidden
        return Update(
            workflow_id=self.header.id,
            workflow=workflow_document(
                self.header,
                self.commit,
                input=None if self.input is None else text_of(self.input, hidden),
                output=None if self.output is None else text_of(self.output, hidden),
            ),
            removed_keys=tuple(self._keys),
            removed_ids=tuple(self._ids),
            tasks=tuple(
                task_document(task, hidden)
                for attempts in self._tasks.values()
                for task in attempts.values()
            ),
        )


class Notes:
    """All of them, in the order of the first change."""

    def __init__(self) -> None:
        self.by_workflow: dict[str, Note] = {}
        self._records = 0
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self.by_workflow)

    @property
    def many(self) -> bool:
        """Whether they should be written before there is no room for more."""
        return self._records > RECORDS_MAX // 2 or self._bytes > BYTES_MAX // 2

    def take(self, transition: Transition, commit: int, hidden: Collection[str]) -> bool:
        """Note a commit; False = there is no room."""
        if self._records >= RECORDS_MAX or self._bytes >= BYTES_MAX:
            return False
        self._records += 1 + len(transition.tasks) + len(transition.attempts)
        for task in transition.tasks.values():
            self._bytes += len(task.input.json) + len(task.output.json)
        for payload in (transition.input, transition.output):
            self._bytes += 0 if payload is None else len(payload.json)
        workflow_id = transition.header.id
        note = self.by_workflow.get(workflow_id)
        if note is None:
            self.by_workflow[workflow_id] = Note(transition, commit, hidden)
        else:
            note.take(transition, commit, hidden)
        return True

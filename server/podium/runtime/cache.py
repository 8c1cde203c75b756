"""Hot executions in memory, bounded by bytes; the store's version check makes stale ones harmless.

An entry holds only what was read from or committed to the store, never a decision that is not
durable.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from podium.engine.graph import Graph
    from podium.engine.transition import Records, Transition
    from podium.model.execution import ExecutionHeader, TaskRecord

RECORD_BYTES: Final = 600
"""What a task record costs in memory beside its payloads, roughly."""


class Entry:
    """One execution as far as it is known: header, graph and the records read or written so far."""

    __slots__ = ("graph", "header", "records", "size_bytes", "version")

    def __init__(
        self, version: int, header: ExecutionHeader | None, graph: Graph, records: Records
    ) -> None:
        self.version = version
        self.header = header
        self.graph = graph
        self.records = records
        self.size_bytes = RECORD_BYTES
        self._weigh(records)

    def merge(self, records: Records) -> None:
        """Take in records that were read at this entry's version."""
        self.records.tasks.update(records.tasks)
        self.records.attempts.update(records.attempts)
        self.records.joins.update(records.joins)
        self.records.branches.update(records.branches)
        self.records = msgspec.structs.replace(
            self.records,
            input=records.input if records.input is not None else self.records.input,
            output=records.output if records.output is not None else self.records.output,
            variables=records.variables
            if records.variables is not None
            else self.records.variables,
            complete=self.records.complete or records.complete,
        )
        self._weigh(records)

    def apply(self, transition: Transition, version: int) -> None:
        """Take in a transition that the store committed as `version`."""
        self.version = version
        self.header = transition.header
        records = self.records
        records.tasks.update(transition.tasks)
        records.attempts.update(transition.attempts)
        records.joins.update(transition.joins)
        records.branches.update(transition.branches)
        if transition.removed or transition.removed_attempts or transition.removed_branches:
            self._remove(transition)
        if (
            transition.input is not None
            or transition.output is not None
            or transition.variables is not None
        ):
            self.records = msgspec.structs.replace(
                records,
                input=transition.input if transition.input is not None else records.input,
                output=transition.output if transition.output is not None else records.output,
                variables=transition.variables
                if transition.variables is not None
                else records.variables,
            )
        for task in transition.tasks.values():
            self.size_bytes += bytes_of(task)

    def _remove(self, transition: Transition) -> None:
        records = self.records
        gone = [records.tasks.pop(key, None) for key in transition.removed]
        gone += [records.attempts.pop(each, None) for each in transition.removed_attempts]
        for key in transition.removed_branches:
            records.branches.pop(key, None)
        for task in gone:
            if task is not None:
                self.size_bytes -= bytes_of(task)

    def _weigh(self, records: Records) -> None:
        for payload in (records.input, records.output, records.variables):
            if payload is not None:
                self.size_bytes += len(payload.json)
        for task in records.tasks.values():
            if task is not None:
                self.size_bytes += bytes_of(task)


def bytes_of(task: TaskRecord) -> int:
    """What a task costs in memory, roughly."""
    return RECORD_BYTES + len(task.input.json) + len(task.output.json)


class Cache:
    """Least recently used entries go first when the bytes are over the limit."""

    def __init__(self, bytes_limit: int) -> None:
        self._bytes_limit = bytes_limit
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self.size_bytes = 0
        self.hits = 0
        self.misses = 0
        self.evictions = 0

    def get(self, workflow_id: str) -> Entry | None:
        """The entry, now the most recently used one."""
        entry = self._entries.get(workflow_id)
        if entry is None:
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(workflow_id)
        return entry

    def put(self, workflow_id: str, entry: Entry) -> None:
        """Keep an entry (again: its size is taken anew)."""
        self.size_bytes += entry.size_bytes - self._sizes.get(workflow_id, 0)
        self._sizes[workflow_id] = entry.size_bytes
        self._entries[workflow_id] = entry
        self._entries.move_to_end(workflow_id)
        while self.size_bytes > self._bytes_limit and len(self._entries) > 1:
            oldest, _ = self._entries.popitem(last=False)
            self.size_bytes -= self._sizes.pop(oldest)
            self.evictions += 1

    def drop(self, workflow_id: str) -> None:
        """Forget an entry whose truth is in doubt."""
        if self._entries.pop(workflow_id, None) is not None:
            self.size_bytes -= self._sizes.pop(workflow_id)

    def __len__(self) -> int:
        return len(self._entries)

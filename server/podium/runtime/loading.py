"""Reading executions from the store: the header and what the commands name, never more than asked.

Turns names into fields and fields into records (store/codec.py does the bytes); finds the graph of
an execution by its definition's digest. Holds no state of its own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from podium.engine.identity import split_task_id
from podium.engine.transition import (
    FetchAll,
    FetchCached,
    FetchTaskDefs,
    FetchTasks,
)
from podium.runtime.cache import Entry
from podium.store import codec
from podium.store.port import Committed, Loaded, partition_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.engine.command import Command
    from podium.engine.graph import Graph
    from podium.engine.transition import Answer, FetchPayloads, Records, TaskDefs
    from podium.store.port import Commit, Store

StoredNeed: TypeAlias = "FetchTasks | FetchAll | FetchPayloads | FetchTaskDefs | FetchCached"


class Definitions(Protocol):
    """What the loader asks of the registry."""

    async def graph(self, digest: str, inline: bytes | None) -> Graph: ...

    async def task_defs(self, names: Sequence[str]) -> TaskDefs: ...


class Loader:
    """Loads entries and answers a decision's needs."""

    def __init__(self, store: Store, definitions: Definitions) -> None:
        self._store = store
        self._definitions = definitions

    async def load(self, workflow_id: str, commands: Sequence[Command] | None) -> Entry | None:
        """The entry with the records that the commands name (None = everything), or None."""
        need = None if commands is None else _first_need(commands)
        return await self._load(workflow_id, need)

    async def load_kept(self, workflow_id: str, commands: Sequence[Command]) -> Entry | None:
        """As `load`, of a version that no failover takes back: an answer may rest on it alone."""
        while True:
            entry = await self.load(workflow_id, commands)
            if entry is None or await self._kept(workflow_id, entry.version):
                return entry

    async def _kept(self, workflow_id: str, version: int) -> bool:
        if not self._store.capabilities.replicated:
            return True
        return await self._store.kept(workflow_id, version)

    async def load_task(self, workflow_id: str, task_id: str) -> Entry | None:
        """The entry with the records of one task."""
        return await self._load(workflow_id, _need_of([task_id]))

    async def _load(self, workflow_id: str, need: FetchTasks | None) -> Entry | None:
        names = None if need is None else codec.field_names(need)
        loaded = await self._store.load(workflow_id, names)
        if loaded is None:
            return None
        return await self.entry_of(workflow_id, loaded, complete=names is None)

    async def load_archived(self, workflow_id: str) -> Entry | None:
        """All that was archived of an execution that was removed, or None."""
        value = await self._store.archived(workflow_id)
        if value is None:
            return None
        fields = await asyncio.to_thread(codec.decode_archive, value)
        return await self.entry_of(workflow_id, Loaded(0, dict(fields)), complete=True)

    async def entry_of(self, workflow_id: str, loaded: Loaded, *, complete: bool) -> Entry:
        """Of fields that were read; `complete` = all of them."""
        header, records = codec.decode_records(loaded.fields, complete=complete)
        assert header is not None, workflow_id
        inline = loaded.fields.get(codec.DEFINITION_FIELD)
        if header.inline_definition and inline is None:
            again = await self._store.load(workflow_id, [codec.DEFINITION_FIELD])
            inline = again.fields.get(codec.DEFINITION_FIELD) if again is not None else None
        graph = await self._definitions.graph(header.digest, inline)
        return Entry(loaded.version, header, graph, records)

    async def confirm(self, commit: Commit) -> Committed | Literal["overtaken"] | None:
        """What became of a commit whose answer was lost: the result, None = it did not happen.

        "overtaken": later commits stand in the way of knowing.
        """
        loaded = await self._store.load(commit.workflow_id, list(commit.fields))
        if loaded is None or loaded.version <= commit.version:
            return None
        if loaded.version > commit.version + 1:
            return "overtaken"
        if any(loaded.fields.get(name) != value for name, value in commit.fields.items()):
            return None
        if not await self._kept(commit.workflow_id, loaded.version):
            return None
        return Committed(loaded.version, await self._sequences(commit))

    async def _sequences(self, commit: Commit) -> tuple[int, ...]:
        """Outbox sequences that a commit got: its entries are the newest of its execution."""
        if not commit.outbox:
            return ()
        partition = partition_of(commit.workflow_id)
        entries = [
            entry
            for entry in await self._store.outbox([partition], commit.incarnation)
            if entry.workflow_id == commit.workflow_id
        ]
        return tuple(entry.sequence for entry in entries[-len(commit.outbox) :])

    async def answer(self, workflow_id: str, entry: Entry, need: StoredNeed) -> Answer | None:
        """Answer a need of a decision; None = the entry's version is outdated."""
        if isinstance(need, FetchTaskDefs):
            return await self._definitions.task_defs(need.names)
        if isinstance(need, FetchCached):
            return codec.decode_cached(await self._store.cached(need.name, need.after_ms))
        return await self.fetch(workflow_id, entry, need)

    async def fetch(
        self, workflow_id: str, entry: Entry, need: FetchTasks | FetchAll | FetchPayloads
    ) -> Records | None:
        """Answer a need and keep it in the entry; None = the entry's version is outdated."""
        names = None if isinstance(need, FetchAll) else codec.field_names(need)
        loaded = await self._store.load(workflow_id, names)
        if loaded is None or loaded.version != entry.version:
            return None
        _, records = codec.decode_records(loaded.fields, complete=names is None)
        entry.merge(records)
        return records


def _first_need(commands: Sequence[Command]) -> FetchTasks:
    """The tasks that the commands name by id."""
    return _need_of([getattr(command, "task_id", "") for command in commands])


def _need_of(task_ids: Sequence[str]) -> FetchTasks:
    keys: dict[str, None] = {}
    attempts: dict[tuple[str, int], None] = {}
    for task_id in task_ids:
        parts = split_task_id(task_id) if task_id else None
        if parts is not None:
            _, key, attempt = parts
            keys[key] = None
            attempts[key, attempt] = None
    return FetchTasks(keys=tuple(keys), attempts=tuple(attempts))

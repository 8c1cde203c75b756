"""Feeds the index: what commits changed is written to it a little later, in batches.

A commit leaves a durable note in the store, in its own write (`Store.changed`). While a server
lives it does not read them: it hears of its commits here, keeps the newest of each record, and
writes them together, so that a short workflow is indexed once; then the notes are taken off. What a
crash, a failing index or too many notes left over is read from the store, whole. An index that is
not the one the store was used with last is made anew from the store, in the background.

`settled` is how a search sees everything that this server has answered before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from podium.index.document import Update, task_document, text_of, workflow_document
from podium.index.port import IndexDamaged, IndexFailure
from podium.model.payload import EMPTY
from podium.runtime.notes import Notes
from podium.store.port import INDEX, PARTITIONS, Changed, DefinitionRow, StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

    from podium.engine.graph import Graph
    from podium.engine.transition import Transition
    from podium.index.port import Index
    from podium.runtime.cache import Entry
    from podium.runtime.clock import Clock
    from podium.runtime.loading import Loader
    from podium.store.port import Store

LOG = logging.getLogger("podium.index")
GATHER_MS: Final = 4_000
"""What nobody searches for waits so long, so that most executions are written once: at a thousand
tasks a second, writing them three times cost a tenth of the loop (measured).
"""
SLICE: Final = 100
"""Documents that are made in one go: a millisecond or two of the loop."""
BATCH: Final = 2_000
"""Documents of one write."""
PAGE: Final = 500
"""Ids that are read from the store at a time."""
CATCH_UP_MAX: Final = 100_000
"""Notes of the store that one round looks at."""
READY_MS: Final = 5_000
"""How long a search waits for an index that is being made."""
RETRY_MS: Final = 1_000
ROW_VERSION: Final = 1
ALL: Final = range(PARTITIONS)


class IndexUnready(Exception):
    """The index cannot be searched now; the text is for a client."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


ABSENT: Final = "expected a server with an index, found one without"
FAILED: Final = "expected an index that answers, found that it fails; the server tries again"
BEHIND: Final = "expected an index that is up to date, found it catching up; try again"
STOPPED: Final = "expected a server that runs, found that it stops"


class Indexer:
    """Of one server. Without an index it keeps nothing and every search is refused."""

    def __init__(
        self, *, index: Index | None, store: Store, loader: Loader, clock: Clock, incarnation: str
    ) -> None:
        self._index = index
        self._store = store
        self._loader = loader
        self._clock = clock
        self._incarnation = incarnation
        self._notes = Notes()
        self._behind = True
        """The store has notes that are none of `_notes`."""
        self._far_behind = False
        """It has more of them than one round looks at."""
        self._whole = asyncio.Event()
        self._damaged = False
        self._read_count = 0
        self._in_round = False
        self._something = asyncio.Event()
        self._hurry = asyncio.Event()
        self._next: list[asyncio.Future[None]] = []
        """Wait for a round that begins from now on."""
        self._present: list[asyncio.Future[None]] = []
        """Wait for the end of the present round."""
        self.written = 0
        """Updates."""

    def committed(self, transition: Transition, commit: int, graph: Graph) -> None:
        """A commit of this server is durable."""
        if self._index is None:
            return
        if not self._notes.take(transition, commit, graph.definition.masked_fields):
            self._behind = True
        if self._notes.many:
            self._hurry.set()
        self._something.set()

    def look_again(self) -> None:
        """The store may have notes of which nothing was told here."""
        self._behind = True
        self._something.set()

    def damaged(self) -> None:
        """A search found that the index is none."""
        self._damaged = True
        self._whole.clear()
        self._something.set()
        self._hurry.set()

    async def settled(self) -> Index:
        """The index, once it holds all that this server committed before. Raises IndexUnready."""
        if self._index is None:
            raise IndexUnready(ABSENT)
        if not self._whole.is_set():
            await self._made()
        if self._notes or self._behind or self._in_round:
            await self._round_over()
        if self._far_behind:
            raise IndexUnready(BEHIND)
        return self._index

    async def _made(self) -> None:
        try:
            async with asyncio.timeout(READY_MS / 1000):
                await self._whole.wait()
        except TimeoutError:
            raise IndexUnready(
                "expected an index that is whole, found it being made from the store:"
                f" {self._read_count} executions so far; try again"
            ) from None

    async def _round_over(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._notes or self._behind:
            self._next.append(future)
            self._hurry.set()
            self._something.set()
        else:
            self._present.append(future)
        await future

    async def run(self) -> None:
        """Write until cancelled."""
        if self._index is None:
            return
        while True:
            try:
                if not self._whole.is_set():
                    await self._begin(self._index)
                await self._pause()
                await self._round(self._index)
            except IndexDamaged:
                LOG.exception("the index is made anew", extra={"event": "index_damaged"})
                self.damaged()
                self._fail_waiting(FAILED)
            except (IndexFailure, StoreError):
                LOG.exception("the index was not written", extra={"event": "index_failed"})
                self._fail_waiting(FAILED)
                await self._clock.sleep(RETRY_MS)

    async def drain(self) -> None:
        """Write what is noted, at a stop in good order."""
        if self._index is not None and self._whole.is_set() and (self._notes or self._in_round):
            with contextlib.suppress(IndexUnready):
                await self._round_over()

    def stop(self) -> None:
        """Nobody waits any longer."""
        self._fail_waiting(STOPPED)

    async def _pause(self) -> None:
        """Until there is something to write, and somebody asks for it or some time is over."""
        if not self._behind:
            await self._something.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GATHER_MS / 1000):
                await self._hurry.wait()

    async def _round(self, index: Index) -> None:
        """Write all that is noted now. Where it fails, the store has a note of each."""
        self._something.clear()
        self._hurry.clear()
        self._present, self._next = [*self._present, *self._next], []
        notes, self._notes = self._notes, Notes()
        behind, self._behind = self._behind, False
        self._in_round, over = True, False
        try:
            await self._write(index, _each(note.update() for note in notes.by_workflow.values()))
            if behind:
                await self._catch_up(index)
            over = True
        finally:
            self._in_round = False
            self._behind = self._behind or not over
        done, self._present = self._present, []
        for future in done:
            if not future.done():
                future.set_result(None)

    def _fail_waiting(self, why: str) -> None:
        failed = [*self._present, *self._next]
        self._present, self._next = [], []
        for future in failed:
            if not future.done():
                future.set_exception(IndexUnready(why))

    async def _write(self, index: Index, updates: AsyncIterator[Update]) -> None:
        """In batches of documents, made in slices, so that the loop is never away for long."""
        batch: list[Update] = []
        size = made = 0
        async for update in updates:
            batch.append(update)
            count = 1 + len(update.tasks)
            size, made = size + count, made + count
            if size >= BATCH:
                await self._put(index, batch)
                batch, size, made = [], 0, 0
            elif made >= SLICE:
                made = 0
                await self._clock.sleep(0)
        if batch:
            await self._put(index, batch)

    async def _put(self, index: Index, batch: Sequence[Update]) -> None:
        await index.write(batch)
        self.written += len(batch)
        whole = [each for each in batch if not each.more]
        await self._store.indexed([_change_of(each) for each in whole])

    # From the store

    async def _catch_up(self, index: Index) -> None:
        """What the store has notes of at this moment."""
        changes = await self._store.changed(ALL, CATCH_UP_MAX)
        await self._write(index, self._read({each.workflow_id: None for each in changes}))
        for first in range(0, len(changes), PAGE):  # those that cannot be read, and older notes
            await self._store.indexed(changes[first : first + PAGE])
        self._far_behind = len(changes) == CATCH_UP_MAX
        self._behind = self._behind or self._far_behind

    async def _read(self, workflow_ids: Iterable[str]) -> AsyncIterator[Update]:
        """Each as it is stored, or archived, or gone."""
        for workflow_id in workflow_ids:
            try:
                entry, archived = await self._loader.load(workflow_id, None), False
                if entry is None:
                    entry, archived = await self._loader.load_archived(workflow_id), True
            except StoreError:
                raise
            except Exception:
                # It is parked when it is decided on; the others shall be found.
                noted = {"event": "index_passed_over", "workflow_id": workflow_id}
                LOG.exception("an execution cannot be read, so it is not indexed", extra=noted)
                continue
            self._read_count += 1
            if entry is None:
                yield Update(workflow_id=workflow_id)
                continue
            for update in updates_of(entry, archived=archived):
                yield update

    async def _begin(self, index: Index) -> None:
        """Make it anew where it is not the index of this store's last life."""
        if self._damaged or not await self._is_of_the_store(index):
            await self._make(index)
            self._damaged = False
        row = DefinitionRow(INDEX, INDEX, ROW_VERSION, self._incarnation.encode())
        await self._store.put_definition(row, overwrite=True)
        await index.set_origin(self._incarnation)
        self._whole.set()

    async def _is_of_the_store(self, index: Index) -> bool:
        """Both hold what the last life that used them together said."""
        origin = await index.origin()
        row = await self._store.get_definition(INDEX, INDEX, ROW_VERSION)
        return origin != "" and row is not None and row.value == origin.encode()

    async def _make(self, index: Index) -> None:
        """From the store, while that is used: what is committed meanwhile is written between."""
        await index.reset()
        self._read_count = 0
        async for page in self._stored():
            await self._write(index, self._read(page))
            if self._notes:
                await self._round(index)
        if self._read_count:
            noted = {"event": "index_made", "executions": self._read_count}
            LOG.info("the index was made anew", extra=noted)

    async def _stored(self) -> AsyncIterator[list[str]]:
        """Ids of all executions, those that are archived last."""
        for partition in ALL:
            after = ""
            while page := await self._store.scan(partition, after, PAGE):
                yield page
                after = page[-1]
        after = ""
        while page := await self._store.archived_after(after, PAGE):
            yield page
            after = page[-1]


async def _each(updates: Iterable[Update]) -> AsyncIterator[Update]:
    for update in updates:
        yield update


def _change_of(update: Update) -> Changed:
    """The store's note of what the update says."""
    workflow = update.workflow
    if workflow is None or workflow.archived:
        return Changed(update.workflow_id, 0)
    return Changed(update.workflow_id, workflow.commit)


def updates_of(entry: Entry, *, archived: bool) -> Iterator[Update]:
    """All there is of an execution, a slice of its tasks at a time."""
    header, records = entry.header, entry.records
    assert header is not None
    hidden = entry.graph.definition.masked_fields
    workflow = workflow_document(
        header,
        # Each commit writes one history row; a copy knows nothing else of its version.
        header.history_position if archived else entry.version,
        input=text_of(records.input or EMPTY, hidden),
        output=text_of(records.output or EMPTY, hidden),
        archived=archived,
    )
    tasks = [each for each in (*records.tasks.values(), *records.attempts.values()) if each]
    for first in range(0, len(tasks) or 1, SLICE):
        yield Update(
            workflow_id=header.id,
            workflow=workflow,
            whole=first == 0,
            more=first + SLICE < len(tasks),
            tasks=tuple(task_document(task, hidden) for task in tasks[first : first + SLICE]),
        )

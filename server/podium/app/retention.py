"""Retention: executions that ended are removed some time later, archived copies later still.

Each server walks through the partitions that it owns, reads headers, and removes what is over in
batches at a bounded rate. Nothing remembers how far it came: what is left after a death is found by
the next walk. A removal is of the version that was looked at, so nothing that runs, or runs again
meanwhile, goes. A child stays as long as an ancestor is not over: that one may run it again.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from podium.app.closed_folder import ClosedFolder
from podium.app.document import execution_document
from podium.app.masking import masked
from podium.app.reading import view_of
from podium.model.payload import Payload
from podium.place import CannotServe
from podium.runtime.loading import Loader
from podium.runtime.measure import Tally
from podium.store import codec
from podium.store.port import TOMBSTONE_MS, StoreError, partition_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.app.services import Services
    from podium.config_retention import Retention as Settings
    from podium.model.execution import ExecutionHeader
    from podium.runtime.cache import Entry
    from podium.store.port import Loaded

LOG = logging.getLogger("podium.retention")
PAGE: Final = 50
"""Ids at a time: their headers cost the loop 2 ms (SQLite) to 5 ms (Redis), measured."""
LOOKS_PER_REMOVAL: Final = 5
"""A walk reads so many headers in the time of one removal: were it slower than what ends, it would
never catch up.
"""
TOGETHER: Final = 20
"""Removals under way at a time: they share the store's syncs."""
LINES_BYTES: Final = 16 * 1024 * 1024
"""With more than this a batch is written and removed early."""
REST_PART: Final = 100
"""Between walks passes this part of the shortest time that anything is kept, within limits."""
REST_MS_MIN: Final = 1_000
REST_MS_MAX: Final = 3_600_000
EXECUTION: Final = "execution"
COPY: Final = "copy"


class Leaving(msgspec.Struct, frozen=True):
    """An execution that is to go, as it was looked at; `line` and `kept` where they are wanted."""

    id: str
    version: int
    ended_ms: int
    line: bytes = b""
    kept: bytes | None = None


class Retention:
    """Of one server. Without a time to keep anything it does nothing."""

    def __init__(self, services: Services, settings: Settings) -> None:
        self._services = services
        self._store = services.store
        self._clock = services.clock
        self._settings = settings
        self._closed_ms = settings.closed_seconds * 1_000
        self._archived_ms = settings.archived_seconds * 1_000
        self._loader = Loader(services.store, services.registry)
        self._folder: ClosedFolder | None = None
        if settings.folder:
            incarnation = services.runtime.incarnation
            self._folder = ClosedFolder(Path(settings.folder), incarnation)
        self._running: asyncio.Task[None] | None = None
        self._looked = 0
        self.removed = Tally()
        """Executions and copies."""
        self.late_ms = 0
        """How long the latest of the last batch was over; 0 = the last walk found nothing."""

    def start(self) -> None:
        """Begin to walk. Raises CannotServe."""
        if self._folder is not None:
            try:
                self._folder.open()
            except OSError as problem:
                raise CannotServe(
                    "retention.folder: expected a folder that can be written to, found"
                    f" {self._settings.folder}: {problem.strerror}"
                ) from None
        if self._closed_ms or self._archived_ms:
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """At once: the next life goes on."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait((self._running,))

    async def _run(self) -> None:
        kept = [each for each in (self._closed_ms, self._archived_ms) if each]
        rest_ms = min(max(min(kept) // REST_PART, REST_MS_MIN), REST_MS_MAX)
        while True:
            try:
                await self.walk()
            except Exception:  # the store, the folder; whatever it is, another walk is tried
                noted = {"event": "retention_failed"}
                LOG.exception("closed executions wait to be removed; tried again", extra=noted)
            await self._clock.sleep(rest_ms)

    async def walk(self) -> None:
        """Look at everything that this server owns, once. Raises StoreError, OSError."""
        before = dict(self.removed.counts)
        if self._closed_ms:
            members = self._services.runtime.members
            for partition in members.owned:
                if partition in members.owned:  # still, a long walk later
                    await self._executions(partition)
        if self._archived_ms:
            await self._copies()
        executions, copies = (
            self.removed.counts.get(kind, 0) - before.get(kind, 0) for kind in (EXECUTION, COPY)
        )
        if not executions:
            self.late_ms = 0
        if executions or copies:
            noted = {"event": "retention_walked", "executions": executions, "copies": copies}
            LOG.info("what was over is removed", extra=noted)

    async def _executions(self, partition: int) -> None:
        after = ""
        while ids := await self._store.scan(partition, after, PAGE):
            after = ids[-1]
            headers = await asyncio.gather(*map(self._header, ids))
            over = [each.id for each in headers if each is not None and self._is_over(each)]
            for first in range(0, len(over), TOGETHER):
                await self._remove(over[first : first + TOGETHER])
            await self._looked_at(len(ids))
        await self._looked_at(1)

    async def _looked_at(self, count: int) -> None:
        """Rest a little where it was much."""
        self._looked += count
        if self._looked >= PAGE:
            looked, self._looked = self._looked, 0
            per_second = LOOKS_PER_REMOVAL * self._settings.removals_per_second
            await self._clock.sleep(looked * 1_000 // per_second)

    async def _header(self, workflow_id: str) -> ExecutionHeader | None:
        """None = it is gone, or cannot be read: then it is Verify's."""
        loaded = await self._store.load(workflow_id, [codec.HEADER_FIELD])
        value = None if loaded is None else loaded.fields.get(codec.HEADER_FIELD)
        return None if value is None else _decoded(value)

    def _is_over(self, header: ExecutionHeader) -> bool:
        return (
            header.status.terminal
            and not header.pending
            and 0 < header.ended_ms <= self._clock.now_ms() - self._closed_ms
        )

    async def _is_needed(self, header: ExecutionHeader) -> bool:
        """An ancestor is not over: it runs, or may be told to run again with its children."""
        parent = header.parent
        while parent is not None:
            loaded = await self._store.load(parent.workflow_id, [codec.HEADER_FIELD])
            value = None if loaded is None else loaded.fields.get(codec.HEADER_FIELD)
            if value is None:
                return False
            above = _decoded(value)
            if above is None or not self._is_over(above):
                return True
            parent = above.parent
        return False

    async def _remove(self, workflow_ids: Sequence[str]) -> None:
        leaving: list[Leaving] = []
        size = 0
        for workflow_id in workflow_ids:
            each = await self._leaving(workflow_id)
            if each is None:
                continue
            leaving.append(each)
            size += len(each.line) + len(each.kept or b"")
            if size > LINES_BYTES:
                await self._let_go(leaving)
                leaving, size = [], 0
        await self._let_go(leaving)

    async def _leaving(self, workflow_id: str) -> Leaving | None:
        """It as it is stored now; None = it stays."""
        whole = self._folder is not None or self._settings.archive
        loaded = await self._store.load(workflow_id, None if whole else [codec.HEADER_FIELD])
        value = None if loaded is None else loaded.fields.get(codec.HEADER_FIELD)
        header = None if value is None else _decoded(value)
        if loaded is None or header is None or not self._is_over(header):
            return None
        if await self._is_needed(header):
            return None
        line, kept = b"", None
        if self._folder is not None:
            line = await self._line(workflow_id, loaded)
            if not line:
                return None
        if self._settings.archive:
            kept = await asyncio.to_thread(codec.encode_archive, loaded.fields)
        return Leaving(workflow_id, loaded.version, header.ended_ms, line, kept)

    async def _line(self, workflow_id: str, loaded: Loaded) -> bytes:
        """Empty where it cannot be written."""
        try:
            entry = await self._loader.entry_of(workflow_id, loaded, complete=True)
            return await asyncio.to_thread(line_of, entry)
        except StoreError:
            raise
        except Exception:  # others shall go
            noted = {"event": "retention_passed_over", "workflow_id": workflow_id}
            LOG.exception("an execution cannot be read, so it stays", extra=noted)
            return b""

    async def _let_go(self, leaving: Sequence[Leaving]) -> None:
        """Written first, then removed: after a death between, a line may stand twice."""
        if not leaving:
            return
        if self._folder is not None:
            now_ms = self._clock.now_ms()
            await asyncio.to_thread(self._folder.write, [each.line for each in leaving], now_ms)
        removed = await asyncio.gather(*map(self._remove_one, leaving))
        self._services.runtime.indexer.look_again()
        now_ms = self._clock.now_ms()
        self.late_ms = max(now_ms - each.ended_ms - self._closed_ms for each in leaving)
        await self._pace(sum(removed))

    async def _remove_one(self, leaving: Leaving) -> bool:
        """False = it changed just now, or effects of it are on their way: another time."""
        until_ms = self._clock.now_ms() + TOMBSTONE_MS
        removed = await self._store.remove(
            leaving.id, leaving.version, until_ms, archive=leaving.kept
        )
        self._services.executor.forget(leaving.id)
        if removed:
            self.removed.add(EXECUTION)
        return removed

    async def _pace(self, count: int) -> None:
        await self._clock.sleep(count * 1_000 // self._settings.removals_per_second)

    # Archived copies

    async def _copies(self) -> None:
        """A copy is the owner's of its execution's partition."""
        after = ""
        while ids := await self._store.archived_after(after, PAGE):
            after = ids[-1]
            owned = set(self._services.runtime.members.owned)
            for each in ids:
                if partition_of(each) in owned and await self._copy_is_over(each):
                    if await self._store.remove_archived(each):
                        self.removed.add(COPY)
                        self._services.runtime.indexer.look_again()
                    await self._pace(1)
            await self._looked_at(len(ids))

    async def _copy_is_over(self, workflow_id: str) -> bool:
        value = await self._store.archived(workflow_id)
        header = None if value is None else await asyncio.to_thread(_header_in, value)
        return header is not None and header.ended_ms <= self._clock.now_ms() - self._archived_ms


def line_of(entry: Entry) -> bytes:
    """The execution as clients read it, values that its definition masks masked. It may take long:
    not for the loop.
    """
    view = masked(view_of(entry, tasks=True))
    return Payload.of(execution_document(view)).json + b"\n"


def _decoded(value: bytes) -> ExecutionHeader | None:
    """None = it cannot be read."""
    try:
        return codec.decode_header(value)
    except (codec.StoredFormatUnknown, msgspec.DecodeError):
        return None


def _header_in(copy: bytes) -> ExecutionHeader | None:
    try:
        return _decoded(codec.decode_archive(copy)[codec.HEADER_FIELD])
    except (codec.StoredFormatUnknown, msgspec.DecodeError, KeyError):
        return None

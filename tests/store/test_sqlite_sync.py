"""The sync of the sqlite store: replies wait for it; what if it fails, or its child dies."""

import asyncio
import errno
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from podium.store import sync_child
from podium.store.port import Committed, StoreUnavailable
from podium.store.sqlite import SqliteStore
from podium.store.sync_child import SyncChild
from tests.store.committing import now_ms, start_of

Call = Callable[[int], None]


@asynccontextmanager
async def opened(path: Path, sync: Call | None = None) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, now_ms, sync=sync)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def child_of(store: SqliteStore) -> SyncChild:
    assert isinstance(store.file.sync, SyncChild)
    return store.file.sync


async def assert_stored(path: Path, numbers: range) -> None:
    async with opened(path) as store:
        for number in numbers:
            assert await store.load(start_of(number).workflow_id, ["h"]) is not None


class Gate:
    """A sync that says when it began and ends when told."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)
        self.calls = 0
        self.open = False

    def __call__(self, descriptor: int) -> None:
        if self.open:
            return
        self.calls += 1
        self.began.release()
        self.may_end.acquire()


async def test_a_commit_is_answered_after_its_sync_only(tmp_path: Path) -> None:
    # Given a store whose sync has begun and not ended
    gate = Gate()
    async with opened(tmp_path / "p.db", gate) as store:
        committing = asyncio.ensure_future(store.commit([start_of(1)]))
        await asyncio.to_thread(gate.began.acquire)
        # When somebody reads what was written
        loading = asyncio.ensure_future(store.load(start_of(1).workflow_id, ["h"]))
        done, _ = await asyncio.wait({committing, loading}, timeout=0.05)
        # Then neither is answered
        assert not done
        # And both are when the sync ends
        gate.may_end.release()
        assert await committing == [Committed(1, (1,))]
        loaded = await loading
        assert loaded is not None
        assert loaded.version == 1
        gate.open = True


async def test_a_sync_covers_only_what_was_written_before_it_began(tmp_path: Path) -> None:
    # Given a commit in its sync
    gate = Gate()
    async with opened(tmp_path / "p.db", gate) as store:
        first = asyncio.ensure_future(store.commit([start_of(1)]))
        await asyncio.to_thread(gate.began.acquire)
        # When two more are written meanwhile
        later = [asyncio.ensure_future(store.commit([start_of(number)])) for number in (2, 3)]
        gate.may_end.release()
        await first
        await asyncio.to_thread(gate.began.acquire)
        # Then they wait for a sync of their own, which they share
        assert not any(each.done() for each in later)
        gate.may_end.release()
        await asyncio.gather(*later)
        assert gate.calls == 2
        gate.open = True


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
async def test_a_failed_sync_acknowledges_nothing_and_the_store_recovers(
    tmp_path: Path, number: int
) -> None:
    # Given a disk that fails one sync
    failures = [number]

    def sync(descriptor: int) -> None:
        if failures:
            raise OSError(failures.pop(), "planted")
        os.fdatasync(descriptor)

    path = tmp_path / "p.db"
    async with opened(path, sync) as store:
        # When a commit meets it
        # Then its outcome is unknown
        with pytest.raises(StoreUnavailable):
            await store.commit([start_of(1)])
        # And the next is stored, after all in the log went into the database file
        assert [type(each) for each in await store.commit([start_of(2)])] == [Committed]
        assert (path.stat().st_size) > 0
        assert await store.load(start_of(1).workflow_id, ["h"]) is not None
    await assert_stored(path, range(1, 3))


async def test_a_sync_that_keeps_failing_keeps_the_store_unavailable(tmp_path: Path) -> None:
    failing = True

    def sync(descriptor: int) -> None:
        if failing:
            raise OSError(errno.EIO, "planted")

    path = tmp_path / "p.db"
    async with opened(path, sync) as store:
        for attempt in range(3):
            with pytest.raises(StoreUnavailable):
                await store.commit([start_of(attempt)])
        failing = False
        assert [type(each) for each in await store.commit([start_of(9)])] == [Committed]


async def test_a_removed_log_is_noticed_and_nothing_is_lost(tmp_path: Path) -> None:
    # Given a store with commits in its log
    path = tmp_path / "p.db"
    async with opened(path) as store:
        await store.commit([start_of(1)])
        # When somebody removes the log
        (tmp_path / "p.db-wal").unlink()
        # Then the next commit is not acknowledged
        with pytest.raises(StoreUnavailable):
            await store.commit([start_of(2)])
        # And those after it are
        await store.commit([start_of(3)])
        assert (tmp_path / "p.db-wal").exists()
    await assert_stored(path, range(1, 4))


async def test_a_child_that_dies_is_replaced_before_anybody_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path / "p.db") as store:
        await store.commit([start_of(0)])
        for number in range(1, 4):
            # Given a child that is stopped, so that it dies with the request unanswered
            before = child_of(store).pid
            os.kill(before, signal.SIGSTOP)
            committing = asyncio.ensure_future(store.commit([start_of(number)]))
            done, _ = await asyncio.wait({committing}, timeout=0.05)
            assert not done
            # When it is killed
            os.kill(before, signal.SIGKILL)
            # Then another one syncs, and the commit is acknowledged
            assert [type(each) for each in await committing] == [Committed]
            assert child_of(store).pid not in (0, before)


async def test_a_child_that_dies_idle_is_replaced(tmp_path: Path) -> None:
    async with opened(tmp_path / "p.db") as store:
        before = child_of(store).pid
        os.kill(before, signal.SIGKILL)
        assert [type(each) for each in await store.commit([start_of(1)])] == [Committed]
        assert child_of(store).pid not in (0, before)


async def test_children_that_all_die_make_the_store_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_child, "PROGRAM", "import os\nos.read(0, 1)\n")
    async with opened(tmp_path / "p.db") as store:
        with pytest.raises(StoreUnavailable):
            await store.commit([start_of(1)])
        monkeypatch.undo()
        assert [type(each) for each in await store.commit([start_of(2)])] == [Committed]


async def test_closing_leaves_no_child_and_no_log(tmp_path: Path) -> None:
    async with opened(tmp_path / "p.db") as store:
        await store.commit([start_of(1)])
        pid = child_of(store).pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not (tmp_path / "p.db-wal").exists()


async def test_what_was_written_at_the_close_is_answered(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "p.db", now_ms)
    await store.open()
    committing = asyncio.ensure_future(store.commit([start_of(1)]))
    await asyncio.sleep(0)
    await store.close()
    assert [type(each) for each in await committing] == [Committed]


def test_uvloop_serves_the_child(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path / "p.db") as store:
            for number in range(20):
                await store.commit([start_of(number)])

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    asyncio.run(assert_stored(tmp_path / "p.db", range(20)))

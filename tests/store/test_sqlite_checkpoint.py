"""Checkpoints of the sqlite store: beside commits, with failures in each step, after a crash."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podium.model.queue import Queue
from podium.store import sqlite_file
from podium.store.port import Committed, StoreUnavailable
from podium.store.sqlite import SqliteStore
from podium.store.sync_child import DATABASE, Ended
from tests.store.committing import now_ms, start_of

QUEUE = Queue("t")
Problems = list[dict[str, object]]


@pytest.fixture
async def loop_problems() -> AsyncIterator[Problems]:
    """What callbacks raised: asyncio would only log it."""
    found: Problems = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: found.append(context))
    yield found
    assert found == []


@pytest.fixture
async def store(tmp_path: Path, loop_problems: Problems) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "p.db", now_ms)
    await store.open()
    yield store
    await store.close()


async def commit(store: SqliteStore, first: int, count: int = 5) -> None:
    group = [start_of(number) for number in range(first, first + count)]
    assert [type(each) for each in await store.commit(group)] == [Committed] * count


async def assert_stored(store: SqliteStore, numbers: range) -> None:
    for number in numbers:
        loaded = await store.load(start_of(number).workflow_id, ["h"])
        assert loaded is not None, number
        assert loaded.fields == {"h": b"header of %d" % number}


def log_bytes(path: Path) -> int:
    return Path(f"{path}-wal").stat().st_size


def files_of(path: Path) -> list[Path]:
    return list(path.parent.glob(f"{path.name}*"))


def copy_files(path: Path, copy: Path) -> None:
    copy.mkdir()
    for each in files_of(path):
        shutil.copy(each, copy)


async def assert_copy_is_whole(path: Path, copy: Path, numbers: range) -> None:
    """The files as a kill would leave them now."""
    copy_files(path, copy)
    store = SqliteStore(copy / path.name, now_ms)
    await store.open()
    await assert_stored(store, numbers)
    await store.close()


class FailingDatabase:
    """Takes the place of `request`: the syncs of the database file fail so many times."""

    def __init__(self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
        self.failures = failures
        self.asked: list[bytes] = []
        self._request = store.file.sync.request
        monkeypatch.setattr(store.file.sync, "request", self)

    def __call__(self, target: bytes, ended: Ended) -> None:
        self.asked.append(target)
        if target == DATABASE and self.failures:
            self.failures -= 1
            asyncio.get_running_loop().call_soon(ended, "planted")
        else:
            self._request(target, ended)


def forbid_recovery(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(5, "planted")

    monkeypatch.setattr(store.file, "_begin_anew", fail)


async def test_commits_and_checkpoints_go_side_by_side(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a store that is checkpointed after each few frames
    monkeypatch.setattr(sqlite_file, "FRAMES_MAX", 50)
    # When many commit at once, some while a checkpoint is under way
    await asyncio.gather(*(commit(store, 5 * number) for number in range(100)))
    for number in range(100, 150):
        await commit(store, 5 * number)
    # Then all is there, and the log did not grow
    assert store.file.checkpoints > 5
    await assert_stored(store, range(750))
    before = log_bytes(store.file.path)
    await commit(store, 750)
    await store.file.checkpoint()
    await commit(store, 755)
    assert log_bytes(store.file.path) == before


def held(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[Ended]:
    """The syncs of the database file wait until they are called back."""
    ends: asyncio.Queue[Ended] = asyncio.Queue()
    request = store.file.sync.request

    def hold(target: bytes, ended: Ended) -> None:
        if target == DATABASE:
            ends.put_nowait(ended)
        else:
            request(target, ended)

    monkeypatch.setattr(store.file.sync, "request", hold)
    return ends


async def test_reads_are_answered_and_writes_wait_during_a_checkpoint(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await commit(store, 0)
    ends = held(store, monkeypatch)
    # Given a checkpoint whose pages are copied and not yet synced
    checkpointing = asyncio.ensure_future(store.file.checkpoint())
    end = await ends.get()
    # When somebody reads and somebody writes
    await assert_stored(store, range(5))
    committing = asyncio.ensure_future(commit(store, 5))
    done, _ = await asyncio.wait({committing, checkpointing}, timeout=0.05)
    # Then only the read is answered
    assert not done
    # And the write is when the pages are synced
    end("")
    await committing
    await checkpointing


async def test_a_store_that_is_closed_during_a_checkpoint_writes_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop_problems: Problems
) -> None:
    # Given a store with something to write at its end, whose checkpoint is under way
    path = tmp_path / "p.db"
    store = SqliteStore(path, now_ms)
    await store.open()
    await commit(store, 0)
    await store.poll_seen(QUEUE, "w")
    ends = held(store, monkeypatch)
    checkpointing = asyncio.ensure_future(store.file.checkpoint())
    end = await ends.get()
    # When it is closed
    written = store.file.written
    closing = asyncio.ensure_future(store.close())
    await asyncio.wait({closing}, timeout=0.05)
    assert store.file.written == written
    end("")
    await asyncio.gather(checkpointing, closing)
    # Then that is stored, and all the rest
    again = SqliteStore(path, now_ms)
    await again.open()
    await assert_stored(again, range(5))
    assert set(await again.poll_data(QUEUE.task_type)) == {(QUEUE.domain, "w")}
    await again.close()


async def test_a_member_comes_while_its_own_sync_begins_a_checkpoint(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "FRAMES_MAX", 1)
    await store.poll_seen(QUEUE, "w")
    await store.heartbeat("first")
    await store.file.checkpoint()
    assert store.file.checkpoints
    assert "first" in (await store.heartbeat("second")).members


async def test_an_idle_store_is_checkpointed(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = asyncio.Event()
    keep = store.file.reserve.keep
    monkeypatch.setattr(store.file.reserve, "keep", lambda: (keep(), copied.set()))
    monkeypatch.setattr(sqlite_file, "IDLE_FRAMES", 1)
    monkeypatch.setattr(sqlite_file, "IDLE_S", 0.0)
    await commit(store, 0)
    await copied.wait()
    assert store.file.checkpoints == 1
    await assert_stored(store, range(5))


async def test_a_database_that_cannot_be_synced_costs_nothing_acknowledged(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given commits in the log, and a disk that fails the sync of the database file
    await commit(store, 0)
    disk = FailingDatabase(store, monkeypatch, 1)
    with monkeypatch.context() as for_now:
        forbid_recovery(store, for_now)
        with pytest.raises(StoreUnavailable):
            await store.file.checkpoint()
        assert disk.asked == [DATABASE]
        # Then nothing may be written on top, and reads are answered
        with pytest.raises(StoreUnavailable):
            await store.commit([start_of(99)])
        await assert_stored(store, range(5))
    # And nothing is lost by a kill in that moment
    await assert_copy_is_whole(store.file.path, tmp_path / "killed", range(5))
    # And the store goes on, with all pages written again and the log begun anew
    await commit(store, 5)
    await store.file.checkpoint()
    await commit(store, 10)
    await assert_stored(store, range(15))
    await assert_copy_is_whole(store.file.path, tmp_path / "later", range(15))
    assert await store.load(start_of(99).workflow_id, None) is None


async def test_a_store_closed_after_a_failed_database_sync_keeps_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a store whose pages were copied, not synced, and that cannot recover
    path = tmp_path / "p.db"
    store = SqliteStore(path, now_ms)
    await store.open()
    await commit(store, 0)
    FailingDatabase(store, monkeypatch, 1)
    forbid_recovery(store, monkeypatch)
    with pytest.raises(StoreUnavailable):
        await store.file.checkpoint()
    # When it is closed
    await store.close()
    # Then the log, the only copy known to be good, is still there
    assert log_bytes(path) > 4096
    assert {each.name for each in files_of(path)} == {"p.db", "p.db-wal", "p.db-reserve"}
    again = SqliteStore(path, now_ms)
    await again.open()
    await assert_stored(again, range(5))
    await again.close()

"""What only a store that outlives its process can show: starts again with what it had."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import msgspec
import pytest

from podium.model.execution import Lease, TaskStatus
from podium.model.queue import Limits, Outstanding, Queue, Ready
from podium.store import codec
from podium.store.audit import AuditEntry, AuditQuery
from podium.store.conformance.subject import (
    NEIGHBOUR,
    PARTITION,
    QUEUE,
    SERVER,
    STRANGER,
    WORKFLOW,
    first,
    task,
)
from podium.store.port import Commit, Committed, Conflict, Idempotency, StoreClosed, StoreError
from podium.store.queue_view import POLL_DATA_MS, OutstandingCount
from podium.store.sqlite import PURGE_MS, SqliteStore
from podium.store.sqlite_schema import MIGRATIONS, SCHEMA, SCHEMA_VERSION
from tests.store.samples import RECORD
from tests.store.subjects import Clock, unsynced

EVERY_ROW = AuditQuery(from_ms=0, until_ms=2**62, name="name", before=2**62, limit=9)
TWO_A_SECOND = Limits(rate=2, rate_window_ms=1_000)


@asynccontextmanager
async def opened(folder: Path, clock: Clock) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(folder / "podium.db", clock.now_ms, sync=unsynced)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def test_a_start_that_exists_hurts_no_other_of_its_batch(tmp_path: Path) -> None:
    # Given an execution that this process has not met yet
    clock = Clock()
    async with opened(tmp_path, clock) as store:
        await store.commit([first(WORKFLOW)])
    async with opened(tmp_path, clock) as store:
        # When a batch starts it again, among others with effects
        others = [
            Commit(workflow_id=each, version=0, outbox=(b"effect",), incarnation=SERVER)
            for each in (NEIGHBOUR, STRANGER)
        ]
        results = await store.commit([others[0], first(WORKFLOW), others[1]])
        # Then it alone is refused, and no number was spent on the way
        assert results == [Committed(1, (1,)), Conflict(1), Committed(1, (2,))]
        loaded = await store.load(WORKFLOW, None)
        assert loaded is not None
        assert loaded.version == 1


async def test_a_keyed_start_that_is_repeated_after_a_restart_meets_itself(tmp_path: Path) -> None:
    clock = Clock()
    start = Commit(workflow_id=WORKFLOW, version=0, idempotency=Idempotency("n", "k", "FAIL"))
    async with opened(tmp_path, clock) as store:
        assert await store.commit([start]) == [Committed(1)]
    async with opened(tmp_path, clock) as store:
        assert await store.commit([start]) == [Conflict(1)]


async def test_the_rate_holds_across_a_restart(tmp_path: Path) -> None:
    # Given a rated type with two hand-outs whose leases are stored
    clock = Clock()
    tasks = tuple(Ready(task(number), QUEUE, number, TWO_A_SECOND) for number in range(3))
    async with opened(tmp_path, clock) as store:
        await store.commit([Commit(workflow_id=WORKFLOW, version=0, ready=tasks)])
        await store.push_assign(tasks)
        await store.want(SERVER, QUEUE, 2, kind="stream", limits=TWO_A_SECOND)
        unready = tuple(each.task_id for each in tasks[:2])
        await store.commit([Commit(workflow_id=WORKFLOW, version=1, unready=unready)])
    # When the process starts again within the window
    clock.at_ms += 400
    async with opened(tmp_path, clock) as store:
        result = await store.want(SERVER, QUEUE, 2, kind="stream", limits=TWO_A_SECOND)
        # Then nothing is admitted until it is over
        assert (result.claims, result.backlog) == ((), True)
        assert result.at_ms == clock.at_ms + 600


async def test_members_poll_data_and_sequences_go_on(tmp_path: Path) -> None:
    clock = Clock()
    effect = Commit(workflow_id=WORKFLOW, version=0, outbox=(b"e",), incarnation=SERVER)
    async with opened(tmp_path, clock) as store:
        await store.heartbeat(SERVER)
        await store.poll_seen(Queue("resize", "eu"), "worker")
        ((sequence,),) = [
            each.outbox for each in await store.commit([effect]) if isinstance(each, Committed)
        ]
        await store.outbox_done(0x3F, SERVER, [sequence])
    async with opened(tmp_path, clock) as store:
        assert SERVER in (await store.heartbeat("server-c")).members
        assert await store.poll_data("resize") == {("eu", "worker"): clock.at_ms}
        later = Commit(workflow_id=NEIGHBOUR, version=0, outbox=(b"e",), incarnation=SERVER)
        assert await store.commit([later]) == [Committed(1, (sequence + 1,))]


async def test_a_file_of_a_newer_podium_is_refused_and_kept(tmp_path: Path) -> None:
    # Given a file whose schema is from the future
    clock = Clock()
    async with opened(tmp_path, clock) as store:
        await store.commit([first()])
    with closing(sqlite3.connect(tmp_path / "podium.db")) as database:
        database.execute("PRAGMA user_version=99")
    # When it is opened, then it is refused with reason and remedy
    with pytest.raises(StoreClosed, match=r"found 99: it was written by a newer Podium, use that"):
        await SqliteStore(tmp_path / "podium.db", clock.now_ms).open()
    # And nothing was changed
    with closing(sqlite3.connect(tmp_path / "podium.db")) as database:
        assert database.execute("SELECT version FROM execution").fetchall() == [(1,)]


@pytest.mark.parametrize("version", sorted(MIGRATIONS))
async def test_a_file_of_an_older_podium_gets_what_it_lacks(tmp_path: Path, version: int) -> None:
    # Given a file of schema version 1, which had no archive, 2, without cached outputs, or 3,
    # without an audit trail
    later = {each for step in range(version, SCHEMA_VERSION) for each in MIGRATIONS[step]}
    with closing(sqlite3.connect(tmp_path / "podium.db")) as database:
        for statement in SCHEMA:
            if statement not in later:
                database.execute(statement)
        database.execute(f"PRAGMA user_version={version}")
        database.commit()
    # When it is opened, then everything works, also when it is opened again
    for kept in (b"first", b"second"):
        async with opened(tmp_path, Clock()) as store:
            await store.commit([first()])
            assert await store.remove(WORKFLOW, 1, 0, archive=kept)
            assert await store.archived(WORKFLOW) == kept
            await store.put_cached("name", kept, at_ms=1, until_ms=2**62)
            assert await store.cached("name", 0) == kept
            await store.add_audit([AuditEntry("id", 1, ("name",), b"row")])
            assert [each.value for each in await store.audit(EVERY_ROW)] == [b"row"]
    with closing(sqlite3.connect(tmp_path / "podium.db")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


async def test_outstanding_tasks_of_an_older_file_are_marked(tmp_path: Path) -> None:
    # Given a running execution whose file knows tasks, but not which of them are outstanding
    lease = Lease(incarnation=SERVER, session="", kind="poll")
    running = msgspec.structs.replace(
        RECORD, id=task(0), status=TaskStatus.IN_PROGRESS, lease=lease, queue=QUEUE
    )
    ended = msgspec.structs.replace(running, id=task(1), status=TaskStatus.COMPLETED, lease=None)
    fields: dict[str, bytes | None] = {
        f"t:{number}": codec.VERSION + codec.ENCODE(each)
        for number, each in enumerate((running, ended))
    }
    fields["t:2"] = b"cannot be read"
    async with opened(tmp_path, Clock()) as store:
        await store.commit([Commit(workflow_id=WORKFLOW, version=0, fields=fields)])
        await store.commit([Commit(workflow_id=STRANGER, version=0, fields=fields, running=False)])
        assert await store.outstanding_counts() == []
    with closing(sqlite3.connect(tmp_path / "podium.db")) as database:
        database.execute("DROP TABLE change")
        database.execute("PRAGMA user_version=4")
        database.commit()
    # When this Podium opens it, then it knows
    async with opened(tmp_path, Clock()) as store:
        counts = await store.outstanding_counts()
        assert counts == [OutstandingCount(Outstanding(QUEUE, "leased"), 1)]
        [found] = await store.pending(PARTITION, QUEUE.task_type, "", 9)
        assert (found.task_id, found.state) == (task(0), "leased")


async def test_poll_data_that_counts_no_more_leaves_no_row(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as store:
        await store.poll_seen(QUEUE, "worker")
        await store.heartbeat(SERVER)
        assert store.file.read("SELECT worker FROM seen") == [("worker",)]
        clock.at_ms += POLL_DATA_MS
        await store.heartbeat(SERVER)
        assert store.file.read("SELECT worker FROM seen") == []


async def test_outputs_outlive_the_process_and_are_dropped_when_over(tmp_path: Path) -> None:
    # Given two outputs, kept for different times
    clock = Clock()
    async with opened(tmp_path, clock) as store:
        for name, kept_ms in (("short", PURGE_MS - 1), ("long", 10 * PURGE_MS)):
            until_ms = clock.at_ms + kept_ms
            await store.put_cached(name, b"out", at_ms=clock.at_ms, until_ms=until_ms)
    # When the process starts again, then they are there
    async with opened(tmp_path, clock) as store:
        assert await store.cached("short", 0) == b"out"
        # And a heartbeat after the end of one leaves no row of it
        clock.at_ms += PURGE_MS
        await store.heartbeat(SERVER)
        assert store.file.read("SELECT name FROM cached") == [("long",)]


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path, Clock()) as store:
        pass
    with pytest.raises(StoreError, match="found it closed"):
        await store.load(WORKFLOW, None)


async def test_a_checkpoint_loses_nothing_and_begins_the_log_anew(tmp_path: Path) -> None:
    # Given commits in the log
    clock = Clock()
    async with opened(tmp_path, clock) as store:
        for number in range(50):
            await store.commit([first(f"3f{number:06d}-e29b-41d4-a716-446655440000")])
        # When it is copied into the database, and more is written
        await store.file.checkpoint()
        await store.commit([first(STRANGER)])
        assert store.file.checkpoints == 1
        assert await store.scan(0x3F, "", 100) != []
    # Then all of it is there afterwards
    async with opened(tmp_path, clock) as store:
        assert len(await store.scan(0x3F, "", 100)) == 50
        assert await store.load(STRANGER, ["h"]) is not None

"""What a commit costs: `python -m tests.store.measure` prints µs per commit and ms per group.

Rows: ways to sync (child process: the default; thread; FULL in the loop), alone and beside a loop
that never idles; columns: encode and commit of a one-task start with a direct hand-off (execution,
three fields, one deadline, one held entry, history), and of its result. Groups of GROUP commits.

One run on 2 shared cores, group of starts p50 / p99 in ms: no sync 1.1 / 3.6, child 1.4 / 2.2,
thread 3.1 / 7.9, FULL in the loop 3.6 / 10.2; beside a busy loop: child 5.7 / 17, thread 4.4 / 94,
FULL 8.0 / 40.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from msgspec.structs import replace

from podium.engine.transition import Transition
from podium.model.execution import (
    ExecutionHeader,
    HistoryRow,
    Lease,
    TaskChange,
    TaskRecord,
    TaskStatus,
    WorkflowStatus,
)
from podium.model.payload import EMPTY, Payload
from podium.model.queue import Deadline, Queue
from podium.store import codec
from podium.store.sqlite import SqliteStore

COMMITS = 4_800
GROUP = 24
BUSY_US = 200
KEY = "abcdefghijklmnop"
INCARNATION = "abcdef123456"
PAYLOAD = Payload.of({"a": 1, "b": "x" * 50})
NOW_MS = 1_790_000_000_000


def start() -> Transition:
    workflow_id = str(uuid4())
    task_id = f"{workflow_id}.{KEY}.1"
    header = ExecutionHeader(
        id=workflow_id,
        name="one_task",
        version=1,
        digest="d" * 64,
        status=WorkflowStatus.RUNNING,
        created_ms=NOW_MS,
        updated_ms=NOW_MS,
        open_count=1,
        task_count=1,
        last_key=KEY,
        history_position=1,
    )
    deadline = Deadline(task_id, "response", NOW_MS + 60_000)
    task = TaskRecord(
        id=task_id,
        key=KEY,
        attempt=1,
        seq=1,
        ref="t1",
        node=0,
        task_type="SIMPLE",
        def_name="simple_task",
        status=TaskStatus.IN_PROGRESS,
        queue=Queue("simple_task"),
        score=99 * 10**13 + NOW_MS,
        scheduled_ms=NOW_MS,
        start_ms=NOW_MS,
        lease=Lease(incarnation=INCARNATION, session="s-1", kind="stream"),
        lease_epoch=1,
        deadlines=(deadline,),
        input=PAYLOAD,
    )
    change = TaskChange(KEY, "t1", 1, 0, "", "IN_PROGRESS", 1, task_id)
    return Transition(
        header=header,
        created=True,
        input=PAYLOAD,
        output=EMPTY,
        variables=EMPTY,
        tasks={KEY: task},
        armed=(deadline,),
        held=((INCARNATION, task_id),),
        history=HistoryRow(1, NOW_MS, ("Start", "GrantLease"), "me", "RUNNING", (change,)),
    )


def result(started: Transition) -> Transition:
    task = started.tasks[KEY]
    change = TaskChange(KEY, "t1", 1, 0, "IN_PROGRESS", "COMPLETED", 1, task.id)
    return Transition(
        header=replace(started.header, status=WorkflowStatus.COMPLETED, history_position=2),
        output=PAYLOAD,
        tasks={KEY: replace(task, status=TaskStatus.COMPLETED, lease=None, output=PAYLOAD)},
        disarmed=((task.id, "response"),),
        unheld=((INCARNATION, task.id),),
        history=HistoryRow(2, NOW_MS, ("ReportResult",), "w", "COMPLETED", (change,)),
    )


async def measured(store: SqliteStore, transitions: list[Transition], version: int) -> str:
    """CPU of this process and time, per commit; the latency of a group."""
    latencies: list[float] = []
    cpu, began = time.process_time(), time.perf_counter()
    for first in range(0, len(transitions), GROUP):
        group_began = time.perf_counter()
        await store.commit(
            [
                codec.encode_commit(each, version=version, incarnation=INCARNATION)
                for each in transitions[first : first + GROUP]
            ]
        )
        latencies.append(time.perf_counter() - group_began)
    count = len(transitions)
    cpu, took = time.process_time() - cpu, time.perf_counter() - began
    latencies.sort()
    middle, high = latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
    return (
        f"cpu {cpu / count * 1e6:5.1f} µs, time {took / count * 1e6:6.1f} µs per commit;"
        f" group p50 {middle * 1e3:5.2f} p99 {high * 1e3:6.2f} ms"
    )


def burn(loop: asyncio.AbstractEventLoop) -> None:
    """One of the callbacks of a loop that never idles."""
    end = time.perf_counter() + BUSY_US / 1e6
    while time.perf_counter() < end:
        pass
    loop.call_soon(burn, loop)


async def row(title: str, *, busy: bool, sync: Callable[[int], None] | None, full: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "podium.db", lambda: NOW_MS, sync=sync)
        await store.open()
        if full:
            store.file.read("PRAGMA synchronous=FULL")
        loop = asyncio.get_running_loop()
        if busy:
            loop.call_soon(burn, loop)
        count = COMMITS // 8 if busy else COMMITS
        starts = [start() for _ in range(count)]
        print(f"{title:<24} start:  {await measured(store, starts, 0)}")
        results = [result(each) for each in starts]
        print(f"{'':<24} result: {await measured(store, results, 1)}", flush=True)
        await store.close()


def nothing(descriptor: int) -> None:
    """In the rows where SQLite itself syncs, or nobody."""


def encode_row() -> None:
    starts = [start() for _ in range(COMMITS)]
    began = time.perf_counter()
    for each in starts:
        codec.encode_commit(each, version=0, incarnation=INCARNATION)
    print(f"{'encode alone':<24} start:  {(time.perf_counter() - began) / COMMITS * 1e6:.1f} µs")


def main() -> None:
    encode_row()
    for busy in (False, True):
        beside = ", busy loop" if busy else ""
        for title, sync, full in (
            ("no sync", nothing, False),
            ("child process", None, False),
            ("thread", os.fdatasync, False),
            ("FULL in the loop", nothing, True),
        ):
            with asyncio.Runner() as runner:
                runner.run(row(f"{title}{beside}", busy=busy, sync=sync, full=full))


if __name__ == "__main__":
    sys.exit(main())

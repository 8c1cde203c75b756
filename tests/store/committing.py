"""A process that commits to a sqlite store until it is killed, and says what was acknowledged.

Started as `python -m tests.store.committing <database> <commits, 0 = endless> [unsynced]
[checkpointed]`.
Lines on stdout: `open <pid of the sync child>`, then `ack <workflow id>` per acknowledged commit.
With `unsynced` the sync does nothing: the witness of syncs must notice that. With `checkpointed`
there is a checkpoint after each group.
"""

import asyncio
import itertools
import os
import sys
import time
from pathlib import Path

import uvloop

from podium.model.queue import Deadline
from podium.store.port import Commit, Committed
from podium.store.sqlite import SqliteStore
from podium.store.sync_child import SyncChild

GROUP = 5
INCARNATION = "inc-of-committing"


def now_ms() -> int:
    return int(time.time() * 1000)


def start_of(number: int) -> Commit:
    """A start whose id tells its number; spread over the partitions."""
    workflow_id = f"{number * 37 % 256:02x}{number:06x}-0000-4000-8000-000000000000"
    task_id = f"{workflow_id}.a.0"
    return Commit(
        workflow_id=workflow_id,
        version=0,
        fields={"h": b"header of %d" % number, "t:a": b"t" * 300, "in": b"{}"},
        armed=(Deadline(task_id, "response", 60_000 + number),),
        held=((INCARNATION, task_id),),
        outbox=(b"effect",),
        incarnation=INCARNATION,
        history=b"row",
        history_position=1,
    )


async def run(path: Path, count: int, *, synced: bool) -> None:
    """Commit groups; acknowledgements are written unbuffered, in one call per group."""
    store = SqliteStore(path, now_ms, sync=None if synced else lambda _: None)
    await store.open()
    await store.heartbeat(INCARNATION)
    child = store.file.sync
    pid = child.pid if isinstance(child, SyncChild) else 0
    os.write(1, f"open {pid}\n".encode())
    for first in itertools.count(0, GROUP):
        if 0 < count <= first:
            break
        group = [start_of(number) for number in range(first, first + GROUP)]
        results = await store.commit(group)
        acknowledged = [
            f"ack {commit.workflow_id}\n"
            for commit, result in zip(group, results, strict=True)
            if isinstance(result, Committed)
        ]
        os.write(1, "".join(acknowledged).encode())
        if "checkpointed" in sys.argv:
            await store.file.checkpoint()
    await store.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(Path(sys.argv[1]), int(sys.argv[2]), synced="unsynced" not in sys.argv))

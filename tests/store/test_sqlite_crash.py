"""What a killed process leaves: everything it acknowledged, a sound file, no child, no lock."""

import os
import re
import select
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from podium.store.port import PARTITIONS, StoreError
from podium.store.sqlite import SqliteStore
from tests.store.committing import INCARNATION, now_ms

ROOT = Path(__file__).resolve().parents[2]
ACKS_MIN = 200
CHILD_END_MS_MAX = 5_000


@contextmanager
def committing(path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    sources = os.pathsep.join(str(ROOT / each) for each in (".", "server"))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.store.committing", str(path), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": sources},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def word_of(line: str) -> str:
    return line.split()[1]


async def test_a_killed_server_lost_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    # Given a process in the midst of committing
    path = tmp_path / "podium.db"
    with committing(path, "0") as process:
        assert process.stdout is not None
        child = os.pidfd_open(int(word_of(process.stdout.readline())))
        acknowledged = [word_of(process.stdout.readline()) for _ in range(ACKS_MIN)]
        # When it is killed
        process.send_signal(signal.SIGKILL)
        acknowledged += [word_of(line) for line in process.stdout if line.endswith("\n")]
        # Then its child ends as well
        poll = select.poll()
        poll.register(child, select.POLLIN)
        assert poll.poll(CHILD_END_MS_MAX), "expected the sync child to end, found it alive"
        os.close(child)
    # And everything is there, in all the places
    store = SqliteStore(path, now_ms)
    await store.open()
    for workflow_id in acknowledged:
        loaded = await store.load(workflow_id, None)
        assert loaded is not None, f"expected {workflow_id}, found nothing"
        assert loaded.version == 1
        assert set(loaded.fields) == {"h", "t:a", "in"}
        assert await store.history(workflow_id, 0, 9) == [b"row"]
    everyone = range(PARTITIONS)
    due = {each.workflow_id for each in await store.due(everyone, now_ms(), 1_000_000)}
    effects = {each.workflow_id for each in await store.outbox(everyone, INCARNATION)}
    held = await store.held(everyone, INCARNATION)
    wanted = set(acknowledged)
    assert wanted <= due
    assert wanted <= effects
    assert wanted <= {task_id.rsplit(".", 2)[0] for task_id in held}
    # And the dead one is listed, so that what it held can be taken over
    assert INCARNATION in (await store.heartbeat("after")).members
    await store.close()
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


async def test_a_second_server_is_refused(tmp_path: Path) -> None:
    # Given a process that has the file
    path = tmp_path / "podium.db"
    with committing(path, "0") as process:
        assert process.stdout is not None
        process.stdout.readline()
        # When another opens it
        # Then it is told why, and what helps
        with pytest.raises(StoreError, match=r"in use by another.*stop that one"):
            await SqliteStore(path, now_ms).open()
        # And the first goes on
        assert process.stdout.readline().startswith("ack ")


def witness(trace: str) -> list[str]:
    """Objections to a trace: acknowledgements with WAL writes since the last completed WAL sync."""
    objections: list[str] = []
    unsynced = 0
    in_flight: dict[str, int] = {}
    for line in trace.splitlines():
        process = line.split()[0]
        if "pwrite64(" in line and "-wal>" in line:
            unsynced += 1
        elif re.search(r"f(data)?sync\(\d+<[^>]*-wal>", line):
            in_flight[process] = unsynced
            if "<unfinished" not in line and line.rstrip().endswith("= 0"):
                unsynced -= in_flight.pop(process)
        elif re.search(r"<\.\.\. f(data)?sync resumed>", line) and process in in_flight:
            covered = in_flight.pop(process)
            if line.rstrip().endswith("= 0"):
                unsynced -= covered
        elif "write(1<" in line and '"ack ' in line and unsynced:
            objections.append(f"{unsynced} WAL writes unsynced before: {line[:80]}")
    return objections


def traced(tmp_path: Path, *arguments: str) -> str:
    """The trace of a process that commits a few groups."""
    trace = tmp_path / "trace"
    sources = os.pathsep.join(str(ROOT / each) for each in (".", "server"))
    calls = "trace=fdatasync,fsync,pwrite64,write,sendto"
    subprocess.run(
        [
            *("strace", "-f", "-y", "-s", "64", "-e", calls, "-o", str(trace)),
            *(sys.executable, "-m", "tests.store.committing", str(tmp_path / "podium.db"), "40"),
            *arguments,
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": sources},
    )
    return trace.read_text()


class ReuseWitness:
    """Objections to checkpoints: pages copied, or the log begun anew, before the other's sync."""

    def __init__(self) -> None:
        self.objections: list[str] = []
        self.pages = self.frames = 0
        self.header_unsynced = False

    def see(self, line: str) -> None:
        call = re.search(r"(pwrite64|f(?:data)?sync)\(\d+<[^>]*podium\.db(-wal)?>", line)
        if call is None:
            return
        match call[1] == "pwrite64", call[2] is not None:
            case True, True:
                self.see_frame(line)
            case True, False:
                self.pages += 1
                self.object_if(line, self.frames > 0)
            case False, True:
                self.frames, self.header_unsynced = 0, False
            case _:
                self.pages = 0

    def see_frame(self, line: str) -> None:
        anew = re.search(r", 0\) += \d+$", line) is not None
        self.object_if(line, anew and self.pages > 0)
        self.object_if(line, self.header_unsynced)
        self.header_unsynced = anew
        self.frames += 1

    def object_if(self, line: str, wrong: bool) -> None:  # noqa: FBT001 - a predicate
        if wrong:
            self.objections.append(line[:80])


def reuse_objections(trace: str) -> list[str]:
    witness = ReuseWitness()
    for line in trace.splitlines():
        witness.see(line)
    return witness.objections


@pytest.mark.part("strace")
@pytest.mark.parametrize("synced", [True, False])
def test_the_kernel_witnesses_that_a_checkpoint_syncs_before_the_log_is_reused(
    tmp_path: Path, *, synced: bool
) -> None:
    trace = traced(tmp_path, "checkpointed")
    # The witness saw logs begun anew
    assert len(re.findall(r"pwrite64\(\d+<[^>]*-wal>.*, 32, 0\) += 32", trace)) > 3
    if not synced:  # it objects to the same trace without the syncs of the database
        trace = re.sub(r".*f(data)?sync\(\d+<[^>]*podium.db>.*\n", "", trace)
    assert bool(reuse_objections(trace)) == (not synced)


@pytest.mark.part("strace")
@pytest.mark.parametrize("synced", [True, False])
def test_the_kernel_witnesses_the_sync_before_each_acknowledgement(
    tmp_path: Path, *, synced: bool
) -> None:
    trace = traced(tmp_path, *([] if synced else ["unsynced"]))
    # The witness saw what it judges
    assert trace.count('"ack ') == 8
    assert re.search(r"pwrite64\(\d+<[^>]*-wal>", trace)
    # It objects to nothing, and to every acknowledgement where the sync is taken away
    assert len(witness(trace)) == (0 if synced else 8)

"""The kernel as witness: nothing about a workflow leaves the server before the store is synced.

The server runs under strace while workflows are started and finished one at a time. Every write to
the log that has the id of a workflow must be covered by a completed fdatasync of the log, begun
after it, before anything with that id is sent to a client: the reply of the start, the task, the
acknowledgement of its result.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.bench.processes import ROOT, SERVING_S_MAX
from tests.e2e.client import Client
from tests.e2e.staying import staying

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

WORKFLOWS = 3
CALLS = "trace=fdatasync,fsync,pwrite64,write,writev,sendto,sendmsg,sendmmsg"
PAGE_BYTES = 4096
LINE = re.compile(r"(?P<thread>\d+) +(?P<call>.*)")
LOG_WRITE = re.compile(r"pwrite64\(\d+<[^>]*\.db-wal>")
LOG_SYNC = re.compile(r"f(data)?sync\(\d+<[^>]*\.db-wal>")
"""The store's log alone: the index has its own (podium.db-index-wal), and no reply waits for it."""
FRAME_HEADER = re.compile(r', "(?P<bytes>[^"]*(?:\\"[^"]*)*)", 24, ')
"""The 24 bytes before each page; bytes 4 to 8 are not zero before the last one of a transaction."""
SYNC_RESUMED = re.compile(r"<\.\.\. f(data)?sync resumed>")
SEND = re.compile(r"(write|writev|sendto|sendmsg|sendmmsg)\(\d+<(socket|TCP)")


def unescaped(printed: str) -> bytes:
    """The bytes that strace printed."""
    return printed.encode().decode("unicode_escape").encode("latin-1")


@dataclass
class Transaction:
    """What was seen of it in the log."""

    pages: int = 0
    ending: bool = False
    with_id: bool = False


class Witness:
    """Reads a trace for one workflow id.

    `told` = commits after which something was sent; `sends` = sends; `objections` = of those, how
    many left before a sync.
    """

    def __init__(self, workflow_id: str) -> None:
        self.told = self.sends = self.objections = 0
        self._id = workflow_id
        self._untold = False
        self._unsynced = 0
        self._writing: dict[str, Transaction] = {}
        """Of the threads in the middle of one."""
        self._syncing: dict[str, int] = {}
        """Thread → commits that its sync in flight covers."""

    def see(self, thread: str, call: str) -> None:
        if LOG_WRITE.match(call):
            self._see_write(thread, call)
        elif LOG_SYNC.match(call):
            self._syncing[thread] = self._unsynced
            self._see_end(thread, call)
        elif SYNC_RESUMED.match(call):
            self._see_end(thread, call)
        elif SEND.match(call) and self._id in call:
            self.told += self._untold
            self._untold = False
            self.sends += 1
            self.objections += self._unsynced > 0

    def _see_write(self, thread: str, call: str) -> None:
        writing = self._writing.setdefault(thread, Transaction())
        if header := FRAME_HEADER.search(call):
            writing.pages += 1
            writing.ending = unescaped(header["bytes"])[4:8] != bytes(4)
            return
        writing.with_id |= self._id in call
        if writing.ending:
            del self._writing[thread]
            # A transaction of one page takes away the index's mark: no reply tells of it
            if writing.with_id and writing.pages > 1:
                self._unsynced += 1
                self._untold = True

    def _see_end(self, thread: str, call: str) -> None:
        if not call.endswith("<unfinished ...>"):
            covered = self._syncing.pop(thread, 0)
            if call.rstrip().endswith("= 0"):
                self._unsynced -= covered


def judged(trace: str, workflow_id: str) -> Witness:
    witness = Witness(workflow_id)
    for line in trace.splitlines():
        if found := LINE.match(line):
            witness.see(found["thread"], found["call"])
    return witness


@asynccontextmanager
async def traced(
    program: str, folder: Path
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """A server under strace, which is a grandchild: the process is the server's own."""
    process = await asyncio.create_subprocess_exec(
        *("strace", "-D", "-f", "-y", "-s", str(2 * PAGE_BYTES), "--seccomp-bpf"),
        *("-e", CALLS, "-o", str(folder / "trace")),
        *(sys.executable, "-m", program, "serve", "--grpc", "127.0.0.1:0", "--http", ""),
        *("--store", f"sqlite:///{folder}/podium.db"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(SERVING_S_MAX):
            line = await process.stdout.readline()
        yield json.loads(line)["grpc"], process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.part("strace")
@pytest.mark.timeout(90)
@pytest.mark.parametrize("synced", [True, False])
async def test_the_kernel_witnesses_the_sync_before_each_reply(
    tmp_path: Path, *, synced: bool
) -> None:
    program = "podium.cli.main" if synced else "tests.e2e.unsynced_server"
    ids: list[str] = []
    async with traced(program, tmp_path) as (target, process), Client(target) as client:
        await client.register("held")
        async with staying(target, "held") as stays:
            stays.go.set()
            for _ in range(WORKFLOWS):
                workflow_id = await client.start("held")
                await stays.overheard.until(lambda: len(stays.overheard.accepted) > len(ids))
                ids.append(workflow_id)
        process.terminate()
        # The tracer, which holds the pipes too, ends after the server: the trace is whole.
        _, words = await process.communicate()
        assert (process.returncode, words.decode()) == (0, "")
    trace = (tmp_path / "trace").read_text(errors="replace")
    witnesses = [judged(trace, workflow_id) for workflow_id in ids]
    # It saw what it judges: the commits of the start and of the result, and what they sent
    assert all(witness.told >= 2 for witness in witnesses)
    # A sync of another file may stand in the right place by chance: not each send is objected to
    objections = sum(witness.objections for witness in witnesses)
    assert objections == 0 if synced else objections > 0

"""Syncs the log and the database file in a small child process, which never waits for our CPU.

Why a process: a thread gets the interpreter lock back from fdatasync only when a busy loop yields
it (p99 2.5 s measured beside a loop that never idles, a child 9 ms), and a sync in the loop stops
everything else. And why by path: closing a descriptor of the database in this process would drop
SQLite's POSIX lock on it.

Rules: a sync covers what was written before it was asked for; one is in flight. A child that dies
is replaced and asked again before anybody is told. The end of its input ends the child, so it
outlives no server, whatever killed that one. After each sync the file is compared with the path: a
file that somebody replaced is not the one that counts. Knows nothing of SQLite.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DEATHS_MAX: Final = 3
"""So many children in a row may die without an answer."""
REPLACED: Final = 255
LOG: Final = b"l"
DATABASE: Final = b"d"
"""What to sync, as it is asked for."""
PROGRAM: Final = """
import os, sys
paths = {b'l': sys.argv[1], b'd': sys.argv[2]}
files = {name: os.open(path, os.O_RDONLY) for name, path in paths.items()}
while name := os.read(0, 1):
    answer = 0
    try:
        os.fdatasync(files[name])
        if not os.path.samestat(os.stat(paths[name]), os.fstat(files[name])):
            answer = 255
    except FileNotFoundError:
        answer = 255
    except OSError as error:
        answer = error.errno
    os.write(1, bytes([answer]))
"""


class Ended(Protocol):
    """Told in the loop, at once (each hop costs a turn of a busy loop). `failure` is empty, or says
    why all that was written since the last success may be lost, even if a later sync succeeds.
    """

    def __call__(self, failure: str) -> None: ...


class Sync(Protocol):
    """Makes what was written survive a loss of power."""

    def start(self, log: Path, database: Path) -> None:
        """Both files exist. Raises OSError. Called again after each `stop`."""
        ...

    def request(self, target: bytes, ended: Ended) -> None:
        """Sync LOG or DATABASE. One request at a time."""
        ...

    def stop(self) -> None:
        """Fails a request in flight."""
        ...


class SyncChild:
    """The sync of a server."""

    def __init__(self) -> None:
        self._paths: tuple[Path, Path] | None = None
        self._target = LOG
        self._process: subprocess.Popen[bytes] | None = None
        self._ask_fd = -1
        self._answer_fd = -1
        self._flying: Ended | None = None
        self._deaths = 0

    @property
    def pid(self) -> int:
        """Of the present child; 0 = none."""
        return 0 if self._process is None else self._process.pid

    def start(self, log: Path, database: Path) -> None:
        self._paths = (log, database)
        self._deaths = 0
        self._spawn(log, database)

    def request(self, target: bytes, ended: Ended) -> None:
        assert self._flying is None, "one request at a time"
        self._flying, self._target = ended, target
        if self._paths is None:
            self._end("expected a process that syncs the files, found none")
        elif self._process is None:
            self._respawn(*self._paths)
        else:
            self._send()

    def stop(self) -> None:
        self._paths = None
        self._reap()
        self._end("expected an open store, found it closed")

    def _spawn(self, log: Path, database: Path) -> None:
        # A session of its own: Ctrl-C ends the server, which needs the child for its own end.
        process = subprocess.Popen(  # noqa: S603 - this very interpreter and the program above
            [sys.executable, "-I", "-S", "-c", PROGRAM, str(log), str(database)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._ask_fd, self._answer_fd = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(self._answer_fd, False)
        asyncio.get_running_loop().add_reader(self._answer_fd, self._on_answer)

    def _reap(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        asyncio.get_running_loop().remove_reader(self._answer_fd)
        process.kill()
        with process:  # closes both pipes and waits for its end
            pass

    def _respawn(self, log: Path, database: Path) -> None:
        """A new child for one that died, which answers in its place."""
        try:
            self._spawn(log, database)
        except OSError as error:
            self._end(f"expected a new process that syncs the files, found: {error.strerror}")
            return
        if self._flying is not None:
            self._send()

    def _send(self) -> None:
        try:
            os.write(self._ask_fd, self._target)
        except BrokenPipeError:
            return  # the end of its output, which the loop reports next, has it asked again

    def _on_answer(self) -> None:
        try:
            answer = os.read(self._answer_fd, 1)
        except BlockingIOError:
            return
        if answer:
            self._deaths = 0
            self._take(answer[0])
            return
        self._reap()
        self._deaths += 1
        if self._deaths > DEATHS_MAX:
            self._end(
                f"expected a process that syncs the files, found {self._deaths} dead in a row"
            )
        elif self._paths is not None:
            self._respawn(*self._paths)

    def _take(self, answer: int) -> None:
        if answer == REPLACED:
            self._end("expected the file that was opened, found it replaced or removed")
        else:
            self._end(os.strerror(answer) if answer else "")

    def _end(self, failure: str) -> None:
        ended, self._flying = self._flying, None
        if ended is not None:
            ended(failure)


class SyncCall:
    """Calls a function with a descriptor of the log, in a thread; what it raises is a failure."""

    def __init__(self, call: Callable[[int], None]) -> None:
        self._call = call
        self._log = -1
        self._database = ""
        self._thread: ThreadPoolExecutor | None = None

    def start(self, log: Path, database: Path) -> None:
        self._log = os.open(log, os.O_RDONLY)
        self._database = str(database)
        self._thread = ThreadPoolExecutor(1, "podium-sync")

    def request(self, target: bytes, ended: Ended) -> None:
        assert self._thread is not None
        run = self._sync_log if target == LOG else self._sync_database
        running = asyncio.get_running_loop().run_in_executor(self._thread, run)
        running.add_done_callback(lambda done: ended(done.result()))

    def stop(self) -> None:
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
            os.close(self._log)

    def _sync_log(self) -> str:
        try:
            self._call(self._log)
        except OSError as error:
            return os.strerror(error.errno or 0)
        if os.fstat(self._log).st_nlink == 0:
            return "expected the log that was opened, found it removed"
        return ""

    def _sync_database(self) -> str:
        """In a process: a descriptor of the database must not be closed in this one."""
        program = "import os, sys\nos.fdatasync(os.open(sys.argv[1], os.O_RDONLY))\n"
        done = subprocess.run(  # noqa: S603 - this very interpreter and the program above
            [sys.executable, "-I", "-S", "-c", program, self._database],
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return "" if done.returncode == 0 else "expected the database to be synced, found it failed"

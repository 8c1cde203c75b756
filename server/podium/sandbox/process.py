"""One script child, seen from the server: started, asked, killed when it takes too long.

A program gets WALL_MS; a child that had no CPU in that time because the machine is busy gets more,
up to STARVED_ROUNDS times as long, so that nobody's script fails for what others do. A child that
was killed, or died, is reaped here; whoever holds it starts it again.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import orjson

from podium.sandbox import wire

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

PROGRAM: Final = Path(__file__).with_name("child.py")
NICE: Final = 19
START_MS: Final = 20_000
WALL_MS: Final = 500
STARVED_ROUNDS: Final = 20
STARVED_CPU_MS: Final = 100
"""A child that used less than this in WALL_MS was kept waiting, not busy."""
TICK_MS: Final = 1000 / os.sysconf("SC_CLK_TCK")


class Stopped(Exception):
    """The child is gone: `late` = killed for the time it took, else it died by itself."""

    def __init__(self, *, late: bool) -> None:
        super().__init__("late" if late else "died")
        self.late: Final = late


class Answer(msgspec.Struct, frozen=True):
    """What came back: wire.VALUE, wire.ERROR or wire.LATE, and its text."""

    kind: bytes
    text: bytes


class Child:
    """One process at most, one request at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: StreamReader
        self._writer: StreamWriter

    @property
    def pid(self) -> int:
        """Of the present process; 0 = none."""
        return 0 if self._process is None else self._process.pid

    @property
    def alive(self) -> bool:
        """A process runs; the system may have ended it while nobody asked."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """A process that is ready, in place of a dead one. Raises OSError, Stopped."""
        self.kill()
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # Not waited for: the child says itself when it is ready.
                self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - this interpreter
                    [sys.executable, "-I", str(PROGRAM)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={},
                    cwd="/",
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        # Its start, and a script that burns its time, must not take the server's.
        os.setpriority(os.PRIO_PROCESS, self._process.pid, NICE)
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        try:
            async with asyncio.timeout(START_MS / 1000):
                await self._read()
        except TimeoutError:
            self.kill()
            raise Stopped(late=True) from None
        except BaseException:
            self.kill()
            raise

    async def ask(self, head: wire.Head, given: bytes) -> Answer:
        """Raises Stopped; the process is gone then, as it is when this is cancelled."""
        try:
            return await self._ask(head, given)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End the process, if there is one. It is reaped beside the loop: the kernel takes its time
        with the memory of one that had much.
        """
        process, self._process = self._process, None
        if process is None:
            return
        self._writer.close()
        process.kill()
        threading.Thread(target=process.wait, name="podium-reaper", daemon=True).start()

    async def _ask(self, head: wire.Head, given: bytes) -> Answer:
        encoded = orjson.dumps(head)
        began_ms = cpu_ms(self.pid)
        self._writer.write(wire.REQUEST.pack(len(encoded), len(given)) + encoded + given)
        reading = asyncio.get_running_loop().create_task(self._read())
        try:
            for _ in range(STARVED_ROUNDS):
                await asyncio.wait((reading,), timeout=WALL_MS / 1000)
                if reading.done():
                    return reading.result()
                if cpu_ms(self.pid) - began_ms >= STARVED_CPU_MS:
                    break
            raise Stopped(late=True)
        finally:
            reading.cancel()

    async def _read(self) -> Answer:
        try:
            kind, size = wire.ANSWER.unpack(await self._reader.readexactly(wire.ANSWER.size))
            return Answer(kind, await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Stopped(late=False) from None


def cpu_ms(pid: int) -> float:
    """CPU time of a process so far; 0 of one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) * TICK_MS

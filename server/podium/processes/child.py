"""One supervised process as the supervisor sees it: started, heard, restarted, ended."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from podium.place import CannotServe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from podium.runtime.clock import Clock

LOG = logging.getLogger("podium.processes")
RESTART_MS_MIN: Final = 200
RESTART_MS_MAX: Final = 30_000
"""A wait doubles between these while the process does not stay."""
STAYED_MS: Final = 60_000
END_MS: Final = 20_000
"""A process that was asked to end and has not is killed after this."""


class Heard(msgspec.Struct, frozen=True):
    """A line of the process; what is absent was not told."""

    event: str
    grpc: str = ""
    http: str = ""
    streams: int = 0


class Child:
    """One place for a process: whoever fills it has the same number and the same HTTP port.

    `command` gives the words for HTTP at this HOST:PORT.
    """

    def __init__(
        self, number: int, *, http: str, command: Callable[[str], Sequence[str]], clock: Clock
    ) -> None:
        self.number = number
        self.http = http
        self.streams = 0
        self.serving = asyncio.Event()
        self._command = command
        self._clock = clock
        self._process: Process | None = None
        self._ending = False
        self._wait_ms = RESTART_MS_MIN

    @property
    def process_id(self) -> int:
        """0 = none."""
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Until it serves. Raises CannotServe where it ends first; it has said why."""
        await self._begin()
        process = self._process
        assert process is not None, self.number
        await self._hear(process, until_serving=True)
        if not self.serving.is_set():
            code = await process.wait()
            raise CannotServe(
                f"grpc.processes: expected process {self.number} to serve, found that it ended"
                f" with {code}"
            )

    async def stay(self) -> None:
        """Hear it, and start another in its place whenever it ends, until `end`."""
        while True:
            process, began_ms = self._process, self._clock.now_ms()
            if process is not None:
                await self._hear(process)
                code = await process.wait()
                self.serving.clear()
                self.streams = 0
                if self._ending:
                    return
                noted = {"event": "process_died", "number": self.number, "code": code}
                LOG.error("a server process has died and is restarted", extra=noted)
            if self._clock.now_ms() - began_ms >= STAYED_MS:
                self._wait_ms = RESTART_MS_MIN
            await self._clock.sleep(self._wait_ms)
            self._wait_ms = min(self._wait_ms * 2, RESTART_MS_MAX)
            if self._ending:
                return
            await self._begin_again()

    def tell(self, **words: int) -> None:
        """A line for it; lost where it is gone."""
        if self._process is not None and self._process.stdin is not None and self.serving.is_set():
            self._process.stdin.write(json.dumps(words).encode() + b"\n")

    async def end(self) -> int:
        """Ask it to end; answers its exit code, 0 where there is none or it ended by the asking."""
        self._ending = True
        process = self._process
        if process is None:
            return 0
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(END_MS / 1000):
                code = await process.wait()
                return 0 if code == -signal.SIGTERM else code
        noted = {"event": "process_killed", "number": self.number}
        LOG.error("a server process did not end in good order", extra=noted)
        process.kill()
        return await process.wait()

    async def _begin_again(self) -> None:
        try:
            await self._begin()
        except OSError as problem:
            self._process = None
            noted = {"event": "process_unstartable", "number": self.number}
            LOG.warning("no process could be started: %s", problem.strerror, extra=noted)

    async def _begin(self) -> None:
        # A session of its own: Ctrl-C reaches the supervisor alone, which ends all in good order.
        self._process = await asyncio.create_subprocess_exec(
            *self._command(self.http), stdin=PIPE, stdout=PIPE, start_new_session=True
        )

    async def _hear(self, process: Process, *, until_serving: bool = False) -> None:
        """Until it ends, or serves."""
        assert process.stdout is not None, self.number
        async for line in process.stdout:
            heard = msgspec.json.decode(line, type=Heard)
            self.streams = heard.streams
            if heard.event == "serving":
                self.http = heard.http
                self.serving.set()
                if until_serving:
                    return

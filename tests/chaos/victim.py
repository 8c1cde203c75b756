"""The server that is killed: one port and one store for all its lives."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Self

from tests.bench.processes import ROOT, Failed, end, serving_line, words_of

if TYPE_CHECKING:
    from pathlib import Path

LISTEN_TRIES = 20


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Victim:
    """`podium serve` on a fixed port; `kill` ends it by SIGKILL, `start` begins its next life."""

    def __init__(self, folder: Path) -> None:
        self.target = f"127.0.0.1:{free_port()}"
        self.store = folder / "podium.db"
        self._process: asyncio.subprocess.Process | None = None
        self._words = TemporaryFile()  # noqa: SIM115 - lives as long as the victim
        self.lives = 0

    async def start(self) -> None:
        """Serve; returns when calls are accepted."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "podium.cli.main",
            "serve",
            "--grpc",
            self.target,
            "--store",
            f"sqlite:///{self.store}",
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._words,
        )
        self.lives += 1
        try:
            await serving_line(self._process)
        except Failed as failure:
            failure.add_note(f"the server wrote: {words_of(self._words)}")
            raise

    async def kill(self) -> None:
        """SIGKILL, at once and without warning."""
        assert self._process is not None, "a victim must live to be killed"
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *failure: object) -> None:
        if self._process is not None:
            await end(self._process)
        self._words.close()

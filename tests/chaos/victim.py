"""A server with many lives: one port and one store for all of them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Self

from tests.bench.processes import ROOT, Failed, end, serving_line, words_of
from tests.store.nodes import free_port

if TYPE_CHECKING:
    from pathlib import Path

END_S_MAX = 30
SERVING_S_MAX = 60
"""Beside a load, on a machine with too much to do."""


class Victim:
    """`podium serve` on a fixed port; `kill` and `stop` end a life, `start` begins the next."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.target = f"127.0.0.1:{free_port()}"
        self.store = folder / "podium.db"
        self.url = url or f"sqlite:///{self.store}"
        self.program = "podium.cli.main"
        self.environment: dict[str, str] = {}
        """Beside the test's own."""
        self._web_port = free_port()
        self._process: asyncio.subprocess.Process | None = None
        self._words = TemporaryFile()  # noqa: SIM115 - lives as long as the victim

    async def start(self) -> None:
        """Serve; returns when calls are accepted."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self.program,
            "serve",
            "--grpc",
            self.target,
            "--http",
            f"127.0.0.1:{self._web_port}",
            "--store",
            self.url,
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=self._words,
        )
        try:
            await serving_line(self._process, SERVING_S_MAX)
        except Failed as failure:
            failure.add_note(f"the server wrote: {words_of(self._words)}")
            raise

    @property
    def web(self) -> str:
        """Where its metrics are."""
        return f"http://127.0.0.1:{self._web_port}"

    async def kill(self) -> None:
        """SIGKILL, at once and without warning."""
        assert self._process is not None, "a victim must live to be killed"
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    def signal(self, number: int) -> None:
        """SIGSTOP, SIGCONT."""
        assert self._process is not None, "a victim must live to be told"
        self._process.send_signal(number)

    async def stop(self) -> tuple[int, str]:
        """SIGTERM; its exit code and all that its lives wrote to stderr."""
        assert self._process is not None, "a victim must live to be stopped"
        self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(END_S_MAX):
            code = await self._process.wait()
        return code, words_of(self._words)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *failure: object) -> None:
        if self._process is not None:
            await end(self._process)
        self._words.close()

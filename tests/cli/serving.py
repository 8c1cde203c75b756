"""`podium serve` as a process of its own: started, read, ended by its own id."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

SERVING_S_MAX = 15


@dataclass
class Serving:
    """A server that accepts calls; `said` is its serving line."""

    process: asyncio.subprocess.Process
    said: dict[str, str]

    @property
    def target(self) -> str:
        return self.said["grpc"]

    @property
    def web(self) -> str:
        """Where its pages begin."""
        return f"http://{self.said['http']}"

    async def end(self) -> tuple[int, str]:
        """Ask it to end; its exit code and what it wrote to stderr."""
        self.process.terminate()
        return await self.ended()

    async def ended(self) -> tuple[int, str]:
        """As `end`, of a server that was asked before."""
        async with asyncio.timeout(SERVING_S_MAX):
            _, complaints = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, complaints.decode()


async def start(*arguments: str, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    """`podium serve` with these arguments."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("PODIUM_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "podium.cli.main", "serve", *arguments),
        env={**inherited, "PODIUM_GATEWAY_LISTEN": "127.0.0.1:0", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def serving(*arguments: str, **environment: str) -> AsyncGenerator[Serving, None]:
    """A server for the block, on free ports."""
    process = await start("--grpc", "127.0.0.1:0", *arguments, environment=environment)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(SERVING_S_MAX):
            line = await process.stdout.readline()
            if not line:
                _, complaints = await process.communicate()
                raise AssertionError(f"expected a serving line, found {complaints.decode()}")
        yield Serving(process, json.loads(line))
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def podium(*arguments: str) -> tuple[int, str, str]:
    """`podium` with these arguments, run to its end: exit code, what it said, and complained."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "podium.cli.main", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaints = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode(), complaints.decode()


async def refused(*arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code and the words of a server that does not start."""
    process = await start(*arguments, environment=environment)
    try:
        async with asyncio.timeout(SERVING_S_MAX):
            said, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert said == b"", said
    assert process.returncode is not None
    return process.returncode, complaints.decode()

"""A server process for the demo: on a free port and a temporary store, ended by its own id."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Final

from podium.config import plain_environment

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

SERVING_S_MAX: Final = 15
END_S_MAX: Final = 10
COMPLAINT_CHARACTERS: Final = 2_000


class ServerFailed(Exception):
    """The server did not come up; the text has its own words."""


@asynccontextmanager
async def demo_server(folder: Path, resolve: dict[str, str]) -> AsyncGenerator[str, None]:
    """Serve for the block; gives HOST:PORT. `resolve`: as the setting `http.resolve`."""
    config = folder / "podium.toml"
    pins = "".join(f"{json.dumps(name)} = {json.dumps(to)}\n" for name, to in resolve.items())
    config.write_text(
        '[grpc]\nlisten = "127.0.0.1:0"\n\n[gateway]\nlisten = ""\n\n'
        f'[store]\nurl = "sqlite:///{folder}/podium.db"\n\n'
        f"[http.resolve]\n{pins}"
    )
    with TemporaryFile() as complaints:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "podium.cli.main", "serve", str(config)),
            env=plain_environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
        )
        try:
            yield await _serving(process, complaints)
        finally:
            await _end(process)


async def _serving(process: asyncio.subprocess.Process, complaints: IO[bytes]) -> str:
    """HOST:PORT of the serving line."""
    assert process.stdout is not None, "the process was started with a pipe"
    try:
        async with asyncio.timeout(SERVING_S_MAX):
            line = await process.stdout.readline()
    except TimeoutError:
        line = b""
    if line:
        return str(json.loads(line)["grpc"])
    complaints.seek(0)
    words = complaints.read().decode(errors="replace").strip()[-COMPLAINT_CHARACTERS:]
    raise ServerFailed(f"expected a serving server in {SERVING_S_MAX} s, found: {words or 'none'}")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask it to end, and end it when it does not."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(END_S_MAX):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()

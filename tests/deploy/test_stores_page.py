"""docs/stores.md: the lines of each store, run as printed but for ports, and one workflow done.

Those of Dynomite are in tests/dynomite.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import grpc.aio
import pytest
from redis import Redis, RedisError

from tests.deploy.first_workflow import task_of_a_started_workflow
from tests.store.nodes import free_port

pytestmark = [pytest.mark.part("redis-server"), pytest.mark.timeout(120)]

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "stores.md"
BLOCKS: Final = re.findall(r"## (\w+).*?\n\n```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
PORT: Final = re.compile(r"\b(?:6379|638\d|26379|700\d)\b")
SERVING_S: Final = 40
TRIES_MAX: Final = 40
"""A node that joins a cluster, or that Sentinel has just met, may not be ready at once."""


def test_each_store_has_its_lines() -> None:
    names = ["SQLite", "Redis", "TLS", "Sentinel", "Redis", "Dynomite"]
    assert [name for name, _ in BLOCKS] == names
    assert all(len(commands(lines)) <= 5 for _, lines in BLOCKS)


def commands(lines: str) -> list[str]:
    """A loop is one."""
    return [line for line in lines.splitlines() if line[0] != " " and line != "done"]


@pytest.mark.parametrize("lines", [lines for name, lines in BLOCKS if name != "Dynomite"])
async def test_the_lines_give_a_server_that_works(lines: str, tmp_path: Path) -> None:
    ports = {port: str(free_port()) for port in sorted(set(PORT.findall(lines)))}
    lines = PORT.sub(lambda found: ports[found.group()], lines)
    *before, last = lines.splitlines()
    assert last.startswith("podium serve ")
    try:
        await run("\n".join(before), tmp_path)
        await serve_and_work(last, tmp_path)
    finally:
        for port in ports.values():
            end(int(port))


def environment() -> dict[str, str]:
    """With this checkout's `podium`, listening on free ports."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PODIUM_")}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}",
        "PODIUM_GRPC_LISTEN": "127.0.0.1:0",
        "PODIUM_GATEWAY_LISTEN": "127.0.0.1:0",
    }


async def run(lines: str, folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euc", lines),
        cwd=folder,
        env=environment(),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(SERVING_S):
        assert await process.wait() == 0


async def serve_and_work(line: str, folder: Path) -> None:
    """As somebody who tries again while the store is not ready yet."""
    complaints = b""
    for _ in range(TRIES_MAX):
        process = await asyncio.create_subprocess_exec(
            *("bash", "-euc", f"exec {line}"),
            cwd=folder,
            env=environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(SERVING_S):
                said = await process.stdout.readline()
            if said:
                async with grpc.aio.insecure_channel(json.loads(said)["grpc"]) as channel:
                    await task_of_a_started_workflow(channel, channel)
                return
        finally:
            if process.returncode is None:
                process.terminate()
            _, complaints = await process.communicate()
        await asyncio.sleep(0.5)
    pytest.fail(f"expected a serving line, found {complaints.decode()}")


def end(port: int) -> None:
    """Whatever serves there, by its own process id."""
    plain = Redis(port=port, protocol=2, socket_timeout=5)
    secured = Redis(
        port=port,
        protocol=2,
        socket_timeout=5,
        username="podium",
        password="secret",
        ssl=True,
        ssl_cert_reqs="none",
    )
    for each in (plain, secured):
        with suppress(RedisError), each as node:
            os.kill(int(node.info("server")["process_id"]), signal.SIGKILL)
            return

"""`podium serve --processes N`: real processes on a real Redis, and what becomes of their work."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.cli.serving import refused, start
from tests.e2e.client import Client
from tests.processes.crowd import crowd
from tests.store.nodes import DURABLE, Node
from tests.telemetry.scrape import scrape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = [pytest.mark.part("redis-server"), pytest.mark.timeout(180)]
EVENT_S_MAX = 120
NAME = "shared"
WORKERS = 6
CLIENTS = 20
LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Several:
    """The supervisor, and its serving line."""

    supervisor: asyncio.subprocess.Process
    target: str
    http: tuple[str, ...]
    process_ids: tuple[int, ...]

    async def streams(self) -> list[int]:
        """Of each process; none where it does not answer."""
        return [await streams_at(http) for http in self.http]

    async def end(self) -> tuple[int, str]:
        self.supervisor.terminate()
        return await self.ended()

    async def ended(self) -> tuple[int, str]:
        async with asyncio.timeout(EVENT_S_MAX):
            _, words = await self.supervisor.communicate()
        assert self.supervisor.returncode is not None
        return self.supervisor.returncode, words.decode()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with Node(tmp_path / "redis", *DURABLE) as node:
        yield node


@asynccontextmanager
async def several(url: str) -> AsyncIterator[Several]:
    supervisor = await start(
        *("--grpc", "127.0.0.1:0", "--processes", "2", "--store", url), environment={}
    )
    assert supervisor.stdout is not None
    try:
        async with asyncio.timeout(EVENT_S_MAX):
            said = json.loads(await supervisor.stdout.readline())
        assert (said["event"], said["store"]) == ("serving", url)
        http = tuple(each["http"] for each in said["processes"])
        assert said["http"] == http[0]
        process_ids = tuple(each["process_id"] for each in said["processes"])
        yield Several(supervisor, said["grpc"], http, process_ids)
    finally:
        if supervisor.returncode is None:
            supervisor.kill()  # its processes end when it is gone
            await supervisor.communicate()


async def streams_at(http: str) -> int:
    try:
        return int((await scrape(f"http://{http}")).value("podium_worker_streams"))
    except aiohttp.ClientError:
        return 0


async def until_shared(servers: Several) -> None:
    """Every process has a stream, and all are there."""
    async with asyncio.timeout(EVENT_S_MAX):
        found = [0]
        while min(found) == 0 or sum(found) != WORKERS:
            await asyncio.sleep(LOOK_S)
            found = await servers.streams()


async def until_gone(process_ids: tuple[int, ...]) -> None:
    async with asyncio.timeout(EVENT_S_MAX):
        while any(map(is_alive, process_ids)):  # noqa: ASYNC110 - the process tells nobody
            await asyncio.sleep(LOOK_S)


def is_alive(process_id: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def mapped(process_id: int) -> str:
    """The files it has loaded."""
    return Path(f"/proc/{process_id}/maps").read_text()


async def all_completed(client: Client, runs: list[str]) -> None:
    assert {(await client.ended(run))[0] for run in runs} == {"COMPLETED"}


async def done_at(http: str) -> float:
    """Tasks that ended by a commit of this process."""
    found = await scrape(f"http://{http}")
    return found.value("podium_ended_tasks_total", task_type=NAME, status="COMPLETED")


async def test_both_do_work_one_is_killed_and_nothing_is_lost(node: Node) -> None:
    async with several(node.url) as servers, Client(servers.target) as client:
        await client.register(NAME)
        async with crowd(servers.target, NAME, WORKERS) as people:
            await until_shared(servers)
            for _ in range(CLIENTS):  # each with a connection of its own
                async with Client(servers.target) as other:
                    await all_completed(other, [await other.start(NAME) for _ in range(3)])
            assert all([await done_at(http) for http in servers.http])

            people.free.clear()
            runs = [await client.start(NAME) for _ in range(WORKERS)]
            await people.have_begun(CLIENTS * 3 + WORKERS)
            os.kill(servers.process_ids[0], signal.SIGKILL)
            await until_gone(servers.process_ids[:1])
            people.free.set()
            async with Client(servers.target) as other:
                await all_completed(other, runs)
            await until_shared(servers)  # the one that came back gets its share
        code, words = await servers.end()
        assert code == 0, words
        assert "process_died" in {json.loads(line)["event"] for line in words.splitlines()}
        await until_gone(servers.process_ids)


async def test_what_is_in_hand_stays_in_hand_while_streams_move(node: Node) -> None:
    async with several(node.url) as servers:
        async with Client(servers.target) as client:
            await client.register(NAME)
        os.kill(servers.process_ids[0], signal.SIGKILL)
        await until_gone(servers.process_ids[:1])
        async with crowd(servers.target, NAME, WORKERS) as people, Client(servers.target) as client:
            people.free.clear()
            runs = [await client.start(NAME) for _ in range(WORKERS * 2)]
            await people.have_begun(len(runs))
            await until_shared(servers)
            people.free.set()
            await all_completed(client, runs)
            assert len(people.begun) == len(runs), "none was handed out twice"
        assert (await servers.end())[0] == 0


async def test_the_supervisor_is_no_server_and_its_end_is_theirs(node: Node) -> None:
    async with several(node.url) as servers:
        assert "cygrpc" not in mapped(servers.supervisor.pid)
        assert all("cygrpc" in mapped(each) for each in servers.process_ids)
        servers.supervisor.kill()
        await until_gone(servers.process_ids)


async def test_an_interrupt_ends_all(node: Node) -> None:
    async with several(node.url) as servers:
        servers.supervisor.send_signal(signal.SIGINT)
        assert await servers.ended() == (0, "")
        await until_gone(servers.process_ids)


@pytest.mark.parametrize("url", ["memory://", "sqlite:///{folder}/podium.db"])
async def test_a_store_of_one_process_is_refused(url: str, tmp_path: Path) -> None:
    url = url.replace("{folder}", str(tmp_path))
    kind = url.partition(":")[0]
    code, words = await refused("--grpc", "127.0.0.1:0", "--processes", "2", "--store", url)
    assert code == 2
    assert words == (
        f"podium: grpc.processes: expected 1 with {url}, found 2: a {kind} store belongs to one"
        " process. Use a store that several share, such as --store redis://HOST:PORT\n"
    )


async def test_what_no_process_can_do_is_said_once() -> None:
    code, words = await refused(
        *("--grpc", "127.0.0.1:0", "--processes", "2", "--store", "redis://127.0.0.1:1")
    )
    assert code == 2
    first, second = words.splitlines()
    assert first.startswith("podium: store.url: redis://127.0.0.1:1: expected a node that answers")
    assert second == (
        "podium: grpc.processes: expected process 0 to serve, found that it ended with 2"
    )


async def test_a_port_that_others_share_among_themselves_is_refused() -> None:
    with socket.socket() as theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        theirs.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{theirs.getsockname()[1]}"
        code, words = await refused(
            *("--grpc", place, "--processes", "2", "--store", "redis://127.0.0.1:1")
        )
    assert code == 2
    assert words.startswith("podium: grpc.listen: expected a free port on an address of this")

"""From the previous version to this one, and back: servers of both over one store, under load."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, Self

import pytest

from tests.cli.serving import serving
from tests.e2e.client import Client
from tests.processes.crowd import crowd
from tests.processes.previous import previous_server
from tests.store.nodes import DURABLE, Node, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.cli.serving import Serving
    from tests.processes.crowd import Crowd

pytestmark = [pytest.mark.timeout(240), pytest.mark.part("previous")]

NAME: Final = "upgraded"
WORKERS: Final = 3
MORE: Final = 20
"""Tasks that begin between one replacement and the next."""
GAP_S: Final = 0.05
NOW: Final[Mapping[str, str]] = {}
"""The environment of this version."""
KNOWN: Final = ("dispatcher.py:134 withdraw_all", "sync_child.py:98 request")
"""Where the previous version is known to crash at its stop, seldom; what it had in hand goes on."""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of the previous version."""
    return previous_server(tmp_path_factory.mktemp("previous"))


class Place:
    """A port on which one server after the other serves."""

    def __init__(self, store: str) -> None:
        self.port = free_port()
        self._store = store
        self._stack = AsyncExitStack()
        self._server: Serving | None = None
        self._environment = NOW

    async def run(self, environment: Mapping[str, str]) -> None:
        """Instead of the server that is there."""
        if self._server is not None:
            await self.end()
        self._environment = environment
        listen = ("--grpc", f"127.0.0.1:{self.port}", "--store", self._store)
        self._server = await self._stack.enter_async_context(serving(*listen, **environment))

    async def end(self) -> None:
        """In good order, and without an error in its log."""
        assert self._server is not None
        code, words = await self._server.end()
        told = [json.loads(line) for line in words.splitlines()]
        wrong = [each for each in told if each["level"] in {"error", "critical"}]
        known = KNOWN if self._environment is not NOW else ()
        crashes = [each for each in wrong if each.get("traceback", [""])[-1].endswith(known)]
        assert wrong == crashes, words
        assert code == (1 if crashes else 0), words

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stack.aclose()


async def load(client: Client, stop: asyncio.Event) -> list[str]:
    """Starts, one after the other; an error of any ends the test."""
    runs: list[str] = []
    while not stop.is_set():
        runs.append(await client.start(NAME))
        await asyncio.sleep(GAP_S)
    return runs


async def more(people: Crowd) -> None:
    await people.have_begun(len(people.begun) + MORE)


def test_the_previous_version_is_another_tree(before: Mapping[str, str]) -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import podium.bootstrap as it; print(it.__file__)"],
        env=dict(before),
        capture_output=True,
        check=True,
    )
    assert found.stdout.decode().startswith(before["PYTHONPATH"])


@pytest.mark.part("redis-server")
async def test_servers_are_replaced_and_rolled_back_one_after_the_other(
    before: Mapping[str, str], tmp_path: Path
) -> None:
    stop = asyncio.Event()
    with Node(tmp_path / "redis", *DURABLE) as node:
        async with Place(node.url) as one, Place(node.url) as two:
            await one.run(before)
            await two.run(before)
            target = f"ipv4:127.0.0.1:{one.port},127.0.0.1:{two.port}"
            async with crowd(target, NAME, WORKERS) as people, Client(target) as client:
                await client.register(NAME)
                async with asyncio.TaskGroup() as group:
                    loading = group.create_task(load(client, stop))
                    await more(people)
                    # Forward, then the first one back: each time both versions serve for a while.
                    for place, version in ((one, NOW), (two, NOW), (one, before)):
                        await place.run(version)
                        await more(people)
                    stop.set()
                ended = [await client.ended(run) for run in loading.result()]
                begun = len(people.begun)
            await one.end()
            await two.end()
    assert {status for status, _ in ended} == {"COMPLETED"}
    assert begun == len(ended), "none was handed out twice"


async def test_a_file_is_taken_over_with_what_runs(
    before: Mapping[str, str], tmp_path: Path
) -> None:
    async with Place(f"sqlite:///{tmp_path}/podium.db") as place:
        await place.run(before)
        target = f"127.0.0.1:{place.port}"
        async with crowd(target, NAME, WORKERS) as people, Client(target) as client:
            await client.register(NAME)
            done = [await client.start(NAME) for _ in range(5)]
            assert {(await client.ended(run))[0] for run in done} == {"COMPLETED"}
            people.free.clear()
            waiting = [await client.start(NAME) for _ in range(WORKERS * 8)]
            await people.have_begun(len(done) + WORKERS)
            await place.run(NOW)
            people.free.set()
            assert {(await client.ended(run))[0] for run in waiting} == {"COMPLETED"}
            assert {(await client.read(run)).status for run in done} == {1}
            assert len(people.begun) == len(done) + len(waiting), "none was handed out twice"
        await place.end()

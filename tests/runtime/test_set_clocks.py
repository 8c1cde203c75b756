"""Clocks that are set by an hour, a server's or the store's: what lasts, lasts as long as before.

The loop's time is virtual: an hour that something waits in vain costs the test nothing and shows.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from podium.runtime.committer import Committer
from podium.runtime.members import DISTRUST_MS
from podium.runtime.service import Runtime, Settings
from podium.store.memory import MemoryStore
from podium.store.port import Commit, Committed
from tests.runtime.rig import FixedRegistry
from tests.simulation.actors import SimClock, SimIds, chance
from tests.simulation.loop import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.store.port import CommitResult, StoreError

HOUR_MS = 3_600_000
SETTLED_S = 2
"""Two heartbeats: everybody knows everybody."""
GONE_S = 6
"""More than a server may be silent and less than its leases wait for its workers."""
EITHER_WAY = pytest.mark.parametrize("jump_ms", [HOUR_MS, -HOUR_MS])


async def served(store: MemoryStore, name: str, skew_ms: int = 0) -> Runtime:
    """A server whose own clock is wrong by `skew_ms`."""
    runtime = Runtime(
        store=store,
        registry=FixedRegistry([], []),
        clock=SimClock(skew_ms),
        ids=SimIds(chance(1, name)),
        settings=Settings(),
    )

    async def starter(*_: object) -> None:
        raise AssertionError("no child is started here")

    await runtime.start(starter)  # pyright: ignore[reportArgumentType]
    runtime.listening()
    return runtime


@EITHER_WAY
def test_a_server_that_dies_as_the_stores_clock_is_set_is_missed_in_time(jump_ms: int) -> None:
    async def play() -> None:
        # Given two servers that know each other
        time = SimClock()
        store = MemoryStore(time.now_ms)
        one, other = [await served(store, each) for each in ("one", "other")]
        await asyncio.sleep(SETTLED_S)
        assert set(one.members.live) == {one.incarnation, other.incarnation}
        # When one dies and the store's clock is set
        other.kill()
        time.skew_ms += jump_ms
        await asyncio.sleep(GONE_S)
        # Then the other one owns everything, not an hour later
        assert one.members.live == (one.incarnation,)
        one.kill()

    run(play())


@EITHER_WAY
def test_nobody_is_taken_for_dead_because_the_stores_clock_is_set(jump_ms: int) -> None:
    async def play() -> None:
        # Given two servers that know each other
        time = SimClock()
        store = MemoryStore(time.now_ms)
        servers = [await served(store, each) for each in ("one", "other")]
        silent: list[str] = []
        for each in servers:
            each.members.on_silent = lambda: silent.append("silent")
        await asyncio.sleep(SETTLED_S)
        # When the store's clock is set
        time.skew_ms += jump_ms
        await asyncio.sleep(GONE_S)
        # Then both go on, with their streams, and both go by the store's time
        assert silent == []
        for each in servers:
            assert len(each.members.live) == len(servers)
            assert each.members.takeovers == 0
            assert each.clock.now_ms() == time.now_ms()
            each.kill()

    run(play())


@EITHER_WAY
def test_a_server_with_a_wrong_clock_tells_its_wishes_again_as_often(jump_ms: int) -> None:
    async def play() -> None:
        # Given a server that was started with its clock an hour off
        server = await served(MemoryStore(SimClock().now_ms), "one", jump_ms)
        told: list[str] = []
        server.dispatcher.distrust = lambda: told.append("again")
        # When a little more than the time between two such tellings is over
        await asyncio.sleep(DISTRUST_MS / 1000 + SETTLED_S)
        # Then it has told them
        assert told == ["again"]
        server.kill()

    run(play())


def test_groups_of_commits_follow_each_other_though_the_clock_is_set_back() -> None:
    async def play() -> None:
        # Given a busy committer over a store; the clock is set back while a group is in flight
        clock = SimClock()

        class SettingStore(MemoryStore):
            async def commit(self, commits: Sequence[Commit]) -> list[CommitResult]:
                clock.skew_ms -= HOUR_MS
                await asyncio.sleep(0.001)
                return [Committed(1) for _ in commits]

        committer = Committer(SettingStore(clock.now_ms), clock)
        running = asyncio.ensure_future(committer.run())
        told: list[CommitResult | StoreError] = []

        def receive(result: CommitResult | StoreError) -> None:
            told.append(result)

        for number in range(10):
            committer.put(Commit(workflow_id=f"a{number}", version=0), receive)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        # When more has gathered than one group takes at rest
        for number in range(10):
            committer.put(Commit(workflow_id=f"b{number}", version=0), receive)
        # Then it goes in the next group, a few ms later
        await asyncio.sleep(1)
        assert len(told) == 20
        running.cancel()

    run(play())

"""Wishes of servers that are gone: what is granted to them is lost by somebody."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from podium.model.queue import UNLIMITED, Queue
from podium.protocol.frame import LeaseName, ResultVerdict
from podium.runtime.away import Away
from podium.store.port import PARTITIONS, Heartbeat
from tests.runtime.rig import EVENT_S, Hand, Rig, chain

if TYPE_CHECKING:
    from podium.runtime.service import Runtime

A = Queue("a")
ONE = chain("one", "a")
GHOST = "ghost"


async def granted_to_ghost(rig: Rig, server: Runtime) -> str:
    """An execution whose task is leased to a server that nobody knows."""
    await rig.store.want(GHOST, A, 5, kind="stream", limits=UNLIMITED)
    workflow_id = await rig.start(server, "one")
    async with asyncio.timeout(EVENT_S):
        while await rig.store.holders(range(PARTITIONS)) != {GHOST}:
            await rig.clock.sleep(5)
    return workflow_id


async def answered(rig: Rig, server: Runtime, workflow_id: str) -> Hand:
    """A worker gets its task after all."""
    hand = Hand(server, "w", [A], 1)
    task = await hand.take()
    assert task.id.startswith(workflow_id)
    assert task.lease_epoch > 1
    assert await hand.answer(task) is ResultVerdict.OK
    await rig.finished(server, workflow_id)
    return hand


async def test_a_grant_for_a_server_that_is_gone_is_taken_back() -> None:
    async with Rig([ONE]) as rig:
        server = await rig.server()
        hand = await answered(rig, server, await granted_to_ghost(rig, server))
        hand.leave()
        # What it wished for beyond that is withdrawn as soon as it is met.
        await rig.start(server, "one")
        async with asyncio.timeout(EVENT_S):
            while (await rig.store.queue_state(A, UNLIMITED)).wanted:
                await rig.clock.sleep(5)
            while await rig.store.queue_size(A) != 1:
                await rig.clock.sleep(5)
        assert await rig.store.holders(range(PARTITIONS)) == set()


@pytest.mark.parametrize("ends", ["is killed", "leaves"])
async def test_who_granted_it_ends_before_it_knows(
    ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Rig([ONE]) as rig:
        first, second = await rig.server(), await rig.server()
        monkeypatch.setattr(first.dispatcher.away, "nobodys", lambda _: [])
        workflow_id = await granted_to_ghost(rig, first)
        if ends == "leaves":
            await first.stop()
        else:
            first.kill()
        await answered(rig, second, workflow_id)


def test_one_that_was_seen_alive_since_is_looked_after_by_others() -> None:
    away = Away()
    away.granted("t1", 1, "alive")
    away.granted("t2", 1, "silent")
    away.granted("t3", 1, GHOST)
    beat = Heartbeat(10_000, {"alive": 9_500, "silent": 1_000})
    assert away.nobodys(beat) == [LeaseName("t3", 1)]
    assert away.in_doubt
    assert (away.is_gone(GHOST), away.is_gone("silent")) == (True, False)
    away.dead = frozenset({"silent"})
    assert away.is_gone("silent")
    # It was only late, and is here again.
    assert away.nobodys(Heartbeat(11_000, {"silent": 10_900, GHOST: 10_900})) == []
    assert not away.in_doubt
    assert not away.is_gone(GHOST)

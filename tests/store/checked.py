"""Servers over a real store, with the simulation's checker on their commits and hand-outs.

All servers are in this process, so that one checker sees the commits of all in their order.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, cast

from podium.runtime.clock import SystemClock
from podium.store.port import Committed
from podium.store.redis.store import RedisStore
from tests.api.edge import Edge
from tests.corpus.apart import Apart, run_all
from tests.simulation.checkers import Checker
from tests.simulation.rest import at_rest, left_over, queued
from tests.simulation.scene import Scene
from tests.store.subjects import own_part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from podium.store.port import Commit, CommitResult, Store
    from tests.corpus.apart import Case

REST_S_MAX = 30


class Checked:
    """Stands in for the store of one server. `lock` is that of all: what the checker looks at after
    a group must be what the group made.
    """

    def __init__(self, store: Store, checker: Checker, lock: asyncio.Lock) -> None:
        self._store = store
        self._checker = checker
        self._lock = lock

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._store, verb)

    async def commit(self, commits: Sequence[Commit]) -> list[CommitResult]:
        names = [each.workflow_id for each in commits]
        assert len(names) == len(set(names)), "expected one commit of each execution in a group"
        async with self._lock:
            results = await self._store.commit(commits)
            for commit, result in zip(commits, results, strict=True):
                if isinstance(result, Committed):
                    await self._checker.committed(commit)
        return results


def watch_hand_outs(edge: Edge, name: str, checker: Checker) -> None:
    """The checker sees what polls are answered with."""
    polls = edge.runtime.polls
    real = polls.poll

    async def poll(*asked: Any) -> Any:
        found = await real(*asked)
        for task, _ in found:
            checker.handed_out(name, task.id, task.lease_epoch)
        return found

    polls.poll = poll  # pyright: ignore[reportAttributeAccessIssue]


async def corpus_is_run_by_the_rules(
    looking: Store, stores: Sequence[Store], cases: Sequence[Case]
) -> int:
    """Executions of the corpus begin at the first of the servers over these stores and are worked
    on at the last; `looking` is an open store for the checker. Gives how many commits there were.
    """
    scene = Scene(seed=0)
    checker, lock = Checker(scene, looking), asyncio.Lock()
    async with AsyncExitStack() as stack:
        edges: list[Edge] = []
        for number, store in enumerate(stores):
            edge = Edge(store=cast("Store", Checked(store, checker, lock)))
            watch_hand_outs(edge, f"server {number}", checker)
            edges.append(await stack.enter_async_context(edge))
        scene.incarnations += [each.runtime.incarnation for each in edges]
        await asyncio.to_thread(run_all, Apart(edges[0].address, edges[-1].address), cases)
        assert scene.failure is None, scene.failure
        # What is left after that is the checker's matter
        await at_rest(lambda: looked(looking, scene.incarnations), REST_S_MAX)
        await checker.at_the_end()
    assert scene.failure is None, scene.failure
    return checker.commits


async def looked(store: Store, incarnations: Sequence[str]) -> list[tuple[str, object]]:
    """As left_over, with the queues, which have not heard of the last claims' end yet."""
    left = await left_over(store, incarnations)
    return [*left, ("no queue holds a task", await queued(store))]


async def two_servers_keep_the_rules(url: str, cases: Sequence[Case]) -> int:
    """Over a prefix of their own; gives how many commits there were."""
    address = own_part(url)
    looking, first, second = (RedisStore(address, SystemClock().now_ms) for _ in range(3))
    await looking.open()
    try:
        return await corpus_is_run_by_the_rules(looking, [first, second], cases)
    finally:
        await looking.close()

"""The world of one seed: servers, workers, clients, faults; a safety phase, then a liveness phase.

In the safety phase faults are on and the checkers run. Then faults stop, nothing new is started,
and every workflow must reach its expected end within a virtual budget.
"""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import msgspec

from podium.model.definition import decode_workflow
from podium.registry.registry import Registry
from tests.simulation import loop as sim_loop
from tests.simulation.actors import SimClock, chance, loop_ms
from tests.simulation.checkers import CheckedStore, Checker
from tests.simulation.clients import Client
from tests.simulation.generator import Generator, Plan, task_defs
from tests.simulation.node import Node, Nodes
from tests.simulation.scene import Scene, expect
from tests.simulation.workers import Poller, WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

STORM_S = 20
STORM_S_MAX = 200
FINISH_S = 900
QUIET_S = 40


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, *, trace: bool = False) -> None:
        self.scene = Scene(seed, trace=trace)
        self.store = CheckedStore(SimClock().now_ms)
        self.checker = self.store.checker = Checker(self.scene, self.store)
        servers = range(self.scene.swarm.servers)
        self.nodes = Nodes(
            [Node(self.scene, self.store, self.checker, f"server{n}") for n in servers]
        )

    async def run(self) -> None:
        """Raises Violation, or what production code raised and nobody awaited."""
        sim_loop.FOUND.clear()
        play = asyncio.ensure_future(self._play())
        failed = asyncio.ensure_future(self.scene.failed.wait())
        await asyncio.wait([play, failed], return_when=asyncio.FIRST_COMPLETED)
        failed.cancel()
        play.cancel()
        await asyncio.wait([play])
        for node in self.nodes.all:
            node.close()
        if self.scene.failure is not None and not self.scene.late:
            raise self.scene.failure
        gc.collect()  # tasks that died of an exception tell it when they are collected
        if sim_loop.FOUND:
            raise sim_loop.FOUND[0]
        if self.scene.failure is not None:
            raise self.scene.failure
        play.result()

    async def _play(self) -> None:
        swarm = self.scene.swarm
        await self.store.open()
        plans = await self._register()
        async with asyncio.TaskGroup() as group:
            for node in self.nodes.all:
                group.create_task(node.start())
        workers: list[WorkerProcess | Poller] = [
            WorkerProcess(self.scene, self.nodes, f"worker{n}") for n in range(swarm.workers)
        ]
        workers += [
            Poller(self.scene, self.nodes, self.checker, f"poller{n}") for n in range(swarm.pollers)
        ]
        working = [asyncio.ensure_future(worker.run()) for worker in workers]
        crashes = asyncio.ensure_future(self._crash_servers())
        clients = [
            asyncio.ensure_future(
                Client(self.scene, self.nodes, self.checker, plan=plan).run(self.store)
            )
            for plan in plans
        ]
        await asyncio.wait([crashes, *clients], timeout=STORM_S_MAX)
        self._heal()
        await self._all_end(clients)
        await asyncio.sleep(QUIET_S)
        await self.checker.at_the_end()
        for each in working:
            each.cancel()

    async def _register(self) -> list[Plan]:
        registry = Registry(self.store, SimClock().now_ms)
        await registry.register_tasks(task_defs())
        plans: list[Plan] = []
        for n in range(self.scene.swarm.workflows):
            plan = Generator(chance(self.scene.seed, f"plan{n}"), f"flow{n}").plan()
            plan.input = {"seed": n}
            plans.append(plan)
            for definition in plan.definitions:
                decoded = decode_workflow(msgspec.json.encode(definition))
                await registry.register_workflow(decoded)
        return plans

    async def _crash_servers(self) -> None:
        """Crashes and restarts."""
        random = chance(self.scene.seed, "crashes")
        for _ in range(self.scene.swarm.server_crashes):
            await asyncio.sleep(random.uniform(0.5, STORM_S / 2))
            node = random.choice(self.nodes.all)
            if not node.up:
                continue
            self.scene.happened("server crash", node.name)
            node.crash()
            await asyncio.sleep(random.uniform(0.1, 12))
            await node.start()
        await asyncio.sleep(max(0.0, STORM_S - loop_ms() / 1000))

    def _heal(self) -> None:
        self.scene.faulty = False
        for node in self.nodes.all:
            node.heal()
        self.scene.note("world", "faults stop")

    async def _all_end(self, clients: Sequence[asyncio.Future[None]]) -> None:
        """The liveness phase."""
        _, late = await asyncio.wait(clients, timeout=FINISH_S)
        for client in clients:
            if client not in late:
                client.result()
        if late:
            events = self.checker.terminal.items()
            open_ = sorted(each for each, event in events if not event.is_set())
            self.scene.late = True
            with self.scene.judged():
                expect(not late, f"everything ends within {FINISH_S} s", open_)

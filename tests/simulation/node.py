"""One server of the simulation and its lives: production runtime over a store it can lose.

A crash first detaches the store (calls hang for ever, as those of a dead process), then drops all
tasks, so no `finally` can tidy up. A restart builds new objects from the store only.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from podium.app.services import Services
from podium.app.start import StartWorkflow
from podium.registry.registry import Registry
from podium.runtime.clock import spawn
from podium.runtime.service import Runtime, Settings
from podium.runtime.stream import StreamHost, StreamLimits
from podium.runtime.task_log import TaskLog
from podium.runtime.task_queues import TaskQueues
from podium.store.faulty import NO_FAULTS, FaultyStore
from podium.store.port import StoreError
from tests.simulation.actors import SimClock, SimIds, chance
from tests.simulation.network import ServerEnd

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from podium.store.port import Store
    from tests.simulation.checkers import Checker
    from tests.simulation.network import Wire
    from tests.simulation.scene import Scene

HOUR_MS = 3_600_000
LIMITS = StreamLimits(ping_interval_ms=10_000)
T = TypeVar("T")


class NodeStore(FaultyStore):
    """A process's hold on the store: its faults are traced, and once `lost` every call hangs."""

    def __init__(
        self, store: Store, scene: Scene, name: str, *, random: Random, clock: SimClock
    ) -> None:
        faults = scene.swarm.store if scene.faulty else NO_FAULTS
        super().__init__(store, faults, chance=random, sleep_ms=clock.sleep)
        self._scene = scene
        self._name = name
        self.lost = False

    async def _call(self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        await self._alive()
        try:
            result = await super()._call(verb, call)
        except StoreError:
            await self._alive()
            raise
        await self._alive()
        return result

    def _happens(self, verb: str, kind: str, probability: float) -> bool:
        happens = super()._happens(verb, kind, probability)
        if happens:
            self._scene.counts[f"store {kind}"] += 1
            if kind != "delay":
                self._scene.note(self._name, f"fault: store {kind}: {verb}")
        return happens

    async def _alive(self) -> None:
        if self.lost:
            await asyncio.get_running_loop().create_future()


class Node:
    """A server and its present life, if any."""

    def __init__(self, scene: Scene, store: Store, checker: Checker, name: str) -> None:
        self._scene = scene
        self._shared = store
        self._checker = checker
        self.name = name
        self.lives = 0
        self.up = False
        self.clock = SimClock()
        self.runtime: Runtime | None = None
        self.services: Services | None = None
        self.start_desk: StartWorkflow | None = None
        self._store: NodeStore | None = None
        self._wires: list[Wire] = []
        self._hosts: list[StreamHost] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Come up; after a store failure at the start, again a little later."""
        while not await self._live():
            self.crash()
            await asyncio.sleep(0.5)

    async def _live(self) -> bool:
        self.lives += 1
        random = chance(self._scene.seed, f"{self.name}.{self.lives}")
        self.clock = SimClock()
        self._jump(random)
        self._store = store = NodeStore(
            self._shared, self._scene, self.name, random=random, clock=self.clock
        )
        runtime = self._build(store, SimIds(random))
        assert self.start_desk is not None, self.name
        try:
            await runtime.start(self.start_desk.start_child)
        except StoreError as error:
            self._scene.note(self.name, f"could not start: {error}")
            return False
        runtime.listening()
        self.up = True
        self._scene.note(self.name, f"up as {runtime.incarnation}")
        return True

    def _build(self, store: NodeStore, ids: SimIds) -> Runtime:
        registry = Registry(store, self.clock.now_ms)
        self.runtime = runtime = Runtime(
            store=store, registry=registry, clock=self.clock, ids=ids, settings=Settings()
        )
        self._scene.incarnations.append(runtime.incarnation)
        self.services = Services(
            executor=runtime.executor,
            registry=registry,
            store=store,
            clock=runtime.clock,
            ids=ids,
            polls=runtime.polls,
            watch=runtime.watch,
            parking=runtime.parking,
            runtime=runtime,
        )
        self.start_desk = StartWorkflow(self.services)
        runtime.members.on_silent = self._give_up_streams
        return runtime

    def accept(self, wire: Wire) -> None:
        """A worker connects."""
        runtime = self.runtime
        assert runtime is not None, self.name
        host = StreamHost(
            link=ServerEnd(wire, self._checker, self.name),
            dispatcher=runtime.dispatcher,
            leases=runtime.leases,
            clock=runtime.clock,
            queue_of=TaskQueues(runtime.executor).of,
            logs=TaskLog(runtime.store).put,
            session=f"{self.name}.{self.lives}.{len(self._wires)}",
            server=runtime.incarnation,
            limits=LIMITS,
        )
        self._wires.append(wire)
        self._hosts.append(host)
        spawn(self._tasks, host.run())

    def _jump(self, random: Random) -> None:
        """This life's clock is wrong by up to an hour, if the seed has jumps. While a process lives
        its clock is a monotonic one (runtime/clock.py), so it jumps between two lives.
        """
        if self._scene.swarm.clock_jumps and self._scene.faulty:
            self.clock.skew_ms = random.choice([-HOUR_MS, 0, HOUR_MS])
            if self.clock.skew_ms:
                self._scene.happened("clock jump", self.name)

    def crash(self) -> None:
        """kill -9."""
        self._end_life()
        for wire in self._wires:
            wire.cut()
        self._wires.clear()
        self._hosts.clear()
        for task in list(self._tasks):
            task.cancel()
        self._scene.note(self.name, "down")

    def heal(self) -> None:
        """Faults stop."""
        if self._store is not None:
            self._store.settings = NO_FAULTS

    def close(self) -> None:
        """The end of the run."""
        self._end_life()

    def _end_life(self) -> None:
        """Detach the store, add this life's counts to the tally, drop everything."""
        self.up = False
        if self._store is not None:
            self._store.lost = True
        runtime, self.runtime = self.runtime, None
        if runtime is None:
            return
        counts = self._scene.counts
        counts["conflict"] += runtime.deciding.conflicts
        counts["take-over"] += runtime.members.takeovers
        counts["lease resumed"] += runtime.leases.resumed_count
        counts["lease lost"] += runtime.leases.lost_count
        runtime.kill()

    def _give_up_streams(self) -> None:
        self._scene.note(self.name, "silent: streams dropped")
        for host in self._hosts:
            host.end("UNAVAILABLE", "the store does not answer")


class Nodes:
    """All servers."""

    def __init__(self, nodes: list[Node]) -> None:
        self.all = nodes

    def some(self, random: Random) -> Node | None:
        """One that is up, as a load balancer would find it."""
        up = [node for node in self.all if node.up]
        return random.choice(up) if up else None

"""One server of the simulation and its lives: production runtime over a store it can lose.

A crash first detaches the store (calls hang for ever, as those of a dead process), then drops all
tasks, so no `finally` can tidy up. A restart builds new objects from the store only.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podium.app.services import Services
from podium.app.start import StartWorkflow
from podium.registry.registry import Registry
from podium.runtime.clock import spawn
from podium.runtime.service import Runtime, Settings
from podium.runtime.stream import StreamHost, StreamLimits, TaskQueues
from podium.runtime.task_log import TaskLog
from podium.store.faulty import NO_FAULTS, FaultyStore
from podium.store.port import StoreError
from tests.sim.actors import SimClock, SimIds, chance
from tests.sim.network import ServerEnd

if TYPE_CHECKING:
    from tests.sim.network import Wire
    from tests.sim.world import World

HOUR_MS = 3_600_000
LIMITS = StreamLimits(ping_interval_ms=10_000)


class Grip:
    """A process's hold on the store: let go of, every call hangs."""

    def __init__(self, store: FaultyStore) -> None:
        self._store = store
        self.lost = False

    def __getattr__(self, verb: str) -> object:
        target = getattr(self._store, verb)
        if not asyncio.iscoroutinefunction(target):
            return target

        async def call(*args: object, **named: object) -> object:
            await self._alive()
            result = await target(*args, **named)
            await self._alive()
            return result

        return call

    async def _alive(self) -> None:
        if self.lost:
            await asyncio.get_running_loop().create_future()


class Node:
    """A server and its present life, if any."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.lives = 0
        self.up = False
        self.skew_ms = 0
        self.runtime: Runtime | None = None
        self._grip: Grip | None = None
        self._faulty: FaultyStore | None = None
        self._wires: list[Wire] = []
        self._hosts: list[StreamHost] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.start_desk: StartWorkflow | None = None

    async def start(self) -> None:
        """Come up; after a store failure at the start, again a little later."""
        while not await self._live():
            self.crash()
            await asyncio.sleep(0.5)

    async def _live(self) -> bool:
        self.lives += 1
        random = chance(self.world.seed, f"{self.name}.{self.lives}")
        if self.world.swarm.clock_jumps and self.world.faulty:
            self.skew_ms = random.choice([-HOUR_MS, 0, HOUR_MS])
            self.world.tally.add("clock jump", self.skew_ms != 0)
        clock = SimClock(self.skew_ms)
        self._faulty = FaultyStore(
            self.world.checked,
            self.world.swarm.store if self.world.faulty else NO_FAULTS,
            chance=random,
            sleep_ms=clock.sleep,
        )
        self._grip = store = Grip(self._faulty)
        ids = SimIds(random)
        registry = Registry(store, clock.now_ms)  # pyright: ignore[reportArgumentType] - Grip forwards every verb
        self.runtime = runtime = Runtime(
            store=store,  # pyright: ignore[reportArgumentType]
            registry=registry,
            clock=clock,
            ids=ids,
            settings=Settings(),
        )
        self.start_desk = StartWorkflow(
            Services(
                executor=runtime.executor,
                registry=registry,
                store=store,  # pyright: ignore[reportArgumentType]
                clock=runtime.clock,
                ids=ids,
                polls=runtime.polls,
                watch=runtime.watch,
            )
        )
        runtime.members.on_silent = self._give_up_streams
        try:
            await runtime.start(self.start_desk.start_child)
        except StoreError as error:
            self.world.note(self.name, f"could not start: {error}")
            return False
        runtime.listening()
        self.up = True
        self.world.note(self.name, f"up as {runtime.incarnation}")
        return True

    def accept(self, wire: Wire) -> None:
        """A worker connects."""
        runtime = self.runtime
        assert runtime is not None, self.name
        host = StreamHost(
            link=ServerEnd(wire, self.world.checker, self.name),
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

    def crash(self) -> None:
        """kill -9."""
        self.up = False
        if self._grip is not None:
            self._grip.lost = True
        self._account()
        if self.runtime is not None:
            self.runtime.kill()
            self.runtime = None
        for wire in self._wires:
            wire.cut()
        self._wires.clear()
        self._hosts.clear()
        for task in list(self._tasks):
            task.cancel()
        self.world.note(self.name, "down")

    def heal(self) -> None:
        """Faults stop."""
        if self._faulty is not None:
            self._faulty.settings = NO_FAULTS
        for wire in self._wires:
            wire.faulty = False

    def _account(self) -> None:
        """Add this life's counts to the tally."""
        if self._faulty is not None:
            for (_, kind), count in self._faulty.counts.items():
                self.world.tally.add(f"store {kind}", count)
            self._faulty.counts.clear()
        if self.runtime is not None:
            self.world.tally.add("conflict", self.runtime.deciding.conflicts)
            self.world.tally.add("take-over", self.runtime.members.takeovers)
            self.world.tally.add("lease resumed", self.runtime.leases.resumed_count)
            self.world.tally.add("lease lost", self.runtime.leases.lost_count)

    def close(self) -> None:
        """The end of the run."""
        if self._grip is not None:
            self._grip.lost = True
        self._account()
        if self.runtime is not None:
            self.runtime.kill()

    def _give_up_streams(self) -> None:
        self.world.note(self.name, "silent: streams dropped")
        for host in self._hosts:
            host.end("UNAVAILABLE", "the store does not answer")

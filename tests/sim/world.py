"""The world of one seed: servers, workers, clients, faults; a safety phase, then a liveness phase.

In the safety phase faults are on and the checkers run. Then faults stop, nothing new is started,
and every workflow must reach its expected end within a virtual budget.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from podium.app.failure import NotFound
from podium.app.start import StartRequest
from podium.engine.command import Rejected, Terminate
from podium.model.definition import decode_workflow
from podium.model.payload import Payload
from podium.runtime.letter import UnknownExecution
from podium.registry.registry import Registry
from podium.store import codec
from podium.store.memory import MemoryStore
from podium.store.port import StoreError
from podium_worker import TaskContext, TerminalError, Worker, worker_task
from tests.sim import loop as sim_loop
from tests.sim.actors import SimClock, WorkerClock, chance, loop_ms
from tests.sim.checkers import Checker, CheckedStore, expect
from tests.sim.generator import KINDS, RESPONSE_S, Generator, Plan, task_defs
from tests.sim.network import SimTransport
from tests.sim.node import Node
from tests.sim.settings import Tally, draw

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from podium_worker.task import WorkerTask
    from tests.sim.settings import Swarm

STORM_S = 20
FINISH_S = 900
QUIET_S = 40
TRACE_LINES = 200


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, *, trace: bool = False) -> None:
        self.seed = seed
        self.swarm: Swarm = draw(chance(seed, "swarm"))
        self.tally = Tally()
        self.faulty = True
        self.trace: deque[str] = deque(maxlen=None if trace else TRACE_LINES)
        self.incarnations: set[str] = set()
        self.store = MemoryStore(SimClock().now_ms)
        self.checked = CheckedStore(self.store)
        self.checker = Checker(self, self.store)
        self.checked.checker = self.checker
        self.nodes = [Node(self, f"server{n}") for n in range(self.swarm.servers)]
        self.plans: dict[str, Plan] = {}
        self.ended_early: set[str] = set()
        self._background: set[asyncio.Task[None]] = set()

    def note(self, actor: str, text: str) -> None:
        """One line of the trace: virtual ms, actor, event."""
        self.trace.append(f"{loop_ms():>8} {actor:<10} {text}")

    def some_node(self, random: Random) -> Node | None:
        up = [node for node in self.nodes if node.up]
        return random.choice(up) if up else None

    async def run(self) -> None:
        """Raises Violation (or whatever production code raised unawaited)."""
        sim_loop.FOUND.clear()
        await self.store.open()
        await self._register()
        async with asyncio.TaskGroup() as group:
            for node in self.nodes:
                group.create_task(node.start())
        workers = [asyncio.ensure_future(self._worker(n)) for n in range(self.swarm.workers)]
        crashes = asyncio.ensure_future(self._crash_servers())
        clients = [asyncio.ensure_future(self._client(n)) for n in range(self.swarm.workflows)]
        await asyncio.wait([crashes, *clients], timeout=STORM_S * 10)
        self._heal()
        await self._all_end(clients)
        await asyncio.sleep(QUIET_S)
        await self.checker.at_the_end()
        for worker in workers:
            worker.cancel()
        for node in self.nodes:
            node.close()
        if sim_loop.FOUND:
            raise sim_loop.FOUND[0]

    async def _register(self) -> None:
        registry = Registry(self.store, SimClock().now_ms)
        await registry.register_tasks(task_defs())
        for n in range(self.swarm.workflows):
            plan = Generator(chance(self.seed, f"plan{n}"), f"flow{n}").plan()
            plan.input = {"seed": n}
            self.plans[f"flow{n}"] = plan
            for definition in plan.definitions:
                decoded = decode_workflow(msgspec.json.encode(definition))
                await registry.register_workflow(decoded)

    # Clients

    async def _client(self, n: int) -> None:
        random = chance(self.seed, f"client{n}")
        await asyncio.sleep(random.uniform(0, STORM_S / 2))
        workflow_id = await self._start(f"flow{n}", f"key{n}", random)
        if random.random() < 0.3:
            again = await self._start(f"flow{n}", f"key{n}", random)
            expect(again == workflow_id, "one key is one execution", (workflow_id, again))
        if random.random() < self.swarm.terminate:
            await asyncio.sleep(random.uniform(0, STORM_S / 2))
            await self._terminate(workflow_id, random)
        await self.checker.finished(workflow_id).wait()
        await self._check_end(workflow_id, self.plans[f"flow{n}"])

    async def _start(self, name: str, key: str, random: Random) -> str:
        request = StartRequest(
            name=name, input=Payload.of(self.plans[name].input), idempotency_key=key
        )
        while True:
            node = self.some_node(random)
            if node is not None and node.start_desk is not None:
                try:
                    async with asyncio.timeout(5):
                        started = await node.start_desk.start(request)
                    self.checker.acknowledged(started.workflow_id)
                except (StoreError, TimeoutError):
                    pass
                else:
                    return started.workflow_id
            await asyncio.sleep(random.uniform(0.01, 0.5))

    async def _terminate(self, workflow_id: str, random: Random) -> None:
        self.ended_early.add(workflow_id)
        while not self.checker.finished(workflow_id).is_set():
            node = self.some_node(random)
            if node is not None and node.runtime is not None:
                try:
                    async with asyncio.timeout(5):
                        await node.runtime.executor.call(
                            workflow_id, Terminate(reason="the client said so"), "client"
                        )
                except (StoreError, TimeoutError, Rejected, UnknownExecution, NotFound):
                    pass
            await asyncio.sleep(random.uniform(0.1, 0.5))

    async def _check_end(self, workflow_id: str, plan: Plan) -> None:
        loaded = await self.store.load(workflow_id, None)
        assert loaded is not None, workflow_id
        header, records = codec.decode_records(loaded.fields, complete=True)
        assert header is not None, workflow_id
        if workflow_id in self.ended_early:
            return
        found = (header.status.value, None if records.output is None else records.output.value)
        expected = (plan.status, plan.output)
        expect(found[0] == expected[0], f"{plan.name} ends {expected}", (found, header.reason))
        if plan.output is not None:
            expect(found[1] == plan.output, f"{plan.name} ends {expected}", found)

    # Workers

    async def _worker(self, n: int) -> None:
        """A worker process and its crashes."""
        random = chance(self.seed, f"worker{n}")
        crashes = self.swarm.worker_crashes
        life = 0
        while True:
            life += 1
            transport = SimTransport(self, random)
            tasks = [self._handler(kind, random) for kind in (*dict.fromkeys(KINDS), "fatal")]
            worker = Worker(
                tasks=tasks,
                worker_id=f"worker{n}.{life}",
                transport=transport,
                clock=WorkerClock(random),
            )
            running = asyncio.ensure_future(worker.run())
            if crashes == 0:
                await running
                return
            crashes -= 1
            await asyncio.sleep(random.uniform(0.5, STORM_S))
            for wire in transport.wires:
                wire.cut()
            running.cancel()
            await asyncio.wait([running])
            self.tally.add("worker crash")
            self.note(f"worker{n}", "crashed")
            await asyncio.sleep(random.uniform(0.1, 2))

    def _handler(self, kind: str, random: Random) -> WorkerTask:
        work_ms = self.swarm.work_ms_max

        @worker_task(kind, tasks_max=self.swarm.tasks_max)
        async def handle(task_input: Mapping[str, object], context: TaskContext) -> object:
            del task_input
            await asyncio.sleep(random.uniform(0, work_ms) / 1000)
            attempt = context.retry_count
            if kind == "fatal":
                raise TerminalError("planned")
            if kind.startswith("fail") and attempt < int(kind[-1]):
                raise ValueError("planned")
            if kind == "slow":
                await asyncio.sleep(random.uniform(0, 3))
            if kind == "hang" and attempt == 0:
                await asyncio.sleep(RESPONSE_S * 3)
            return {"v": context.info.reference_name}

        return handle

    # Faults

    async def _crash_servers(self) -> None:
        random = chance(self.seed, "crashes")
        for _ in range(self.swarm.server_crashes):
            await asyncio.sleep(random.uniform(0.5, STORM_S / 2))
            node = random.choice(self.nodes)
            if not node.up:
                continue
            self.tally.add("server crash")
            node.crash()
            await asyncio.sleep(random.uniform(0.1, 12))
            await node.start()
        await asyncio.sleep(max(0.0, STORM_S - loop_ms() / 1000))

    def _heal(self) -> None:
        self.faulty = False
        for node in self.nodes:
            node.heal()
        self.note("world", "faults stop")

    async def _all_end(self, clients: list[asyncio.Task[None]]) -> None:
        """The liveness phase."""
        _, late = await asyncio.wait(clients, timeout=FINISH_S)
        for client in clients:
            if client not in late:
                client.result()
        if late:
            unfinished = [each for each, event in self.checker.terminal.items() if not event.is_set()]
            expect(not late, f"everything ends within {FINISH_S} s", sorted(unfinished))

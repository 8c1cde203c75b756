"""A client: starts one workflow with a key, perhaps twice or terminates it, checks its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podium.app.start import StartRequest
from podium.engine.command import Rejected, Terminate
from podium.model.payload import Payload
from podium.runtime.letter import UnknownExecution
from podium.store import codec
from podium.store.port import StoreError
from tests.simulation.actors import chance
from tests.simulation.scene import expect

if TYPE_CHECKING:
    from podium.store.memory import MemoryStore
    from tests.simulation.checkers import Checker
    from tests.simulation.generator import Plan
    from tests.simulation.node import Nodes
    from tests.simulation.scene import Scene

START_S = 10
CALL_S = 5


class Client:
    """See the module."""

    def __init__(self, scene: Scene, nodes: Nodes, checker: Checker, *, plan: Plan) -> None:
        self._scene = scene
        self._nodes = nodes
        self._checker = checker
        self._plan = plan
        self._name = f"of {plan.name}"
        self._random = chance(scene.seed, self._name)
        self._ended_early = False

    async def run(self, store: MemoryStore) -> None:
        random = self._random
        await asyncio.sleep(random.uniform(0, START_S))
        workflow_id = await self._start()
        if random.random() < 0.3:
            again = await self._start()
            with self._scene.judged():
                expect(again == workflow_id, "one key is one execution", (workflow_id, again))
        if random.random() < self._scene.swarm.terminate:
            await asyncio.sleep(random.uniform(0, START_S))
            await self._terminate(workflow_id)
        await self._checker.finished(workflow_id).wait()
        await self._check_end(store, workflow_id)

    async def _start(self) -> str:
        """Until it is answered."""
        plan, random = self._plan, self._random
        request = StartRequest(
            name=plan.name, input=Payload.of(plan.input), idempotency_key=f"key of {plan.name}"
        )
        while True:
            node = self._nodes.some(random)
            if node is not None and node.start_desk is not None:
                try:
                    async with asyncio.timeout(CALL_S):
                        started = await node.start_desk.start(request)
                except (StoreError, TimeoutError) as error:
                    self._scene.note(self._name, f"start: {type(error).__name__}")
                else:
                    self._scene.note(self._name, f"started {started.workflow_id}")
                    self._checker.acknowledged(started.workflow_id)
                    return started.workflow_id
            await asyncio.sleep(random.uniform(0.01, 0.5))

    async def _terminate(self, workflow_id: str) -> None:
        """Until it ended, by this or otherwise."""
        self._ended_early = True
        command = Terminate(reason="the client said so")
        while not self._checker.finished(workflow_id).is_set():
            node = self._nodes.some(self._random)
            if node is not None and node.runtime is not None:
                try:
                    async with asyncio.timeout(CALL_S):
                        await node.runtime.executor.call(workflow_id, command, "client")
                except (StoreError, TimeoutError, Rejected, UnknownExecution) as error:
                    self._scene.note(self._name, f"terminate: {type(error).__name__}")
            await asyncio.sleep(self._random.uniform(0.1, 0.5))

    async def _check_end(self, store: MemoryStore, workflow_id: str) -> None:
        loaded = await store.load(workflow_id, None)
        assert loaded is not None, workflow_id
        header, records = codec.decode_records(loaded.fields, complete=True)
        assert header is not None, workflow_id
        self._scene.note(self._name, f"ended {header.status.value}")
        if self._ended_early:
            return
        plan = self._plan
        output = None if records.output is None else records.output.value
        with self._scene.judged():
            expect(
                header.status.value == plan.status,
                f"{workflow_id} ends {plan.status}",
                (header.status.value, header.reason),
            )
            if plan.output is not None:
                expect(output == plan.output, f"{workflow_id} puts out {plan.output}", output)

"""A client: starts one workflow with a key, perhaps twice; gives orders; checks its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from podium.app.start import StartRequest
from podium.model.payload import Payload
from podium.store import codec
from podium.store.port import StoreError
from tests.simulation.actors import chance
from tests.simulation.orders import CALL_S, Operator
from tests.simulation.scene import expect

if TYPE_CHECKING:
    from podium.store.memory import MemoryStore
    from tests.simulation.checkers import Checker
    from tests.simulation.generator import Plan
    from tests.simulation.node import Nodes
    from tests.simulation.scene import Scene

START_S = 10


class Client:
    """See the module."""

    def __init__(self, scene: Scene, nodes: Nodes, checker: Checker, *, plan: Plan) -> None:
        self._scene = scene
        self._nodes = nodes
        self._checker = checker
        self._plan = plan
        self._name = f"of {plan.name}"
        self._random = chance(scene.seed, self._name)
        self._operator = Operator(scene, nodes, checker, plan=plan, random=self._random)

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
            await self._operator.terminate(workflow_id)
        elif random.random() < self._scene.swarm.operate:
            await self._operator.give_orders(workflow_id)
        removed = random.random() < self._scene.swarm.remove
        if not removed or random.random() < 0.5:
            await self._operator.see_to_end(workflow_id)
            await self._check_end(store, workflow_id)
        if removed:
            await self._operator.remove(workflow_id)

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

    async def _check_end(self, store: MemoryStore, workflow_id: str) -> None:
        loaded = await store.load(workflow_id, None)
        assert loaded is not None, workflow_id
        header, records = codec.decode_records(loaded.fields, complete=True)
        assert header is not None, workflow_id
        self._scene.note(self._name, f"ended {header.status.value}")
        plan = self._plan
        output = None if records.output is None else records.output.value
        with self._scene.judged():
            expect(
                header.status.value in self._operator.endings,
                f"{workflow_id} ends {sorted(self._operator.endings)}",
                (header.status.value, header.reason),
            )
            if plan.output is not None and self._operator.sure:
                expect(output == plan.output, f"{workflow_id} puts out {plan.output}", output)

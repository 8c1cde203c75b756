"""What an operator does to one execution at random moments, and how it may end because of that.

Orders are sent until they are answered, through any server, some of them again although they were.
One that was given up may lie in a mailbox and be carried out later.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from podium.app.failure import Busy, NotFound
from podium.app.removal import Removal
from podium.engine.command import (
    Pause,
    Rejected,
    Repair,
    Rerun,
    Restart,
    Resume,
    Retry,
    Signal,
    SkipTask,
    Terminate,
    Verdict,
)
from podium.model.execution import WorkflowStatus
from podium.model.payload import Payload
from podium.runtime.letter import Tombstoned, UnknownExecution
from podium.store.port import StoreError
from tests.simulation.scene import expect

if TYPE_CHECKING:
    from random import Random

    from podium.engine.command import Command, Outcome
    from podium.model.execution import ExecutionHeader
    from tests.simulation.checkers import Checker
    from tests.simulation.generator import Plan
    from tests.simulation.node import Nodes
    from tests.simulation.scene import Scene

CALL_S: Final = 5
ORDERS_MAX: Final = 7
BETWEEN_S: Final = 6
END_S: Final = 30
"""How long the end of a run is waited for before the next order."""
CALM_S: Final = 20
"""What was given up has been carried out by then, where anything has it still."""
AGAIN: Final = 0.2
"""An order that was answered is sent once more."""
REOPENS: Final = frozenset({"Retry", "Restart", "Rerun"})
FITTING: Final = {
    WorkflowStatus.RUNNING: ("Pause", "Pause", "Terminate", "SkipTask", "Signal", "Repair"),
    WorkflowStatus.PAUSED: ("Resume", "Resume", "Terminate", "Signal", "Repair"),
    WorkflowStatus.COMPLETED: ("Restart", "Rerun"),
}
FITTING_ENDED: Final = ("Retry", "Retry", "Restart", "Rerun")
ALL: Final = (
    *("Pause", "Resume", "Terminate", "SkipTask", "Signal", "Repair"),
    *("Retry", "Restart", "Rerun"),
)


class Operator:
    """Of one execution. `store_header` reads it as stored, None where it is gone."""

    def __init__(
        self, scene: Scene, nodes: Nodes, checker: Checker, *, plan: Plan, random: Random
    ) -> None:
        self._scene = scene
        self._nodes = nodes
        self._checker = checker
        self._plan = plan
        self._random = random
        self._name = f"of {plan.name}"
        self._late: set[str] = set()
        """Orders of which one was given up, and may be carried out yet."""
        self._terminated = False

    @property
    def sure(self) -> bool:
        """It ends as planned."""
        return not self._terminated and "Terminate" not in self._late

    @property
    def endings(self) -> set[str]:
        """The statuses in which the execution may end."""
        if "Terminate" in self._late or (self._terminated and self._late & REOPENS):
            return {self._plan.status, WorkflowStatus.TERMINATED.value}
        return {WorkflowStatus.TERMINATED.value if self._terminated else self._plan.status}

    async def give_orders(self, workflow_id: str) -> None:
        """A few, mostly such as fit."""
        random = self._random
        for _ in range(random.randint(1, ORDERS_MAX)):
            await asyncio.sleep(random.uniform(0, BETWEEN_S))
            if random.random() < 0.4:
                await self._end_of_run(workflow_id)
            header = await self._checker.stored(workflow_id)
            child = self._random.choice(["", *self._checker.children(workflow_id)])
            if child and await self._order_child(child):
                continue
            await self.order(workflow_id, await self._choose(header))

    async def _order_child(self, child_id: str) -> bool:
        """Pause, resume or look through a child; False where it has ended."""
        header = await self._checker.stored(child_id)
        if header is None or header.status.terminal:
            return False
        names = ("Pause", "Repair") if header.status is WorkflowStatus.RUNNING else ("Resume",)
        await self.order(child_id, SIMPLE[self._random.choice(names)])
        return True

    async def _resume_children(self, workflow_id: str) -> None:
        """What this paused must not hold up the end."""
        for child_id in self._checker.children(workflow_id):
            header = await self._checker.stored(child_id)
            if header is not None and header.status is WorkflowStatus.PAUSED:
                await self.order(child_id, Resume())

    async def terminate(self, workflow_id: str) -> None:
        """Until it ended, by this or otherwise."""
        while not self._checker.finished(workflow_id).is_set():
            await self.order(workflow_id, Terminate(reason="the client said so"))

    async def see_to_end(self, workflow_id: str) -> None:
        """Resume and signal it until it has ended, and stays so."""
        finished = self._checker.finished(workflow_id)
        while True:
            await self._resume_children(workflow_id)
            header = await self._checker.stored(workflow_id)
            assert header is not None, workflow_id
            if header.status.terminal:
                if not self._late:
                    return
                await asyncio.sleep(CALM_S)
                after = await self._checker.stored(workflow_id)
                if after is not None and after.history_position == header.history_position:
                    return
            elif header.status is WorkflowStatus.PAUSED:
                await self.order(workflow_id, Resume())
            else:
                if self._plan.waits:
                    await self.order(workflow_id, self._signal())
                await self._wait(finished, self._random.uniform(0.5, 5))

    async def remove(self, workflow_id: str) -> None:
        """Until it is gone, with an archived copy first, on a whim."""
        if self._random.random() < 0.5:
            await self._remove(workflow_id, archive=True)
            await self._check_gone(workflow_id, archived=True)
        await self._remove(workflow_id, archive=False)
        await self._check_gone(workflow_id, archived=False)

    # One order

    async def order(self, workflow_id: str, command: Command) -> None:
        """Until it is answered, then perhaps once more."""
        random = self._random
        again = True
        while again:
            again = not await self._sent(workflow_id, command) or random.random() < AGAIN
            await asyncio.sleep(random.uniform(0.01, 0.5))

    async def _sent(self, workflow_id: str, command: Command) -> bool:
        """Whether it was answered."""
        name = type(command).__name__
        node = self._nodes.some(self._random)
        if node is None or node.runtime is None:
            return False
        done = self._checker.decided(workflow_id, name)
        try:
            async with asyncio.timeout(CALL_S):
                outcome = await node.runtime.executor.call(workflow_id, command, "client")
        except (StoreError, TimeoutError) as error:
            self._scene.note(self._name, f"{name}: {type(error).__name__}")
            self._late.add(name)
            return False
        except (Rejected, UnknownExecution, Tombstoned) as error:
            self._scene.note(self._name, f"{name}: refused: {error}")
            return True
        self._scene.note(self._name, f"{name}: {outcome.verdict}")
        self._taken(workflow_id, name, outcome, done)
        lost = self._scene.swarm.order_lost
        return not self._scene.happens("order's answer lost", lost, self._random, self._name)

    def _taken(self, workflow_id: str, name: str, outcome: Outcome, done: int) -> None:
        if name == "Repair":
            self._scene.counts["order Repair"] += 1
        if outcome.verdict is not Verdict.OK or name == "Repair":
            return
        self._scene.counts[f"order {name}"] += 1
        with self._scene.judged():
            now = self._checker.decided(workflow_id, name)
            expect(now > done, f"{name} is acknowledged after its commit", (workflow_id, now))
        if name == "Terminate":
            self._terminated = True
        elif name in REOPENS:
            self._terminated = False

    async def _choose(self, header: ExecutionHeader | None) -> Command:
        random = self._random
        assert header is not None, self._name
        names = FITTING.get(header.status, FITTING_ENDED)
        name = random.choice(names if random.random() < 0.8 else ALL)
        if name == "Signal":
            return self._signal()
        if name == "SkipTask":
            ref = random.choice([*self._plan.sure, "absent"])
            return SkipTask(ref=ref, output=Payload.of({"v": ref}))
        if name == "Terminate":
            return Terminate(reason="an order")
        if name == "Retry":
            return Retry(resume_children=random.random() < 0.5)
        if name == "Rerun" and random.random() < 0.5:
            tasks = await self._checker.tasks(header.id)
            return Rerun(task_ids=(random.choice(tasks),)) if tasks else Rerun()
        return SIMPLE[name]

    def _signal(self) -> Signal:
        return Signal(output=Payload.of({"v": self._plan.waits}))

    async def _end_of_run(self, workflow_id: str) -> None:
        await self._wait(self._checker.finished(workflow_id), END_S)

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass

    # Removing

    async def _remove(self, workflow_id: str, *, archive: bool) -> None:
        asked = False
        while True:
            node = self._nodes.some(self._random)
            if node is not None and node.services is not None:
                try:
                    async with asyncio.timeout(2 * CALL_S):
                        removal = Removal(node.services)
                        await removal.remove(workflow_id, archive=archive, reason="an order")
                except (StoreError, TimeoutError, Busy) as error:
                    self._scene.note(self._name, f"remove: {type(error).__name__}")
                except NotFound:
                    with self._scene.judged():
                        expect(asked, "what is acknowledged is found", workflow_id)
                    return
                else:
                    self._scene.note(self._name, "removed")
                    self._scene.counts["order Remove"] += 1
                    return
                asked = True
            await asyncio.sleep(self._random.uniform(0.1, 0.5))

    async def _check_gone(self, workflow_id: str, *, archived: bool) -> None:
        found = await self._checker.stored(workflow_id)
        kept = await self._checker.archived(workflow_id)
        with self._scene.judged():
            expect(found is None, "a removed execution is gone", workflow_id)
            expect(kept == archived, f"an archived copy is there: {archived}", workflow_id)


SIMPLE: Final[dict[str, Command]] = {
    "Pause": Pause(),
    "Resume": Resume(),
    "Restart": Restart(),
    "Rerun": Rerun(),
    "Repair": Repair(),
}

"""Random nestings: the engine comes to what the reference model comes to.

Equal are status and output of every execution, every attempt of every task with its status, what
joins and loops gathered, and the order of scheduling. PODIUM_NESTINGS_SEEDS sets how many seeds are
tried (200), in blocks; a failure names its seed. `make nestings` tries 2,000.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from podium.engine.identity import reference_in
from podium.model.definition import TaskDef, decode_workflow
from tests.engine import world as engine
from tests.reference import model
from tests.reference.generator import TASK_DEFS, Case, make_case

if TYPE_CHECKING:
    from collections.abc import Collection

    from podium.engine.transition import StartChild
    from podium.model.execution import TaskRecord
    from tests.engine.machine import Machine

Found = dict[str, dict[str, Any]]

SEEDS = int(os.environ.get("PODIUM_NESTINGS_SEEDS", "200"))
BLOCK = 25
LOOSE_MAX = 1
"""Seeds of a block whose tasks may be scheduled in another order: where a JOIN ends while other
branches go on in the same commit (about one seed in 1,000), the facts do not say which is first.
"""
GATHERING = {"JOIN", "DO_WHILE"}
KNOWN = {
    "S-201": "a DO_WHILE begins before what its fork creates beside it, not after",
    "S-382": "a JOIN that waits for a JOIN takes over its COMPLETED_WITH_ERRORS",
    "S-408": "keepLastN removes an iteration when the one after it is over, not when it begins",
}
"""Facts that the engine does not follow: test_known.py has the least definition of each."""


class World(engine.World):
    """The engine's executions, under the places that the model gives them."""

    def __init__(self, case: Case) -> None:
        definitions = [decode_workflow(msgspec.json.encode(each)) for each in case.definitions]
        task_defs = {name: msgspec.convert(each, TaskDef) for name, each in TASK_DEFS.items()}
        super().__init__(*definitions, task_defs=task_defs)
        self.workers = case.workers
        self.places = {"root": "root"}

    def start_child(self, effect: StartChild) -> None:
        assert effect.parent is not None
        parent = self.machines[effect.parent.workflow_id]
        task = next(each for each in parent.tasks.values() if each.id == effect.parent.task_id)
        place = f"{self.place(parent, task)}#{task.attempt}"
        assert self.places.setdefault(effect.workflow_id, place) == place
        super().start_child(effect)

    def place(self, machine: Machine, task: TaskRecord) -> str:
        return f"{self.places[machine.id]}/{ref_of(task)}"

    def finish(self) -> None:
        """Work on one task after the other, until none is ready."""
        while todo := [
            (self.workers.rank(self.place(machine, task), task.attempt), machine, task)
            for machine in self.machines.values()
            for task in machine.tasks.values()
            if task.id in machine.ready
        ]:
            _, machine, task = min(todo, key=lambda each: each[0])
            place, attempt = self.place(machine, task), task.attempt
            output = self.workers.output(place, attempt)
            machine.work(ref_of(task), self.workers.outcome(place, attempt), output=output)
            self.settle()

    def named(self, value: Any) -> Any:
        """The value with the places of children instead of their ids."""
        if isinstance(value, dict):
            return {key: self.named(each) for key, each in value.items()}
        return self.places.get(value, value) if isinstance(value, str) else value


def ref_of(task: TaskRecord) -> str:
    return reference_in(task.ref, task.iteration)


def by_engine(case: Case) -> Found:
    world = World(case)
    world.start("root")
    world.finish()
    found: Found = {}
    for machine in world.machines.values():
        every = sorted([*machine.tasks.values(), *machine.attempts.values()], key=lambda t: t.seq)
        done = machine.status == "COMPLETED"
        gathered = [task for task in machine.tasks.values() if task.task_type in GATHERING]
        found[world.places[machine.id]] = {
            "status": machine.status,
            "output": world.named(machine.output.value),
            "tasks": [(ref_of(task), task.attempt, task.status.value) for task in every],
            "gathered": {
                ref: world.named(machine.join_output(ref))
                for ref in map(ref_of, gathered if done else [])
            },
        }
    return found


def by_model(case: Case, deviations: Collection[str] = tuple(KNOWN)) -> Found:
    world = model.World(case.definitions, TASK_DEFS, case.workers, deviations)
    world.finish("root")
    found: Found = {}
    for place, run in world.runs.items():
        gathered = [row for row in run.rows if row.task["type"] in GATHERING]
        done = run.status == "COMPLETED"
        found[place] = {
            "status": run.status,
            "output": run.output,
            "tasks": [(row.ref, row.attempt, row.status) for row in run.rows],
            "gathered": {row.ref: run.output_of(row) for row in gathered if done},
        }
    return found


def unordered(found: Found) -> Found:
    return {place: run | {"tasks": sorted(run["tasks"])} for place, run in found.items()}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_nestings(first: int) -> None:
    loose: list[int] = []
    for seed in range(first, min(first + BLOCK, SEEDS)):
        case = make_case(seed)
        found, expected = by_engine(case), by_model(case)
        assert unordered(found) == unordered(expected), f"seed {seed}"
        loose += [seed] if found != expected else []
    assert len(loose) <= LOOSE_MAX, f"seeds {loose}: scheduled in another order"

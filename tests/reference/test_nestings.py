"""Random nestings: the engine comes to what the reference model comes to.

PODIUM_NESTINGS_SEEDS sets how many seeds are tried (200), in blocks; a failure names its seed.
`make nestings` tries 2,000.
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
    from tests.engine.machine import Machine

Found = dict[str, dict[str, Any]]

SEEDS = int(os.environ.get("PODIUM_NESTINGS_SEEDS", "200"))
BLOCK = 25
KNOWN: dict[int, str] = {}
"""Seeds on which the engine is wrong, each with the reason."""


class World(engine.World):
    """The engine's executions under the places that the model gives them."""

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
        ref = reference_in(task.ref, task.iteration)
        place = f"{self.places[parent.id]}/{ref}#{task.attempt}"
        self.places[effect.workflow_id] = place
        super().start_child(effect)

    def finish(self) -> None:
        while todo := [
            (self.workers.rank(f"{self.places[machine.id]}/{ref}", task.attempt), machine, ref)
            for machine in self.machines.values()
            for task in machine.tasks.values()
            if task.id in machine.ready
            for ref in [reference_in(task.ref, task.iteration)]
        ]:
            _, machine, ref = min(todo, key=lambda each: each[0])
            self.work(machine, ref)

    def work(self, machine: Machine, ref: str) -> None:
        place, attempt = f"{self.places[machine.id]}/{ref}", machine.task(ref).attempt
        output = self.workers.output(place, attempt)
        machine.work(ref, self.workers.outcome(place, attempt), output=output)
        self.settle()


def by_engine(case: Case) -> Found:
    world = World(case)
    world.start("root")
    world.finish()
    return {
        world.places[machine.id]: {
            "status": machine.status,
            "output": placed(machine.output.value, world.places),
            "tasks": sorted(
                (reference_in(task.ref, task.iteration), task.attempt, task.status.value)
                for task in [*machine.tasks.values(), *machine.attempts.values()]
            ),
        }
        for machine in world.machines.values()
    }


def placed(value: Any, places: dict[str, str]) -> Any:
    """The value with the places of children instead of their ids."""
    if isinstance(value, dict):
        return {key: placed(each, places) for key, each in value.items()}
    return places.get(value, value) if isinstance(value, str) else value


def by_model(case: Case, deviations: Collection[str] = ()) -> Found:
    world = model.World(case.definitions, TASK_DEFS, case.workers, deviations)
    world.finish("root")
    return {
        place: {
            "status": run.status,
            "output": run.output,
            "tasks": sorted((row.ref, row.attempt, row.status) for row in run.rows),
        }
        for place, run in world.runs.items()
    }


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_nestings(first: int) -> None:
    for seed in range(first, min(first + BLOCK, SEEDS)):
        if seed in KNOWN:
            continue
        case = make_case(seed)
        assert by_engine(case) == by_model(case), f"seed {seed}"

"""An execution whose loops' conditions are Python."""

from __future__ import annotations

from typing import Any

import orjson

from podium.engine.transition import Evaluate, Evaluated
from tests.engine.machine import Machine
from tests.engine.shapes import op, task_def

LESS = "$.l['iteration'] < $.n"


class Looping(Machine):
    """Conditions are Python here: `conditions` maps a script to what it makes of its input."""

    def __init__(self, *args: Any, conditions: Any = None, **fields: Any) -> None:
        fields.setdefault("task_defs", {"a": task_def("a"), "b": task_def("b")})
        super().__init__(*args, **fields)
        self.conditions = conditions or {LESS: lambda v: v["l"]["iteration"] < v["n"]}

    def answer(self, need: Any) -> Any:
        if isinstance(need, Evaluate):
            given = orjson.loads(need.input)
            found = self.conditions[need.program](given)
            return found if isinstance(found, Evaluated) else Evaluated(found)
        return super().answer(need)


def loop(*body: Any, ref: str = "l", condition: str = LESS, n: Any = 3, **fields: Any) -> Any:
    given = {"n": n} | fields.pop("given", {})
    return op("DO_WHILE", ref, loop_over=list(body), loop_condition=condition,
              input_parameters=given, **fields)  # fmt: skip


def settled(machine: Machine) -> Machine:
    machine.run_effects()
    return machine

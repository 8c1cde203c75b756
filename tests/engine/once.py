"""Machines whose tasks are tried once: a failed task ends the execution at once."""

from __future__ import annotations

from typing import Any

from podium.engine.command import Rerun
from tests.engine.machine import Machine
from tests.engine.shapes import flow, task_def

ONCE = {name: task_def(name) for name in ("a", "b", "c")}


def machine_of(*tasks: Any, **fields: Any) -> Machine:
    return Machine(flow(*tasks, **fields), task_defs=ONCE).start({"x": 1})


def rerun(machine: Machine, ref: str, **fields: Any) -> None:
    machine.send(Rerun(task_ids=(machine.task(ref).id,), **fields))
    machine.run_effects()

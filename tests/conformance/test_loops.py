"""Loops: facts of section 4.10 that tests/engine/test_loops.py does not name."""

from __future__ import annotations

from typing import Any

import pytest

from podium.engine.command import ReportResult
from podium.engine.identity import reference_in
from podium.model.execution import TaskStatus
from podium.model.payload import Payload
from tests.engine.looping import Looping, loop
from tests.engine.shapes import flow, op, simple


def test_s_040_a_reference_with_two_underscores_stays_whole() -> None:
    reads = simple("b", input_parameters={"x": "${my__task.output.x}"})
    machine = Looping(flow(loop(simple("my__task"), reads, n=1)))
    machine.start()
    shown = [reference_in(task.ref, task.iteration) for task in machine.tasks.values()]
    assert shown == ["l", "my__task__1"]
    task = next(task for task in machine.tasks.values() if task.ref == "my__task")
    result = ReportResult(task_id=task.id, status=TaskStatus.COMPLETED, output=Payload.of({"x": 1}))
    machine.send(result)
    assert machine.task("b__1").input.value == {"x": 1}


@pytest.mark.parametrize("value", [None, False, 0, "yes"])
def test_s_400_a_condition_of_nothing_is_false(value: Any) -> None:
    machine = Looping(
        flow(loop(simple("a"), condition="c"), simple("b")), conditions={"c": lambda _: value}
    )
    machine.start()
    machine.work("a__1")
    assert machine.list()[-1] == "b SCHEDULED"


def test_s_393_s_412_the_number_of_iterations_is_read_behind_the_loop() -> None:
    reads = simple("z", input_parameters={"n": "${l.output.iteration}"})
    machine = Looping(flow(loop(op("NOOP", "a"), n=4), reads)).start()
    assert machine.task("z").input.value == {"n": 4}


def test_s_411_operators_inside_a_loop() -> None:
    choice = op(
        "SWITCH", "s", evaluator_type="value-param", expression="v",
        decision_cases={"1": [simple("one")], "2": [op("NOOP", "two")]},
        input_parameters={"v": "${l.output.iteration}"},
    )  # fmt: skip
    dynamic = op("FORK_JOIN_DYNAMIC", "f",
                 input_parameters={"forkTaskName": "k", "forkTaskInputs": [1, 2]})  # fmt: skip
    machine = Looping(flow(loop(choice, dynamic, op("JOIN", "j"), n=2)))
    machine.start()
    machine.work("one__1")
    for number in (1, 2):
        for index in (0, 1):
            machine.work(f"_k_{index}__{number}")
    assert machine.status == "COMPLETED"
    assert machine.task("two__2").status.value == "COMPLETED"

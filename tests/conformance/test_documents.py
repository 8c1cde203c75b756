"""Executions and tasks as clients see them (S-013, S-063, S-264, S-265)."""

from __future__ import annotations

from typing import Any

from podium.app.document import execution_document
from podium.app.view import ExecutionView, TaskView
from podium.engine.command import Retry
from podium.model.definition import decode_workflow
from tests.engine.looping import Looping, loop
from tests.engine.machine import Machine
from tests.engine.shapes import flow, simple, task_def


def shown(machine: Machine) -> dict[str, Any]:
    header = machine.header
    assert header is not None
    tasks = sorted([*machine.tasks.values(), *machine.attempts.values()], key=lambda t: t.seq)
    views = tuple(TaskView(record=task, header=header, output=task.output) for task in tasks)
    return execution_document(
        ExecutionView(
            header=header, graph=machine.graph, input=machine.input, output=machine.output,
            variables=machine.variables, tasks=views,
        )
    )  # fmt: skip


def test_s_013_marks_of_tasks() -> None:
    machine = Machine(flow(simple("a")), task_defs={"a": task_def("a", retry_count=1)}).start()
    machine.work("a", "FAILED")
    found = shown(machine)["tasks"]
    assert [task["retried"] for task in found] == [True, False]
    assert [task["retryCount"] for task in found] == [0, 1]
    assert not found[1]["executed"]
    machine.work("a")
    assert shown(machine)["tasks"][1]["executed"]
    looping = Looping(flow(loop(simple("b"), n=1))).start()
    assert [task["iteration"] for task in shown(looping)["tasks"]] == [1, 1]  # the loop's own, too


def test_s_277_executed_of_attempts() -> None:
    once = {"a": task_def("a", retry_count=1)}
    machine = Machine(flow(simple("a"), simple("b")), task_defs=once).start()
    machine.work("a", "FAILED")
    machine.work("a", "FAILED")
    assert [task["executed"] for task in shown(machine)["tasks"]] == [False, True]
    machine.send(Retry())  # S-098: by hand
    found = shown(machine)["tasks"]
    assert [task["executed"] for task in found] == [False, True, False]
    assert [task["retried"] for task in found] == [True, True, False]


def test_s_063_an_execution_began_when_it_was_made() -> None:
    machine = Machine(flow(simple("a"))).start()
    machine.now_ms += 500
    machine.work("a")
    found = shown(machine)
    assert found["startTime"] == found["createTime"] == 1_000_000
    assert found["endTime"] == found["updateTime"] == 1_000_500


def test_s_264_what_is_null_is_left_out_and_values_are_kept() -> None:
    machine = Machine(flow(simple("a", input_parameters={"n": None}))).start()
    found = shown(machine)
    assert "reasonForIncompletion" not in found
    assert "parentWorkflowId" not in found
    [task] = found["tasks"]
    assert task["inputData"] == {"n": None}
    assert "workerId" not in task
    read = decode_workflow('{"name": "w", "unknown": {"x": 1}, "version": null, "tasks": []}')
    assert (read.name, read.version) == ("w", 1)

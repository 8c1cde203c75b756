"""Restart and rerun of whole executions: what goes, what stays, portions."""

from __future__ import annotations

from typing import Any

import pytest

from podium.engine.command import (
    Rejected,
    ReportResult,
    Rerun,
    Restart,
    Retry,
    Terminate,
)
from podium.engine.graph import compile_workflow
from podium.model.execution import TaskStatus
from podium.model.payload import Payload
from tests.engine.machine import Machine
from tests.engine.once import ONCE, machine_of, rerun
from tests.engine.shapes import flow, fork, join, op, simple


def test_s_084_a_restart_leaves_nothing_of_the_former_run() -> None:
    machine = machine_of(
        op("SET_VARIABLE", "v", input_parameters={"n": "${workflow.input.x}"}), simple("a"),
        simple("b"), variables={"n": 0}, output_parameters={"y": "${a.output.y}"},
    )  # fmt: skip
    machine.work("a", output={"y": 5})
    machine.work("b", "FAILED", reason="no")
    former = machine.task("a")
    machine.now_ms += 1_000
    machine.send(Restart())
    assert machine.list() == ["v COMPLETED", "a SCHEDULED"]
    header = machine.header
    assert header is not None
    assert (header.created_ms, header.ended_ms, header.reason) == (machine.now_ms, 0, None)
    assert (header.run_epoch, header.failed_refs, header.failed_task_id) == (1, (), None)
    assert (header.last_retried_ms, header.task_count, header.next_seq) == (0, 2, 3)
    assert (machine.output.value, machine.input.value) == ({}, {"x": 1})
    assert machine.attempts == {}
    with pytest.raises(Rejected, match="No such task found"):  # a late result of the former run
        machine.send(ReportResult(task_id=former.id, status=TaskStatus.COMPLETED))
    machine.work("a", output={"y": 6})
    machine.work("b")
    assert (machine.status, machine.output.value) == ("COMPLETED", {"y": 6})


def test_s_083_a_restart_takes_another_definition() -> None:
    machine = machine_of(simple("a"))
    machine.work("a", "FAILED")
    other = compile_workflow(flow(simple("b"), simple("c"), timeout_seconds=9, variables={"k": 1}))
    machine.send(Restart(graph=other, name="w", version=2, digest="e"))
    assert machine.list() == ["b SCHEDULED"]
    header = machine.header
    assert header is not None
    assert (header.version, header.digest, header.deadline_ms) == (2, "e", machine.now_ms + 9_000)
    assert machine.variables.value == {"k": 1}
    machine.work("b")
    machine.work("c")
    assert machine.status == "COMPLETED"


@pytest.mark.parametrize(
    ("command", "word"), [(Restart(), "restart"), (Rerun(), "rerun")], ids=["restart", "rerun"]
)
def test_s_081_s_107_what_runs_is_not_run_again(command: Restart | Rerun, word: str) -> None:
    machine = machine_of(simple("a"))
    with pytest.raises(Rejected, match=f"unable to {word}. Found RUNNING") as found:
        machine.send(command)
    assert found.value.code == "FAILED_PRECONDITION"


def test_s_082_s_107_what_is_not_restartable_can_be_rerun() -> None:
    machine = machine_of(simple("a"), restartable=False)
    machine.work("a")
    with pytest.raises(Rejected, match="Workflow: wf is non-restartable") as found:
        machine.send(Restart())
    assert found.value.code == "NOT_FOUND"
    machine.now_ms += 5
    created = machine.header.created_ms if machine.header else 0
    machine.send(Rerun(input=Payload.of({"x": 2}), correlation_id="again"))
    assert machine.list() == ["a SCHEDULED"]
    assert machine.header is not None
    assert (machine.header.created_ms, machine.header.correlation_id) == (created, "again")
    assert machine.input.value == {"x": 2}


def forked(count: int, *rest: Any) -> Machine:
    elements = [{"name": "a", "taskReferenceName": f"a{n}"} for n in range(count)]
    dynamic = op("FORK_JOIN_DYNAMIC", "f", dynamic_fork_tasks_param="t",
                 dynamic_fork_tasks_input_param_name="i",
                 input_parameters={"t": "${workflow.input.t}", "i": {}})  # fmt: skip
    tasks = (simple("z"), dynamic, op("JOIN", "j"), simple("b"), *rest)
    machine = Machine(flow(*tasks), task_defs=ONCE, whole=True).start({"t": elements})
    machine.report("z")
    machine.run_effects()
    for number in range(count):
        machine.report(f"a{number}")
    machine.report("b", "FAILED")
    machine.run_effects()
    return machine


def test_a_large_execution_is_restarted_in_portions() -> None:
    machine = forked(1_100)
    commits = len(machine.transitions)
    machine.send(Restart())
    assert len(machine.tasks) > 500
    machine.run_effects()
    assert machine.list() == ["z SCHEDULED"]
    assert len(machine.transitions) - commits == 3
    assert (machine.branches, machine.joins, machine.attempts) == ({}, {}, {})


@pytest.mark.parametrize("command", [Restart(), None], ids=["restart", "rerun"])
def test_a_restart_that_was_cut_short_is_taken_up_by_a_retry(command: Restart | None) -> None:
    machine = forked(1_100)
    machine.send(command or Rerun(task_ids=(machine.task("z").id,)))
    machine.send(Terminate(reason="stop"))
    machine.run_effects()
    assert machine.status == "TERMINATED"
    assert len(machine.tasks) > 500
    machine.send(Retry())
    machine.run_effects()
    assert machine.list() == ["z SCHEDULED"]


def test_a_fork_that_runs_again_makes_its_branches_anew() -> None:
    machine = forked(600)
    assert machine.header is not None
    rerun(machine, "f")
    assert machine.list()[:2] == ["z COMPLETED", "f COMPLETED"]
    assert sum("SCHEDULED" in line for line in machine.list()) == 600
    for number in range(600):
        machine.report(f"a{number}")
    machine.report("b")
    assert machine.status == "COMPLETED"


def test_a_failure_and_the_restart_in_one_commit_leave_nothing_behind() -> None:
    machine = machine_of(fork("f", [simple("a")], [simple("b")]), join("j", "a", "b"))
    machine.grant("b")
    report = ReportResult(task_id=machine.task("a").id, status=TaskStatus.FAILED)
    machine.send(report, Restart())
    assert machine.list() == ["f COMPLETED", "a SCHEDULED", "b SCHEDULED", "j IN_PROGRESS"]

"""Signals to what waits, and variables set from outside."""

from __future__ import annotations

import pytest

from podium.engine.command import Pause, Rejected, Resume, Signal, UpdateVariables, Verdict
from podium.model.execution import TaskStatus
from podium.model.payload import Payload
from tests.engine.machine import Machine
from tests.engine.shapes import flow, fork, join, op, simple


def test_s_174_a_signal_ends_the_first_wait_that_is_open_and_no_human() -> None:
    branches = [op("HUMAN", "h")], [op("WAIT", "w1")], [op("WAIT", "w2"), simple("b")]
    machine = Machine(flow(fork("f", *branches), join("j", "h", "w1", "b"))).start()
    for ref in ("w1", "w2"):
        outcome = machine.send(Signal(output=Payload.of({"of": ref})))
        assert outcome.task is not None
        assert outcome.task.ref == ref
        assert machine.task(ref).output.value == {"of": ref}
    assert machine.task("b").status is TaskStatus.SCHEDULED
    assert machine.send(Signal()).verdict is Verdict.NOOP
    assert machine.task("h").status is TaskStatus.IN_PROGRESS


def test_a_signal_may_fail_the_wait_or_tell_it_something() -> None:
    machine = Machine(flow(op("WAIT", "w"))).start()
    machine.send(Signal(status=TaskStatus.IN_PROGRESS, output=Payload.of({"half": 1})))
    assert machine.task("w").output.value == {"half": 1}
    machine.send(Signal(status=TaskStatus.FAILED_WITH_TERMINAL_ERROR, reason="no"))
    assert (machine.status, machine.task("w").reason) == ("FAILED", "no")


def test_a_signal_during_a_pause_is_kept() -> None:
    machine = Machine(flow(op("WAIT", "w"), simple("b"))).start()
    machine.send(Pause())
    machine.send(Signal())
    assert machine.list() == ["w COMPLETED"]
    machine.send(Resume())
    assert machine.list() == ["w COMPLETED", "b SCHEDULED"]


def test_variables_are_set_and_read_by_what_comes() -> None:
    reads = simple("b", input_parameters={"v": "${workflow.variables.v}"})
    machine = Machine(flow(simple("a"), reads, variables={"v": 1, "w": 2})).start()
    machine.send(UpdateVariables(variables=Payload.of({"v": 5})))
    assert machine.variables.value == {"v": 5, "w": 2}
    machine.work("a")
    assert machine.task("b").input.value == {"v": 5}
    with pytest.raises(Rejected, match="variables: expected at most 262144 bytes") as found:
        machine.send(UpdateVariables(variables=Payload.of({"x": "x" * 262_144})))
    assert found.value.code == "INVALID_ARGUMENT"
    assert machine.variables.value == {"v": 5, "w": 2}

"""Repair: nothing of a sound execution changes, in whatever state; what was lost is made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from podium.engine.command import Repair, ReportResult, Retry, Verdict
from podium.model.execution import TaskStatus, WorkflowStatus
from tests.engine.looping import Looping, loop
from tests.engine.machine import Machine
from tests.engine.random_flows import KINDS, Names, step, tasks_of
from tests.engine.shapes import flow, fork, join, simple
from tests.engine.test_stateful import some_command

if TYPE_CHECKING:
    from podium.engine.transition import Transition


TERMINAL = TaskStatus.FAILED_WITH_TERMINAL_ERROR


def repaired(machine: Machine) -> Transition | None:
    """What a repair would commit."""
    draft = machine.draft()
    machine.decide(draft, Repair())
    return draft.finish("operator")


@settings(
    max_examples=150, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(data=st.data())
def test_a_sound_execution_stays_as_it_is(data: st.DataObject) -> None:
    draw = data.draw
    machine = Machine(flow(*tasks_of(draw, Names(), 2)), task_defs=KINDS, whole=draw(st.booleans()))
    log: list[Any] = []
    step(machine, [machine.start_command({"x": 1})], log)
    assert repaired(machine) is None
    for _ in range(draw(st.integers(0, 10))):
        machine.now_ms += draw(st.integers(0, 4_000))
        step(machine, [some_command(draw, machine)], log)
        assert repaired(machine) is None
    if machine.header and machine.header.status is WorkflowStatus.FAILED:
        step(machine, [Retry()], log)
        assert repaired(machine) is None


def forked() -> Machine:
    """`a` of two branches has ended, `b` runs, the join waits."""
    machine = Machine(flow(fork("f", [simple("a")], [simple("b")]), join("j", "a", "b"),
                           simple("c")))  # fmt: skip
    machine.start({})
    machine.work("a")
    return machine


def test_a_successor_that_was_lost_is_scheduled_again() -> None:
    machine = forked()
    machine.work("b")
    task = machine.task("c")
    del machine.tasks[task.key]
    machine.ready.pop(task.id)
    machine.some_removed = True
    machine.send(Repair())
    assert machine.task("c").status is TaskStatus.SCHEDULED
    machine.work("c")
    assert machine.status == WorkflowStatus.COMPLETED


@pytest.mark.parametrize("open_count", [0, 2, 7])
def test_a_counter_of_a_join_is_made_anew(open_count: int) -> None:
    machine = forked()
    key = machine.task("j").key
    machine.joins[key] = replace(machine.joins[key], open_count=open_count)
    machine.send(Repair())
    assert machine.joins[key].open_count == 1
    machine.work("b")
    machine.work("c")
    assert machine.status == WorkflowStatus.COMPLETED


def test_a_failure_that_nothing_followed_is_followed() -> None:
    machine = forked()
    task = machine.task("b")
    machine.tasks[task.key] = replace(task, status=TERMINAL, end_ms=machine.now_ms)
    machine.ready.pop(task.id)
    machine.send(Repair())
    assert machine.status == WorkflowStatus.FAILED


def test_a_loop_does_not_forget_its_permissive_failure() -> None:
    body = [simple("a", permissive=True), simple("b")]
    machine = Looping(flow(loop(*body, n=2))).start()
    machine.work("a__1", "FAILED")
    key = machine.task("l").key
    machine.joins[key] = replace(machine.joins[key], open_count=7)
    machine.send(Repair())
    machine.work("b__1")
    assert machine.status == WorkflowStatus.FAILED


def test_one_that_is_paused_or_ended_is_left_alone() -> None:
    machine = forked()
    machine.send(ReportResult(task_id=machine.task("b").id, status=TERMINAL))
    assert machine.status == WorkflowStatus.FAILED
    draft = machine.draft()
    assert machine.decide(draft, Repair()).verdict is Verdict.NOOP
    assert draft.finish("operator") is None

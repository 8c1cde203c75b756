"""Random workflows that failed or ended, and run again: retried, or rerun from some task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podium.engine.command import ReportResult, Rerun, Retry
from podium.engine.identity import task_key
from podium.model.execution import TaskStatus
from tests.engine.machine import Machine
from tests.engine.random_flows import KINDS, Names, step, tasks_of
from tests.engine.shapes import flow

if TYPE_CHECKING:
    from podium.engine.command import Command


@settings(
    max_examples=100, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(data=st.data())
def test_whatever_failed_completes_when_it_is_retried(data: st.DataObject) -> None:
    draw = data.draw
    machine = Machine(flow(*tasks_of(draw, Names(), draw(st.integers(0, 2)))), task_defs=KINDS)
    log: list[Any] = []
    step(machine, [machine.start_command({"x": 1})], log)
    failures = draw(st.integers(1, 3))
    for _ in range(400):
        if machine.header is not None and machine.header.status.terminal:
            retriable = [t for t in machine.tasks.values() if not t.status.successful]
            if not retriable or machine.header.terminate_key:
                break
            machine.now_ms += 1
            step(machine, [Retry(resume_children=draw(st.booleans()))], log)
        waiting = [t for t in machine.tasks.values() if not t.status.terminal]
        waiting = [t for t in waiting if t.task_type not in ("JOIN", "DO_WHILE")]
        if not waiting:
            continue
        task = draw(st.sampled_from(sorted(waiting, key=lambda t: t.seq)))
        status = TaskStatus.COMPLETED
        if failures and draw(st.integers(0, 2)) == 0:
            failures -= 1
            status = TaskStatus.FAILED_WITH_TERMINAL_ERROR
        others = [t for t in waiting if draw(st.integers(0, 3)) == 0 and t.id != task.id]
        reports: list[Command] = [ReportResult(task_id=task.id, status=status)]
        reports += [ReportResult(task_id=t.id, status=TaskStatus.COMPLETED) for t in others]
        step(machine, draw(st.permutations(reports)), log)
    assert machine.header is not None
    assert machine.header.status.terminal
    if not any(t.task_type == "TERMINATE" for t in machine.tasks.values()):
        assert machine.status == "COMPLETED"
        everything_followed(machine)


@settings(
    max_examples=100, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(data=st.data())
def test_whatever_ended_completes_when_it_is_rerun_from_any_task(data: st.DataObject) -> None:
    draw = data.draw
    machine = Machine(flow(*tasks_of(draw, Names(), draw(st.integers(0, 3)))), task_defs=KINDS)
    log: list[Any] = []
    step(machine, [machine.start_command({"x": 1})], log)
    reruns = draw(st.integers(1, 3))
    for _ in range(600):
        assert machine.header is not None
        if machine.header.status.terminal:
            if reruns == 0 or not machine.tasks:
                break
            reruns -= 1
            machine.now_ms += 1
            task = draw(st.sampled_from(sorted(machine.tasks.values(), key=lambda t: t.seq)))
            whole = draw(st.integers(0, 5)) == 0
            step(machine, [Rerun(task_ids=() if whole else (task.id,))], log)
            continue
        waiting = [t for t in machine.tasks.values() if not t.status.terminal]
        waiting = [t for t in waiting if t.task_type not in ("JOIN", "DO_WHILE")]
        task = draw(st.sampled_from(sorted(waiting, key=lambda t: t.seq)))
        failing = reruns and draw(st.integers(0, 9)) == 0
        status = TaskStatus.FAILED_WITH_TERMINAL_ERROR if failing else TaskStatus.COMPLETED
        step(machine, [ReportResult(task_id=task.id, status=status)], log)
    assert machine.header is not None
    assert machine.header.status.terminal
    if not any(t.task_type == "TERMINATE" for t in machine.tasks.values()):
        assert machine.status == "COMPLETED"
        everything_followed(machine)


def everything_followed(machine: Machine) -> None:
    """Every task of the definition that the flow leads to was scheduled and ended well."""
    for task in machine.tasks.values():
        assert task.status.successful, (task.ref, task.status)
        if task.branch:
            continue
        node = machine.graph.nodes[task.node]
        if node.next != -1 and node.task.type not in ("SWITCH", "DECISION"):
            behind = machine.graph.nodes[node.next].ref
            assert task_key(behind, task.iteration) in machine.tasks, behind

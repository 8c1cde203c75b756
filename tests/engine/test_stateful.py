"""Random workflows under random commands: stale, doubled, late and illegal ones among them.

After every commit the machine recounts (tests/engine/machine.py: open tasks, join counters, ready
entries, deadlines, leases, slots). At the end the same commands are decided again, with all records
known from the start instead of fetched, and must give the same state; and the history, folded, must
give the same statuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podium.engine.command import (
    CloseChild,
    Due,
    ExtendLease,
    GrantLease,
    LoseLease,
    Pause,
    Rejected,
    ReportResult,
    Rerun,
    ResetCallbacks,
    Restart,
    Resume,
    ResumeLease,
    Retry,
    ReturnLease,
    SkipTask,
    Terminate,
)
from podium.model.execution import Lease, TaskStatus
from podium.model.payload import Payload
from tests.engine.machine import Machine
from tests.engine.random_flows import KINDS, Names, step, tasks_of
from tests.engine.shapes import flow

if TYPE_CHECKING:
    from podium.engine.command import Command

LEASES = [
    Lease(incarnation="i1", session="s1", kind="stream"),
    Lease(incarnation="i2", session="s2", kind="stream"),
    Lease(incarnation="i1", session="p", kind="poll"),
]


def some_task(draw: Any, machine: Machine) -> Any:
    every = [*machine.tasks.values(), *machine.attempts.values()]
    return draw(st.sampled_from(sorted(every, key=lambda t: t.seq))) if every else None


def some_command(draw: Any, machine: Machine) -> Command:
    """One command about some task, current or former, with right and wrong epochs."""
    task = some_task(draw, machine)
    kind = draw(
        st.sampled_from(
            ["grant", "grant", "grant", "report", "report", "report", "lease", "lease", "due",
             "due", "child", "child", "terminate", "control"]
        )
    )  # fmt: skip
    if task is None or (kind == "terminate" and draw(st.integers(0, 7)) == 0):
        return Terminate(reason=draw(st.sampled_from([None, "user"])))
    epoch = max(task.lease_epoch + draw(st.sampled_from([0, 0, 0, 0, -1, 1])), 0)
    match kind:
        case "grant":
            ready = sorted(machine.ready)
            chosen = draw(st.sampled_from(ready)) if ready and draw(st.booleans()) else task.id
            lease = draw(st.sampled_from(LEASES))
            return GrantLease(task_id=chosen, lease=lease, worker_id="w")
        case "report":
            return some_report(draw, task.id, epoch)
        case "lease":
            return some_lease_command(draw, task.id, epoch)
        case "control":
            skip = SkipTask(ref=f"a{draw(st.integers(1, 9))}", output=Payload.of({"n": 9}))
            again = [Retry(), Restart(), Rerun(), Rerun(task_ids=(task.id,))]
            return draw(
                st.sampled_from([Pause(), Resume(), Resume(), ResetCallbacks(), skip, *again])
            )
        case "child":
            return CloseChild(
                task_id=task.id, run_epoch=draw(st.sampled_from([0, 0, 0, 1])),
                child_id=task.sub_workflow_id or "none",
                status=draw(st.sampled_from(["COMPLETED", "COMPLETED", "FAILED", "TERMINATED"])),
            )  # fmt: skip
        case _:
            return some_deadline(draw, machine)


def some_report(draw: Any, task_id: str, epoch: int) -> Command:
    statuses = ["COMPLETED"] * 4
    statuses += ["FAILED", "FAILED", "IN_PROGRESS", "CANCELED", "FAILED_WITH_TERMINAL_ERROR"]
    return ReportResult(
        task_id=task_id,
        status=TaskStatus(draw(st.sampled_from(statuses))),
        reason=draw(st.sampled_from([None, "r"])),
        lease_epoch=draw(st.sampled_from([epoch, None])),
        output=Payload.of({"n": draw(st.integers(0, 3))}),
        callback_after_ms=draw(st.sampled_from([0, 0, 1500])),
    )


def some_lease_command(draw: Any, task_id: str, epoch: int) -> Command:
    lease = draw(st.sampled_from(LEASES))
    resume = ResumeLease(task_id=task_id, lease_epoch=epoch, lease=lease, worker_id="w2")
    return draw(
        st.sampled_from(
            [
                LoseLease(task_id=task_id, lease_epoch=epoch),
                ReturnLease(task_id=task_id, lease_epoch=epoch),
                ExtendLease(task_id=task_id, lease_epoch=epoch),
                resume,
            ]
        )
    )


def some_deadline(draw: Any, machine: Machine) -> Command:
    armed = sorted(machine.deadlines.items(), key=lambda item: (item[1], item[0]))
    if not armed:
        return Due(task_id="", kind="workflow", at_ms=machine.now_ms)
    (task_id, kind), at_ms = armed[0]
    machine.now_ms = max(machine.now_ms, at_ms)
    late = draw(st.sampled_from([0, 0, 0, 1]))
    return Due(task_id=task_id, kind=kind, at_ms=at_ms + late)


@settings(
    max_examples=150, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(data=st.data())
def test_any_commands_on_any_workflow(data: st.DataObject) -> None:
    draw = data.draw
    definition = flow(
        *tasks_of(draw, Names(), draw(st.integers(0, 3))),
        timeout_seconds=draw(st.sampled_from([0, 40])),
        timeout_policy=draw(st.sampled_from(["ALERT_ONLY", "TIME_OUT_WF"])),
        failure_workflow=draw(st.sampled_from([None, "fw"])),
    )
    machine = Machine(definition, task_defs=KINDS)
    log: list[Any] = []
    step(machine, [machine.start_command({"x": 1})], log)
    for _ in range(draw(st.integers(0, 40))):
        machine.now_ms += draw(st.sampled_from([0, 1, 700]))
        commands = [some_command(draw, machine) for _ in range(draw(st.integers(1, 3)))]
        step(machine, commands + commands[:1], log)
    replayed(definition, machine, log)
    folded(machine)


@settings(
    max_examples=100, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(data=st.data())
def test_every_workflow_ends_when_every_task_succeeds(data: st.DataObject) -> None:
    draw = data.draw
    machine = Machine(flow(*tasks_of(draw, Names(), draw(st.integers(0, 3)))), task_defs=KINDS)
    log: list[Any] = []
    step(machine, [machine.start_command({"x": 1})], log)
    for _ in range(500):
        waiting = [t for t in machine.tasks.values() if not t.status.terminal]
        waiting = [t for t in waiting if t.task_type not in ("JOIN", "DO_WHILE")]
        if not waiting:
            break
        task = draw(st.sampled_from(waiting))
        report = ReportResult(task_id=task.id, status=TaskStatus.COMPLETED)
        pausing = draw(st.integers(0, 7)) == 0
        step(machine, [Pause(), report, Resume()] if pausing else [report], log)
    assert machine.header is not None
    assert machine.header.status.terminal
    ended_by_task = any(t.task_type == "TERMINATE" for t in machine.tasks.values())
    assert machine.status == "COMPLETED" or ended_by_task
    if not ended_by_task:
        assert {task.status.value for task in machine.tasks.values()} == {"COMPLETED"}
    folded(machine)


def replayed(definition: Any, machine: Machine, log: list[Any]) -> None:
    """The same commands on a machine that knows every record give the same state."""
    other = Machine(definition, task_defs=KINDS, whole=True)
    for now_ms, commands in log:
        other.now_ms = now_ms
        draft = other.draft()
        for command in commands:
            try:
                other.decide(draft, command)
            except Rejected:
                continue
        other.commit(draft)
    assert other.header == machine.header
    assert other.tasks == machine.tasks
    assert other.attempts == machine.attempts
    assert other.joins == machine.joins
    assert other.output == machine.output


def folded(machine: Machine) -> None:
    """The history tells what the records say, and no attempt ended twice."""
    statuses: dict[str, str] = {}
    ended: set[tuple[str, int]] = set()
    for position, change in enumerate(machine.transitions, 1):
        assert change.history is not None
        assert change.history.position == position
        for line in change.history.changes:
            assert statuses.get(line.task_id, "") == line.status_from
            statuses[line.task_id] = line.status_to
            terminal = TaskStatus(line.status_to).terminal
            once = (line.task_id, line.retry_count)  # a join that waits again counts a retry
            forgiven = line.status_to == TaskStatus.COMPLETED_WITH_ERRORS  # after a pause
            assert forgiven or not (terminal and once in ended)
            if terminal:
                ended.add(once)
    every = [*machine.tasks.values(), *machine.attempts.values()]
    if machine.some_removed:
        statuses = {each.id: statuses[each.id] for each in every}
    assert statuses == {task.id: task.status.value for task in every}

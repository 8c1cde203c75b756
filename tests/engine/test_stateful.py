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
    Continue,
    Due,
    ExtendLease,
    GrantLease,
    LoseLease,
    Pause,
    Rejected,
    ReportResult,
    ResetCallbacks,
    Resume,
    ResumeLease,
    Retry,
    ReturnLease,
    SkipTask,
    Terminate,
)
from podium.engine.identity import task_key
from podium.engine.transition import ContinueSelf
from podium.model.execution import Lease, TaskStatus
from podium.model.payload import Payload
from tests.engine.machine import Machine
from tests.engine.shapes import flow, fork, join, op, simple, sub, switch, task_def, terminate

if TYPE_CHECKING:
    from podium.engine.command import Command
    from podium.model.definition import TaskDef, WorkflowTask

LEASES = [
    Lease(incarnation="i1", session="s1", kind="stream"),
    Lease(incarnation="i2", session="s2", kind="stream"),
    Lease(incarnation="i1", session="p", kind="poll"),
]
KINDS: dict[str, TaskDef | None] = {
    "plain": task_def("plain"),
    "retried": task_def("retried", retry_count=2, response_timeout_seconds=5),
    "delayed": task_def("delayed", retry_count=1, retry_delay_seconds=3, backoff_jitter_ms=100),
    "timed": task_def("timed", retry_count=1, timeout_seconds=9, timeout_policy="RETRY",
                      poll_timeout_seconds=4, total_timeout_seconds=60),
    "alert": task_def("alert", timeout_seconds=2, timeout_policy="ALERT_ONLY"),
    "limited": task_def("limited", concurrent_exec_limit=1, timeout_seconds=7),
}  # fmt: skip


class Names:
    """References, each given once."""

    def __init__(self) -> None:
        self.count = 0

    def next(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"


def leaf(draw: Any, names: Names) -> list[WorkflowTask]:
    kind = draw(st.sampled_from([*KINDS, "sub", "event", "terminate", "dynamic", "wait"]))
    flags = draw(st.sampled_from([{}, {}, {"optional": True}, {"permissive": True}]))
    if kind == "sub":
        return [sub(names.next("sub"), "child", **flags)]
    if kind == "wait":
        duration = draw(st.sampled_from([{}, {"duration": "3s"}]))
        return [op("WAIT", names.next("wait"), input_parameters=duration, **flags)]
    if kind == "event":
        return [op("EVENT", names.next("event"), sink="conductor", **flags)]
    if kind == "terminate":
        status = draw(st.sampled_from(["COMPLETED", "FAILED", "TERMINATED"]))
        return [switch(names.next("s"), draw(st.integers(0, 5)),
                       {"0": [terminate(names.next("end"), status)]})]  # fmt: skip
    if kind == "dynamic":
        count = draw(st.integers(0, 3))
        ref = names.next("dyn")
        elements = [{"name": "retried", "taskReferenceName": f"{ref}_{i}"} for i in range(count)]
        return [
            op("FORK_JOIN_DYNAMIC", ref, dynamic_fork_tasks_param="t",
               dynamic_fork_tasks_input_param_name="i", input_parameters={"t": elements, "i": {}}),
            op("JOIN", f"{ref}_join"),
        ]  # fmt: skip
    read = {"v": "${workflow.input.x}", "w": f"${{a{draw(st.integers(1, 9))}.output}}"}
    return [simple(names.next("a"), kind, input_parameters=read, **flags)]


def tasks_of(draw: Any, names: Names, depth: int) -> list[WorkflowTask]:
    found: list[WorkflowTask] = []
    for _ in range(draw(st.integers(1, 3))):
        shape = (
            draw(st.sampled_from(["leaf", "leaf", "fork", "switch", "loop"])) if depth else "leaf"
        )
        if shape == "leaf":
            found += leaf(draw, names)
        elif shape == "loop":
            given: dict[str, Any] = {"_items": [1] * draw(st.integers(0, 2))}
            if draw(st.booleans()):
                given["keepLastN"] = draw(st.integers(1, 2))
            body = tasks_of(draw, names, depth - 1)
            found.append(op("DO_WHILE", names.next("l"), loop_over=body, input_parameters=given))
        elif shape == "switch":
            case = tasks_of(draw, names, depth - 1)
            value = draw(st.sampled_from(["x", "y"]))
            found.append(switch(names.next("s"), value, {"x": case}))
        else:
            branches = [tasks_of(draw, names, depth - 1) for _ in range(draw(st.integers(1, 3)))]
            ref = names.next("f")
            members = [branch[-1].task_reference_name for branch in branches]
            if draw(st.integers(0, 9)) == 0:
                members = members[1:]
            found += [fork(ref, *branches), join(f"{ref}_join", *members)]
    return found


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
            return draw(
                st.sampled_from([Pause(), Resume(), Resume(), ResetCallbacks(), skip, Retry()])
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


def step(machine: Machine, commands: list[Command], log: list[Any]) -> None:
    """Decide a group on one draft, refused ones left out, and carry out its own continuations."""
    draft = machine.draft()
    log.append((machine.now_ms, commands))
    for command in commands:
        try:
            machine.decide(draft, command)
        except Rejected:
            assert not isinstance(command, Due | CloseChild | Continue)
    machine.commit(draft)
    while machine.effects:
        effect = machine.effects.popleft()
        if isinstance(effect, ContinueSelf):
            step(machine, [Continue(cursor=effect.cursor), Continue(cursor=effect.cursor)], log)


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

"""Random workflows, and commands decided in groups, for the properties of test_stateful.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from podium.engine.command import CloseChild, Continue, Due, Rejected
from podium.engine.transition import ContinueSelf
from tests.engine.shapes import fork, join, op, simple, sub, switch, task_def, terminate

if TYPE_CHECKING:
    from podium.engine.command import Command
    from podium.model.definition import TaskDef, WorkflowTask
    from tests.engine.machine import Machine

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

"""The reference scenarios of contract/semantics.md §13, by their numbers; order is order of seq."""

from __future__ import annotations

from typing import Any

import pytest

from podium.engine.command import CloseChild, Terminate, Verdict
from podium.engine.transition import StartChild
from podium.model.queue import SCORE_CLASS_SPAN
from tests.engine.machine import T0, Machine
from tests.engine.shapes import flow, fork, join, simple, sub, task_def, terminate
from tests.engine.world import World

TERMINAL = "FAILED_WITH_TERMINAL_ERROR"


def test_s_794_a_linear_workflow() -> None:
    machine = Machine(flow(simple("t1"), simple("t2"))).start()
    assert machine.list() == ["t1 SCHEDULED"]
    machine.work("t1")
    assert machine.list() == ["t1 COMPLETED", "t2 SCHEDULED"]
    machine.work("t2", output={"r": 2})
    assert machine.status == "COMPLETED"
    assert machine.output.value == {"r": 2}


def test_s_795_a_terminal_error_is_not_retried() -> None:
    definition = flow(simple("t1", "kind1"), output_parameters={"o": "${t1.output.x}"})
    machine = Machine(definition).start()
    machine.work("t1", TERMINAL, reason="broken", output={"x": 7})
    header, task = machine.header, machine.task("t1")
    assert header is not None
    assert machine.status == "FAILED"
    assert header.reason == f"Task {task.id} failed with status: FAILED and reason: 'broken'"
    assert (header.failed_refs, header.failed_names) == (("t1",), ("kind1",))
    assert header.failed_task_id == task.id
    assert task.retry_count == 0
    assert machine.output.value == {"o": 7}


def test_s_796_a_response_timeout_is_retried() -> None:
    kind = task_def("t1", retry_count=1, response_timeout_seconds=10)
    machine = Machine(flow(simple("t1")), task_defs={"t1": kind}).start()
    machine.grant("t1")
    machine.due("t1", "response")
    assert machine.list() == ["t1 TIMED_OUT", "t1 SCHEDULED"]
    assert machine.status == "RUNNING"
    assert machine.now_ms == T0 + 10_000


def test_s_797_an_in_progress_report_offers_the_task_again() -> None:
    machine = Machine(flow(simple("t1"))).start()
    machine.work("t1", "IN_PROGRESS")
    assert machine.list() == ["t1 SCHEDULED"]
    assert machine.task("t1").callback_after_ms == 0
    assert len(machine.ready) == 1
    machine.work("t1", "IN_PROGRESS", callback_after_ms=3_600_000)
    assert machine.list() == ["t1 SCHEDULED"]
    assert not machine.ready
    machine.due("t1", "retry")
    assert len(machine.ready) == 1
    assert machine.task("t1").score % SCORE_CLASS_SPAN == T0 + 3_600_000
    assert machine.task("t1").poll_count == 2


def test_s_798_an_execution_timeout_is_retried_until_attempts_run_out() -> None:
    kind = task_def("t1", retry_count=1, timeout_seconds=1, timeout_policy="RETRY")
    machine = Machine(flow(simple("t1")), task_defs={"t1": kind}).start()
    machine.grant("t1")
    machine.due("t1", "timeout")
    assert machine.list() == ["t1 TIMED_OUT", "t1 SCHEDULED"]
    machine.grant("t1")
    machine.due("t1", "timeout")
    assert machine.status == "TIMED_OUT"
    assert machine.header is not None
    assert machine.header.failed_refs == ()  # S-134


@pytest.mark.parametrize("done_first", [False, True])
def test_s_799_s_800_a_workflow_timeout(*, done_first: bool) -> None:
    definition = flow(simple("t1"), simple("t2"), timeout_seconds=5, timeout_policy="TIME_OUT_WF")
    machine = Machine(definition).start()
    if done_first:
        machine.work("t1")
    else:
        machine.grant("t1")
    machine.due("", "workflow")
    assert machine.status == "TIMED_OUT"
    assert machine.task("t1").status.value == ("COMPLETED" if done_first else "CANCELED")
    assert machine.header is not None
    assert machine.header.reason == (
        "Workflow timed out after 5 seconds. Timeout configured as 5 seconds. Timeout policy"
        " configured to TIME_OUT_WF"
    )


def test_a_workflow_timeout_that_only_alerts() -> None:
    machine = Machine(flow(simple("t1"), timeout_seconds=5)).start()
    machine.due("", "workflow")
    assert machine.status == "RUNNING"
    assert machine.header is not None
    assert machine.header.alert_count == 1


@pytest.mark.parametrize("permissive", [False, True])
def test_s_801_s_803_an_optional_task(*, permissive: bool) -> None:
    kind = task_def("t1", retry_count=1)
    definition = flow(simple("t1", optional=True, permissive=permissive), simple("t2"))
    machine = Machine(definition, task_defs={"t1": kind}).start()
    machine.work("t1", "FAILED")
    assert machine.list() == ["t1 FAILED", "t1 SCHEDULED"]
    machine.work("t1", "FAILED", output={"kept": 1})
    assert machine.list() == ["t1 FAILED", "t1 COMPLETED_WITH_ERRORS", "t2 SCHEDULED"]
    machine.work("t2")
    assert machine.status == "COMPLETED"
    assert machine.task("t1").output.value == {"kept": 1}


def test_s_802_a_permissive_task() -> None:
    kind = task_def("t1", retry_count=1)
    definition = flow(simple("t1", permissive=True), simple("t2"))
    machine = Machine(definition, task_defs={"t1": kind}).start()
    machine.work("t1", "FAILED", reason="one")
    machine.work("t1", "FAILED", reason="two")
    assert machine.list() == ["t1 FAILED", "t1 FAILED", "t2 SCHEDULED"]
    assert machine.status == "RUNNING"
    machine.work("t2")
    assert machine.status == "FAILED"
    assert machine.header is not None
    assert machine.header.reason == (
        f"Task {machine.task('t1').id} failed with status: FAILED and reason: 'two'"
    )
    assert machine.header.failed_task_id is None


def test_s_809_no_tasks() -> None:
    machine = Machine(flow()).start()
    assert machine.status == "COMPLETED"
    assert machine.header is not None
    assert machine.header.reason == "No tasks found to be executed"


FORKED = flow(fork("f", [simple("t1"), simple("t3")], [simple("t2")]), join("j", "t3", "t2"))


def test_s_812_a_fork() -> None:
    machine = Machine(FORKED).start()
    assert machine.list() == ["f COMPLETED", "t1 SCHEDULED", "t2 SCHEDULED", "j IN_PROGRESS"]
    assert machine.task("j").input.value == {"joinOn": ["t3", "t2"]}
    assert machine.task("f").task_type == machine.task("f").def_name == "FORK"
    machine.work("t1")
    assert machine.list()[-1] == "t3 SCHEDULED"
    assert machine.task("t3").seq == 5
    machine.work("t2", output={"b": 2})
    assert machine.status == "RUNNING"
    machine.work("t3", output={"a": 1})
    assert machine.status == "COMPLETED"
    assert machine.output.value == {"a": 1}  # of the task scheduled last (S-237)
    assert machine.join_output("j") == {"t3": {"a": 1}, "t2": {"b": 2}}
    assert not machine.task("j").output


def test_s_813_a_failing_branch_ends_the_workflow() -> None:
    machine = Machine(FORKED, task_defs={"t2": task_def("t2")}).start()
    machine.work("t1")
    machine.grant("t3")
    machine.work("t2", "FAILED")
    assert machine.status == "FAILED"
    assert machine.list() == [
        "f COMPLETED", "t1 COMPLETED", "t2 FAILED", "j CANCELED", "t3 CANCELED",
    ]  # fmt: skip
    assert [notice.task_id for notice in machine.transitions[-1].cancels] == [machine.task("t3").id]


def test_s_814_a_permissive_branch_fails_the_join() -> None:
    definition = flow(
        fork("f", [simple("t1", permissive=True)], [simple("t2")]), join("j", "t1", "t2")
    )
    machine = Machine(definition, task_defs={"t1": task_def("t1")}).start()
    machine.work("t1", "FAILED", reason="why")
    assert machine.status == "RUNNING"
    assert machine.task("j").status.value == "IN_PROGRESS"
    machine.work("t2")
    assert machine.status == "FAILED"
    assert machine.list() == ["f COMPLETED", "t1 FAILED", "t2 COMPLETED", "j FAILED"]
    assert machine.task("j").reason == "why"


def test_s_816_optional_children_that_fail() -> None:
    world = World(
        flow(
            fork("f", [sub("s1", "c", optional=True)], [sub("s2", "c", optional=True)]),
            join("j", "s1", "s2"),
        ),
        flow(simple("x"), name="c"),
    )
    machine = world.start("w")
    for ref in ("s1", "s2"):
        world.machines[machine.task(ref).sub_workflow_id or ""].work("x", TERMINAL, reason="no")
        world.settle()
    assert machine.list() == [
        "f COMPLETED", "s1 COMPLETED_WITH_ERRORS", "s2 COMPLETED_WITH_ERRORS",
        "j COMPLETED_WITH_ERRORS",
    ]  # fmt: skip
    assert machine.status == "COMPLETED"
    assert (machine.task("j").reason or "").endswith(" completed with errors")
    assert (machine.task("s1").reason or "").startswith("Sub workflow c.1/")


def test_s_817_permissive_children_that_are_terminated() -> None:
    world = World(
        flow(
            fork("f", [sub("s1", "c", permissive=True)], [sub("s2", "c", permissive=True)]),
            join("j", "s1", "s2"),
        ),
        flow(simple("x"), name="c"),
    )
    machine = world.start("w")
    for ref in ("s1", "s2"):
        world.machines[machine.task(ref).sub_workflow_id or ""].send(Terminate(reason="user"))
        world.settle()
    assert machine.list() == ["f COMPLETED", "s1 CANCELED", "s2 CANCELED", "j CANCELED"]
    assert machine.status == "TERMINATED"


def test_s_818_a_child_is_retried_as_another_child() -> None:
    world = World(
        flow(fork("f", [sub("s1", "c")]), join("j", "s1")),
        flow(simple("x"), name="c"),
        task_defs={"s1": task_def("s1", retry_count=1)},
    )
    machine = world.start("w")
    first = machine.task("s1").sub_workflow_id or ""
    world.machines[first].work("x", TERMINAL)
    world.settle()
    assert machine.list() == ["f COMPLETED", "s1 FAILED", "j IN_PROGRESS", "s1 IN_PROGRESS"]
    second = machine.task("s1").sub_workflow_id or ""
    assert second != first
    assert world.machines[second].status == "RUNNING"
    late = CloseChild(
        task_id=machine.attempts[machine.task("s1").key, 0].id, run_epoch=0, child_id=first,
        status="COMPLETED",
    )  # fmt: skip
    assert machine.send(late).verdict is Verdict.NOOP
    world.machines[second].work("x")
    world.settle()
    assert machine.status == "COMPLETED"


def test_s_824_terminate_in_a_branch_cancels_the_others_and_their_children() -> None:
    world = World(
        flow(
            fork("f", [simple("t"), terminate("end", "COMPLETED", workflowOutput={"a": 1})],
                 [sub("s", "c")]),
            join("j", "end", "s"),
            simple("never"),
        ),
        flow(simple("x"), name="c"),
    )  # fmt: skip
    machine = world.start("w")
    machine.work("t")
    child = world.machines[machine.task("s").sub_workflow_id or ""]
    assert machine.status == "COMPLETED"
    reason = f"Workflow is COMPLETED by TERMINATE task: {machine.task('end').id}"
    assert machine.header is not None
    assert machine.header.reason == reason
    assert machine.list() == [
        "f COMPLETED", "t COMPLETED", "s CANCELED", "j CANCELED", "end COMPLETED",
    ]  # fmt: skip
    assert machine.output.value == {"a": 1}
    world.settle()
    assert child.status == "TERMINATED"
    assert child.header is not None
    assert child.header.reason == f"Parent workflow has been terminated with reason: {reason}"
    assert child.list() == ["x CANCELED"]


def test_s_825_terminate_failed_starts_the_failure_workflow() -> None:
    world = World(
        flow(terminate("end", "FAILED", terminationReason="over"), failure_workflow="fw"),
        flow(simple("clean"), name="fw"),
    )
    machine = world.start("w", {"given": 1}, correlation_id="c1")
    assert machine.status == "FAILED"
    assert machine.header is not None
    assert machine.header.reason == "over"
    assert machine.list() == ["end COMPLETED"]
    cleaner = world.machines[str(machine.output.value["conductor.failure_workflow"])]
    assert cleaner.header is not None
    assert cleaner.header.correlation_id == "c1"
    assert cleaner.header.parent is None
    assert cleaner.input.value == {
        "given": 1, "workflowId": "root", "reason": "over", "failureStatus": "FAILED",
        "failureTaskId": machine.task("end").id,
    }  # fmt: skip
    assert world.failed_inputs == {cleaner.id: "root"}


def test_s_826_s_827_a_failing_leaf_fails_every_ancestor() -> None:
    world = World(
        flow(sub("s", "mid"), failure_workflow="fw"),
        flow(sub("m", "leaf"), name="mid"),
        flow(terminate("end", "FAILED"), name="leaf"),
        flow(simple("clean"), name="fw"),
    )
    machine = world.start("w")
    assert machine.status == "FAILED"
    assert machine.list() == ["s FAILED"]
    start = next(e for e in machine.done_effects if isinstance(e, StartChild) and not e.parent)
    assert start.input.value["failureTaskId"] == machine.task("s").id


@pytest.mark.parametrize(
    ("fields", "delays"),
    [
        ({"retry_logic": "EXPONENTIAL_BACKOFF", "retry_delay_seconds": 2}, [2, 4]),
        (
            {"retry_logic": "EXPONENTIAL_BACKOFF", "retry_delay_seconds": 2,
             "max_retry_delay_seconds": 3},
            [2, 3],
        ),
        (
            {"retry_logic": "LINEAR_BACKOFF", "retry_delay_seconds": 4,
             "max_retry_delay_seconds": 5},
            [4, 5],
        ),
        ({"retry_delay_seconds": 7, "max_retry_delay_seconds": 5}, [5, 5]),
    ],
)  # fmt: skip
def test_s_835_retry_delays(fields: dict[str, Any], delays: list[int]) -> None:
    kind = task_def("t1", retry_count=9, **fields)
    machine = Machine(flow(simple("t1")), task_defs={"t1": kind}).start()
    for delay in delays:
        machine.work("t1", "FAILED")
        task = machine.task("t1")
        assert task.callback_after_ms == delay * 1000
        assert machine.deadlines[task.id, "retry"] == machine.now_ms + delay * 1000
        assert not machine.ready
        machine.due("t1", "retry")


def test_s_835_jitter_is_added_and_is_the_same_again() -> None:
    kind = task_def("t1", retry_count=1, retry_delay_seconds=60, backoff_jitter_ms=5000)
    found = set()
    for _ in range(2):
        machine = Machine(flow(simple("t1")), task_defs={"t1": kind}).start()
        machine.work("t1", "FAILED")
        task = machine.task("t1")
        assert task.callback_after_ms == 60_000
        found.add(machine.deadlines[task.id, "retry"] - machine.now_ms)
    assert len(found) == 1
    assert 60_000 <= found.pop() <= 65_000

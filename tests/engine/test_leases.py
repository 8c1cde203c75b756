"""Leases and results by epoch: what is accepted, what is stale, what a loss costs."""

from __future__ import annotations

from typing import Any

import pytest

from podium.engine.command import (
    ExtendLease,
    GrantLease,
    LoseLease,
    Outcome,
    Rejected,
    ReportResult,
    ResumeLease,
    ReturnLease,
    Terminate,
    Verdict,
)
from podium.engine.transition import ReleaseSlot
from podium.model.execution import Lease, TaskStatus
from tests.engine.machine import STREAM, T0, Machine
from tests.engine.shapes import flow, fork, join, simple, task_def

OTHER = Lease(incarnation="inc2", session="s9", kind="stream")
POLL = Lease(incarnation="inc1", session="p1", kind="poll")


def one(**fields: Any) -> Machine:
    return Machine(flow(simple("a")), task_defs={"a": task_def("a", **fields)}).start()


def grant_command(machine: Machine, lease: Lease = STREAM) -> GrantLease:
    return GrantLease(task_id=machine.task("a").id, lease=lease, worker_id="w")


def lose(machine: Machine, epoch: int) -> Outcome:
    return machine.send(LoseLease(task_id=machine.task("a").id, lease_epoch=epoch))


def resume(machine: Machine, epoch: int) -> Outcome:
    return machine.send(
        ResumeLease(task_id=machine.task("a").id, lease_epoch=epoch, lease=OTHER, worker_id="again")
    )


def test_a_grant_raises_the_epoch_and_arms_the_deadlines() -> None:
    machine = one(response_timeout_seconds=5, timeout_seconds=60, poll_timeout_seconds=30)
    task_id = machine.task("a").id
    assert machine.deadlines == {(task_id, "poll"): T0 + 30_000}
    machine.now_ms += 10
    task = machine.grant("a")
    assert (task.status.value, task.lease_epoch, task.poll_count) == ("IN_PROGRESS", 1, 1)
    assert (task.start_ms, task.worker_id, task.lease) == (T0 + 10, "w", STREAM)
    assert machine.deadlines == {
        (task_id, "response"): T0 + 5010,
        (task_id, "timeout"): T0 + 60_010,
    }
    assert machine.held == {("inc1", task_id)}
    assert not machine.ready


def test_only_a_ready_task_is_granted() -> None:
    machine = one()
    machine.grant("a")
    assert machine.send(grant_command(machine)).verdict is Verdict.STALE
    machine.report("a")
    assert machine.send(grant_command(machine)).verdict is Verdict.CLOSED


def test_a_task_granted_in_the_same_commit_is_never_stored_as_ready() -> None:
    machine = Machine(flow(simple("a"), simple("b"))).start()
    machine.grant("a")
    draft = machine.draft()
    report = ReportResult(task_id=machine.task("a").id, status=TaskStatus.COMPLETED, lease_epoch=1)
    machine.decide(draft, report)
    ready = draft.fresh_ready()
    assert len(ready) == 1
    machine.decide(draft, GrantLease(task_id=ready[0].task_id, lease=STREAM, worker_id="w"))
    assert draft.fresh_ready() == ()
    change = machine.commit(draft)
    assert change is not None
    assert change.ready == ()
    assert machine.task("b").status is TaskStatus.IN_PROGRESS
    assert change.history is not None
    assert change.history.commands == ("ReportResult", "GrantLease")
    assert [(c.ref, c.status_from, c.status_to) for c in change.history.changes] == [
        ("a", "IN_PROGRESS", "COMPLETED"),
        ("b", "", "IN_PROGRESS"),
    ]


def test_a_returned_lease_counts_nothing() -> None:
    machine = one(timeout_seconds=60)
    before = machine.task("a")
    machine.grant("a")
    returned = ReturnLease(task_id=before.id, lease_epoch=1)
    assert machine.send(returned).verdict is Verdict.OK
    after = machine.task("a")
    assert (after.status, after.poll_count, after.start_ms, after.worker_id) == (
        TaskStatus.SCHEDULED, 0, 0, None,
    )  # fmt: skip
    assert after.score == before.score
    assert after.lease_epoch == 1
    assert not machine.deadlines
    assert machine.send(returned).verdict is Verdict.STALE


def test_a_second_hand_out_that_is_returned_keeps_the_first_start() -> None:
    machine = one(timeout_seconds=60)
    machine.grant("a")
    lose(machine, 1)
    started = machine.task("a").start_ms
    machine.now_ms += 50
    machine.grant("a")
    machine.send(ReturnLease(task_id=machine.task("a").id, lease_epoch=2))
    assert machine.task("a").start_ms == started
    assert machine.deadlines == {(machine.task("a").id, "timeout"): started + 60_000}


def test_the_third_lost_lease_in_a_row_charges_an_attempt() -> None:
    machine = one(retry_count=1)
    score = machine.task("a").score
    for epoch in (1, 2):
        machine.grant("a")
        assert lose(machine, epoch).verdict is Verdict.OK
        assert machine.task("a").score == score
    assert lose(machine, 2).verdict is Verdict.STALE
    machine.grant("a")
    lose(machine, 3)
    assert machine.list() == ["a FAILED", "a SCHEDULED"]
    assert machine.task("a").leases_lost == 0
    assert "lease lost 3 times" in (machine.task("a").reason or "")


def test_progress_ends_the_row_of_losses() -> None:
    machine = one()
    for _ in range(2):
        machine.grant("a")
        lose(machine, machine.task("a").lease_epoch)
    machine.work("a", "IN_PROGRESS")
    machine.grant("a")
    lose(machine, machine.task("a").lease_epoch)
    assert machine.list() == ["a SCHEDULED"]


def test_a_lease_moves_to_where_its_worker_came_back() -> None:
    machine = one(response_timeout_seconds=5)
    machine.grant("a")
    assert resume(machine, 1).verdict is Verdict.OK
    task = machine.task("a")
    assert (task.lease, task.worker_id, task.lease_epoch) == (OTHER, "again", 1)
    assert machine.held == {("inc2", task.id)}
    assert machine.deadlines == {(task.id, "response"): T0 + 5000}


def test_a_lost_lease_is_resumed_unless_somebody_took_the_task() -> None:
    machine = one(response_timeout_seconds=5, poll_timeout_seconds=9)
    machine.grant("a")
    lose(machine, 1)
    assert resume(machine, 1).verdict is Verdict.OK
    assert machine.task("a").status is TaskStatus.IN_PROGRESS
    lose(machine, 1)
    machine.grant("a")
    assert resume(machine, 1).verdict is Verdict.STALE
    machine.report("a", lease_epoch=2)
    assert resume(machine, 2).verdict is Verdict.CLOSED


def test_a_task_that_was_reported_in_progress_is_not_resumed() -> None:
    machine = one()
    machine.work("a", "IN_PROGRESS")
    assert resume(machine, 1).verdict is Verdict.STALE


@pytest.mark.parametrize("epoch", [None, 1])
def test_s_160_extending_renews_the_response_deadline_only(epoch: int | None) -> None:
    machine = one(response_timeout_seconds=5, timeout_seconds=60)
    machine.grant("a")
    before = machine.task("a")
    machine.now_ms += 1000
    command = ExtendLease(task_id=before.id, lease_epoch=epoch)
    assert machine.send(command).verdict is Verdict.OK
    assert machine.deadlines == {
        (before.id, "response"): T0 + 6000,
        (before.id, "timeout"): T0 + 60_000,
    }
    assert machine.task("a").update_ms == T0 + 1000


def test_extending_with_another_epoch_is_stale_and_without_a_deadline_harmless() -> None:
    machine = one(response_timeout_seconds=0)
    assert machine.send(ExtendLease(task_id=machine.task("a").id)).verdict is Verdict.OK
    assert not machine.deadlines
    machine.grant("a")
    stale = ExtendLease(task_id=machine.task("a").id, lease_epoch=2)
    assert machine.send(stale).verdict is Verdict.STALE


# Results


def test_a_result_is_accepted_once_and_answered_again() -> None:
    machine = Machine(flow(simple("a"), simple("b"))).start()
    machine.grant("a")
    assert machine.report("a", lease_epoch=1, output={"r": 1}).verdict is Verdict.OK
    commits = len(machine.transitions)
    assert machine.report("a", lease_epoch=1, output={"r": 2}).verdict is Verdict.OK
    assert machine.report("a", "FAILED", lease_epoch=1).verdict is Verdict.OK
    assert len(machine.transitions) == commits
    assert machine.task("a").output.value == {"r": 1}


def test_a_result_of_an_older_epoch_is_stale() -> None:
    machine = one()
    machine.grant("a")
    lose(machine, 1)
    machine.grant("a")
    assert machine.report("a", lease_epoch=1).verdict is Verdict.STALE
    assert machine.report("a", lease_epoch=2).verdict is Verdict.OK
    assert machine.report("a", lease_epoch=1).verdict is Verdict.STALE


def test_a_late_result_of_a_lost_lease_counts_while_nobody_took_the_task() -> None:
    machine = one()
    machine.grant("a")
    lose(machine, 1)
    assert machine.report("a", lease_epoch=1).verdict is Verdict.OK
    assert machine.status == "COMPLETED"


def test_s_162_a_result_without_a_lease_counts_while_the_attempt_is_open() -> None:
    machine = one()
    assert machine.report("a").verdict is Verdict.OK  # S-165: not even handed out
    assert machine.status == "COMPLETED"
    assert machine.report("a").verdict is Verdict.CLOSED


def test_a_result_without_a_lease_tells_the_holder_to_stop() -> None:
    machine = one()
    machine.grant("a")
    machine.report("a")
    notice = machine.transitions[-1].cancels[0]
    assert (notice.incarnation, notice.session, notice.lease_epoch) == ("inc1", "s1", 1)
    assert machine.report("a", lease_epoch=1).verdict is Verdict.CLOSED


def test_a_holder_by_poll_needs_no_notice() -> None:
    machine = one()
    machine.grant("a", POLL)
    assert not machine.held
    machine.report("a")
    assert machine.transitions[-1].cancels == ()


def test_results_for_a_former_attempt_and_an_ended_workflow_change_nothing() -> None:
    machine = one(retry_count=1)
    first = machine.task("a").id
    machine.grant("a")
    machine.report("a", "FAILED", lease_epoch=1)
    for epoch, verdict in ((1, Verdict.OK), (2, Verdict.STALE), (None, Verdict.CLOSED)):
        late = ReportResult(task_id=first, status=TaskStatus.COMPLETED, lease_epoch=epoch)
        assert machine.send(late).verdict is verdict
    machine.grant("a")
    machine.send(Terminate(reason="enough"))
    assert machine.report("a", lease_epoch=1).verdict is Verdict.CLOSED
    assert lose(machine, 1).verdict is Verdict.CLOSED


def test_a_lease_that_timed_out_is_closed() -> None:
    machine = one(response_timeout_seconds=5)
    machine.grant("a")
    machine.due("a", "response")
    assert machine.report("a", lease_epoch=1).verdict is Verdict.CLOSED


@pytest.mark.parametrize("status", ["TIMED_OUT", "SKIPPED", "COMPLETED_WITH_ERRORS", "SCHEDULED"])
def test_s_006_what_a_worker_may_not_report(status: str) -> None:
    machine = one()
    with pytest.raises(Rejected, match="expected a status a worker may report"):
        machine.report("a", status)
    assert machine.list() == ["a SCHEDULED"]


@pytest.mark.parametrize("task_id", ["wf.unknownkey.0", "other.k.0", "junk", "wf..0"])
def test_s_161_unknown_tasks(task_id: str) -> None:
    machine = one()
    command = ReportResult(task_id=task_id, status=TaskStatus.COMPLETED)
    with pytest.raises(Rejected, match="No such task found by id") as caught:
        machine.send(command)
    assert caught.value.code == "NOT_FOUND"


def test_an_attempt_that_is_still_to_come_is_unknown() -> None:
    machine = one()
    with pytest.raises(Rejected):
        machine.send(
            ReportResult(task_id=machine.task("a").id[:-1] + "4", status=TaskStatus.FAILED)
        )


def test_s_008_reasons_are_cut() -> None:
    machine = one()
    machine.report("a", "FAILED", reason="x" * 900)
    assert machine.task("a").reason == "x" * 500


def test_progress_replaces_the_output_and_ends_the_lease() -> None:
    machine = one()
    machine.work("a", "IN_PROGRESS", output={"half": 1}, worker_id="named")
    task = machine.task("a")
    assert (task.output.value, task.lease, task.worker_id) == ({"half": 1}, None, "named")
    machine.work("a")
    assert machine.output.value == {}


def test_a_limited_task_holds_a_slot_while_it_is_leased() -> None:
    machine = one(concurrent_exec_limit=1)
    machine.grant("a")
    task = machine.task("a")
    assert task.queue is not None
    assert machine.slots == {task.id}
    lose(machine, 1)
    assert not machine.slots
    assert machine.effects.pop() == ReleaseSlot(
        task_id=task.id, queue=task.queue, limits=task.limits
    )
    machine.grant("a")
    machine.report("a", lease_epoch=2)
    assert isinstance(machine.effects.pop(), ReleaseSlot)


def test_several_results_are_one_commit() -> None:
    machine = Machine(flow(fork("f", [simple("a")], [simple("b")]), join("j", "a", "b"))).start()
    reports = [
        ReportResult(task_id=machine.task(ref).id, status=TaskStatus.COMPLETED)
        for ref in ("a", "b")
    ]
    commits = len(machine.transitions)
    machine.send(*reports)
    assert machine.status == "COMPLETED"
    assert len(machine.transitions) == commits + 1

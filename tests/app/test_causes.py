"""Causes drawn from facts, without a server: what a real one reaches seldom."""

from __future__ import annotations

from typing import Any

import pytest

from podium.app.cause import CAUSES_TOLD, Cause, CauseKind, Facts, LeaseFacts, QueueFacts
from podium.app.causes import explained
from podium.app.words import counted, listed, moment, sentence, since, span
from podium.engine.open_tasks import Missing, OpenTasks
from podium.engine.timing import HELD_MS
from podium.model.execution import (
    ExecutionHeader,
    HistoryRow,
    JoinRecord,
    Lease,
    TaskRecord,
    TaskStatus,
    WorkflowStatus,
)
from podium.model.queue import Deadline, Limits, Queue
from podium.store.inspection import QueueState

NOW = 10_000_000
HEADER = ExecutionHeader(
    id="wf", name="flow", version=1, digest="d", status=WorkflowStatus.RUNNING, created_ms=1,
    updated_ms=NOW - 5_000, open_count=1,
)  # fmt: skip
STREAM = Lease(incarnation="i", session="s", kind="stream")


def task(ref: str, **fields: Any) -> TaskRecord:
    given: dict[str, Any] = {
        "id": f"wf.{ref}.0", "key": ref, "attempt": 0, "seq": 1, "ref": ref, "node": 0,
        "task_type": "t", "def_name": "t", "status": TaskStatus.SCHEDULED,
        "scheduled_ms": NOW - 60_000, "update_ms": NOW - 60_000, "score": NOW - 60_000, **fields,
    }  # fmt: skip
    return TaskRecord(**given)


def told(*tasks: TaskRecord, **facts: Any) -> tuple[Cause, ...]:
    joins = facts.pop("joins", {})
    missing = facts.pop("missing", {})
    header = facts.pop("header", HEADER)
    opened = OpenTasks(tasks=tasks, joins=joins, missing=missing)
    return explained(Facts(header=header, now_ms=NOW, open=opened, **facts)).causes


def test_a_queue_of_which_nothing_is_known_has_no_worker() -> None:
    [cause] = told(task("a", queue=Queue("t")))
    assert cause.kind is CauseKind.NO_WORKER
    assert cause.text == (
        "Task a waits for a worker of t for 1 minute: none is connected, and none polled in the"
        " last 10 seconds."
    )


def test_one_that_asked_long_ago_is_told() -> None:
    known = QueueFacts(state=QueueState(ready=1), seen_ms=NOW - 7_200_000)
    [cause] = told(task("a", queue=Queue("t")), queues={Queue("t"): known})
    assert "the last one asked 2 hours ago" in cause.text


def test_a_limit_does_not_matter_where_nobody_is() -> None:
    limits = Limits(1, 1, 1000)
    state = QueueState(ready=1, slots=1, starts=1, admits_ms=NOW + 500)
    queue = Queue("t")
    alone = QueueFacts(state=state, limits=limits)
    [cause] = told(task("a", queue=queue), queues={queue: alone})
    assert cause.kind is CauseKind.NO_WORKER
    both = QueueFacts(state=state, limits=limits, active=frozenset({""}))
    [cause] = told(task("a", queue=queue), queues={queue: both})
    assert (cause.kind, cause.limit) == (CauseKind.CONCURRENCY_LIMITED, 1)
    rate = QueueFacts(state=state, limits=Limits(0, 1, 1000), active=frozenset({""}))
    [cause] = told(task("a", queue=queue), queues={queue: rate})
    assert (cause.kind, cause.until_ms) == (CauseKind.RATE_LIMITED, NOW + 500)


def test_tasks_of_one_queue_are_told_together_and_the_rest_is_counted() -> None:
    many = [task(f"a{number}", queue=Queue("t")) for number in range(25)]
    [cause] = told(*many)
    assert (len(cause.tasks), cause.more_tasks) == (10, 15)
    assert cause.text.startswith("Tasks a0, a1, a2, a3, a4, a5, a6, a7, a8, a9 and 15 more wait")


def test_causes_beyond_the_limit_are_counted_as_open_tasks() -> None:
    many = tuple(task(f"h{number}", task_type="HUMAN", status=TaskStatus.IN_PROGRESS)
                 for number in range(CAUSES_TOLD + 7))  # fmt: skip
    header = ExecutionHeader(
        id="wf", name="flow", version=1, digest="d", status=WorkflowStatus.RUNNING, created_ms=1,
        updated_ms=1, open_count=len(many) + 100,
    )  # fmt: skip
    opened = OpenTasks(tasks=many, joins={}, missing={})
    found = explained(Facts(header=header, now_ms=NOW, open=opened))
    assert (len(found.causes), found.more) == (CAUSES_TOLD, 107)


@pytest.mark.parametrize("kind", ["retry", "wait"])
def test_what_was_due_in_a_pause_waits_for_its_end(kind: Any) -> None:
    held = (Deadline("wf.a.0", kind, HELD_MS),)
    if kind == "retry":
        late = task("a", deadlines=held, queue=Queue("t"), callback_after_ms=5)
    else:
        late = task("a", deadlines=held, task_type="WAIT", status=TaskStatus.IN_PROGRESS,
                    callback_after_ms=5)  # fmt: skip
    rows = (HistoryRow(1, NOW - 120_000, ("Pause",), "anna", "PAUSED"),)
    header = ExecutionHeader(
        id="wf", name="flow", version=1, digest="d", status=WorkflowStatus.PAUSED, created_ms=1,
        updated_ms=NOW, open_count=1,
    )  # fmt: skip
    paused, cause = told(late, header=header, history=rows)
    assert paused.text.startswith("It was paused by anna for 2 minutes")
    assert (paused.actor, paused.since_ms) == ("anna", NOW - 120_000)
    assert "when the execution is resumed" in cause.text
    assert cause.until_ms == 0


def test_a_lease_of_another_server_says_nothing_of_its_stream() -> None:
    leased = task("a", status=TaskStatus.IN_PROGRESS, lease=STREAM, worker_id="w", poll_count=1,
                  start_ms=NOW - 3_000, queue=Queue("t"),
                  deadlines=(Deadline("wf.a.0", "timeout", NOW - 61_000),
                             Deadline("wf.a.0", "response", NOW + 30_000)))  # fmt: skip
    elsewhere = told(leased, leases={leased.id: LeaseFacts(here=False)})[0]
    assert elsewhere.text == (
        "Worker w works on task a for 3 seconds, over its stream, and must answer 1 minute ago."
    )
    broken = told(leased, leases={leased.id: LeaseFacts(here=True)})[0]
    assert "over a stream that is broken" in broken.text
    assert broken.deadline_ms == NOW - 61_000


def test_a_join_none_of_whose_members_comes_says_that_the_definition_may_be_wrong() -> None:
    join = task("j", task_type="JOIN", status=TaskStatus.IN_PROGRESS, start_ms=NOW)
    [cause] = told(
        join, joins={"j": JoinRecord(key="j", open_count=2)},
        missing={"j": (Missing("x", None), Missing("y", None))},
    )  # fmt: skip
    assert cause.text == "JOIN j waits for x (not scheduled) and y (not scheduled)."
    assert "joinOn" in cause.remedy
    [cause] = told(join, joins={"j": JoinRecord(key="j", open_count=3)})
    assert cause.text == "JOIN j waits for 3 branches."


def test_a_child_that_is_yet_to_start() -> None:
    waiting = task("s", task_type="SUB_WORKFLOW", status=TaskStatus.IN_PROGRESS,
                   sub_workflow_id="child")  # fmt: skip
    [cause] = told(waiting, children={"child": None})
    assert "which is about to be started" in cause.text
    [cause] = told(waiting)
    assert cause.text == "Task s waits for child child."


def test_effects_that_are_carried_out_are_counted() -> None:
    [cause] = told(effects=1)
    assert cause.text == ("A decision is on its way: 1 effect of the last one is carried out now.")
    [cause] = told(effects=3)
    assert "3 effects" in cause.text


def test_words() -> None:
    assert [span(ms) for ms in (0, 999, 1_000, 59_999, 60_000, 7_200_000, 172_800_000)] == [
        "less than a second", "less than a second", "1 second", "59 seconds", "1 minute",
        "2 hours", "2 days",
    ]  # fmt: skip
    assert since(NOW - 5_000, NOW) == "for 5 seconds"
    assert [moment(NOW + ms, NOW) for ms in (5_000, 0, -500, -5_000)] == [
        "in 5 seconds", "now", "now", "5 seconds ago",
    ]  # fmt: skip
    assert [counted(count, "branch", "branches") for count in (1, 2)] == ["1 branch", "2 branches"]
    assert [listed(["a"]), listed(["a", "b", "c"]), listed(["a"], 2), listed([])] == [
        "a", "a, b and c", "a and 2 more", "",
    ]  # fmt: skip
    assert [sentence(text) for text in ("a", "a.", "a! ")] == ["a.", "a.", "a!"]

"""EXCLUSIVE_JOIN: which task it goes on with, when, and how it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from podium.engine.transition import FetchTasks
from podium.model.execution import TaskStatus
from tests.engine.machine import Machine
from tests.engine.shapes import flow, fork, join, op, simple, switch, task_def

if TYPE_CHECKING:
    from podium.model.definition import WorkflowDef, WorkflowTask


def exclusive(*members: str, defaults: tuple[str, ...] = (), **fields: Any) -> WorkflowTask:
    return op(
        "EXCLUSIVE_JOIN", "x", join_on=list(members), default_exclusive_join_task=list(defaults),
        **fields,
    )  # fmt: skip


def after_choice(**fields: Any) -> WorkflowDef:
    """first, then a or b or nothing, then the join."""
    cases = {"a": [simple("a", **fields)], "b": [simple("b")], "none": []}
    return flow(
        simple("first"),
        switch("s", "${workflow.input.v}", cases),
        exclusive("a", "b", defaults=("first",)),
        simple("z", input_parameters={"got": "${x.output}"}),
    )


def beside(*members: str, **fields: Any) -> WorkflowDef:
    """The join in a branch of its own, beside three tasks that run."""
    branches = [[simple("a", **fields)], [simple("b")], [simple("c")], [exclusive(*members)]]
    return flow(fork("f", *branches), join("j", "x"))


@pytest.mark.parametrize(("value", "ran"), [("a", "a"), ("b", "b")])
def test_s_390_it_goes_on_with_the_task_that_ran(value: str, ran: str) -> None:
    machine = Machine(after_choice()).start({"v": value})
    machine.work("first", output={"of": "first"})
    machine.work(ran, output={"of": ran})
    assert machine.list()[-2:] == ["x COMPLETED", "z SCHEDULED"]
    assert machine.task("z").input.value == {"got": {"of": ran}}
    assert machine.task("x").input.value == {
        "joinOn": ["a", "b"],
        "defaultExclusiveJoinTask": ["first"],
    }


def test_s_391_where_none_ran_it_goes_on_with_the_first_default_that_ended() -> None:
    machine = Machine(after_choice()).start({"v": "none"})
    machine.work("first", output={"of": "first"})
    assert machine.list()[-2:] == ["x COMPLETED", "z SCHEDULED"]
    assert machine.task("z").input.value == {"got": {"of": "first"}}


def test_it_closes_in_the_commit_of_the_member_that_came_first() -> None:
    machine = Machine(beside("a", "b")).start()
    assert machine.task("x").status.value == "IN_PROGRESS"
    machine.work("a", output={"v": 1})
    assert machine.task("x").status.value == "COMPLETED"
    assert machine.task("x").output.value == {"v": 1}


def test_s_389_the_first_that_exists_is_awaited_and_later_ones_are_not_looked_at() -> None:
    machine = Machine(beside("a", "b", "c")).start()
    machine.work("b")
    assert machine.task("x").status.value == "IN_PROGRESS"
    machine.needs.clear()
    machine.work("c")
    asked = [key for need in machine.needs if isinstance(need, FetchTasks) for key in need.keys]
    assert machine.task("a").key not in asked
    machine.work("a", output={"v": 1})
    assert machine.task("x").output.value == {"v": 1}


def test_s_391_a_default_does_not_go_before_a_member_that_runs() -> None:
    branches = [[simple("a")], [simple("d")], [exclusive("a", defaults=("d",))]]
    machine = Machine(flow(fork("f", *branches), join("j", "x"))).start()
    machine.work("d", output={"v": "default"})
    assert machine.task("x").status.value == "IN_PROGRESS"
    machine.work("a", output={"v": "member"})
    assert machine.task("x").output.value == {"v": "member"}


def test_s_392_a_member_that_comes_later_is_waited_for() -> None:
    branches = [[simple("b"), simple("a")], [exclusive("a")]]
    machine = Machine(flow(fork("f", *branches), join("j", "x"))).start()
    machine.work("b")
    assert machine.task("x").status.value == "IN_PROGRESS"
    machine.work("a", output={"v": 1})
    assert machine.task("x").output.value == {"v": 1}
    assert machine.status == "COMPLETED"


def test_a_retried_member_counts_when_no_attempt_is_left() -> None:
    kind = task_def("a", retry_count=1)
    machine = Machine(after_choice(), task_defs={"a": kind}).start({"v": "a"})
    machine.work("first")
    machine.work("a", "FAILED")
    assert machine.list()[-1] == "a SCHEDULED"
    machine.work("a", output={"try": 2})
    assert machine.task("x").output.value == {"try": 2}


def test_a_forgiven_member_completes_it() -> None:
    machine = Machine(after_choice(optional=True), task_defs={"a": task_def("a")}).start({"v": "a"})
    machine.work("first")
    machine.work("a", "FAILED", output={"v": 1})
    assert machine.list()[-2:] == ["x COMPLETED", "z SCHEDULED"]
    assert machine.task("x").output.value == {"v": 1}


def test_s_390_a_permissive_member_that_failed_fails_it_with_its_reason() -> None:
    definition = after_choice(permissive=True)
    machine = Machine(definition, task_defs={"a": task_def("a")}).start({"v": "a"})
    machine.work("first")
    machine.work("a", "FAILED", reason="broken")
    assert machine.list()[-1] == "x FAILED"
    assert machine.task("x").reason == "broken"
    assert machine.status == "FAILED"


def test_a_join_as_its_member_gives_what_it_gathered() -> None:
    machine = Machine(
        flow(fork("f", [simple("a")], [simple("b")]), join("j", "a", "b"), exclusive("j"))
    ).start()
    machine.work("a", output={"v": 1})
    machine.work("b", output={"v": 2})
    assert machine.task("x").output.value == {"a": {"v": 1}, "b": {"v": 2}}
    assert machine.status == "COMPLETED"


def test_it_is_canceled_when_the_workflow_ends() -> None:
    definition = beside("c")
    machine = Machine(definition, task_defs={"a": task_def("a")}).start()
    machine.work("a", "FAILED")
    assert "x CANCELED" in machine.list()
    assert not machine.joins


def test_its_deadlines_are_armed() -> None:
    kind = task_def("x", timeout_seconds=5, response_timeout_seconds=1)
    machine = Machine(beside("a"), task_defs={"x": kind}).start()
    machine.due("x", "timeout")
    assert machine.task("x").status.value == "TIMED_OUT"
    assert machine.status == "TIMED_OUT"


def test_it_completes_with_nothing_where_every_member_was_skipped() -> None:
    machine = Machine(flow(simple("a"), simple("b"), exclusive("a"))).start()
    machine.work("a", output={"v": 1})
    skipped = replace(machine.task("a"), status=TaskStatus.SKIPPED)
    machine.tasks[skipped.key] = skipped
    machine.work("b")
    assert machine.task("x").output.value == {}
    assert machine.status == "COMPLETED"

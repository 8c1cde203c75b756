"""Joins: counters that the members' own commits lower, and outputs put together when read."""

from __future__ import annotations

from typing import Any

import pytest

from podium.engine.command import Terminate
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.engine.transition import FetchAll, FetchTasks
from tests.engine.machine import Machine
from tests.engine.shapes import flow, fork, join, op, simple, sub, switch, task_def
from tests.engine.world import World

PAIR = [simple("a")], [simple("b")]


def test_s_384_an_empty_join_on_completes_at_once() -> None:
    machine = Machine(flow(fork("f", *PAIR), join("j"), simple("c"))).start()
    assert machine.list()[-2:] == ["j COMPLETED", "c SCHEDULED"]
    assert machine.join_output("j") == {}
    assert not machine.joins


@pytest.mark.parametrize("mode", [None, "SYNC", "ASYNC"])
def test_s_377_a_join_closes_in_its_last_members_commit_in_either_mode(mode: Any) -> None:
    definition = flow(
        fork("f", [simple("a")], [simple("b")]), join("j", "a", "b", join_mode=mode), simple("z")
    )
    machine = Machine(definition).start()
    machine.work("a")
    machine.work("b")
    assert machine.list()[-2:] == ["j COMPLETED", "z SCHEDULED"]
    assert not machine.deadlines


def test_s_383_a_join_waits_for_what_never_comes() -> None:
    machine = Machine(flow(fork("f", *PAIR), join("j", "a", "b", "never"))).start()
    machine.work("a")
    machine.work("b")
    assert machine.status == "RUNNING"
    assert machine.joins[machine.task("j").key].open_count == 1


def test_a_member_may_be_complete_before_the_join_is_scheduled() -> None:
    definition = flow(simple("early"), fork("f", [simple("a")]), join("j", "early", "a", "a"))
    machine = Machine(definition).start()
    machine.work("early", output={"e": 1})
    assert machine.joins[machine.task("j").key].open_count == 1
    machine.work("a", output={"a": 1})
    assert machine.status == "COMPLETED"
    assert machine.output.value == {"early": {"e": 1}, "a": {"a": 1}}


def test_s_338_a_join_on_a_switch_does_not_wait_for_its_case() -> None:
    definition = flow(
        fork("f", [switch("s", "x", {"x": [simple("inside")]})], [simple("b")]),
        join("j", "s", "b"),
        simple("after"),
    )
    machine = Machine(definition).start()
    machine.work("b")
    assert "after SCHEDULED" in machine.list()
    machine.work("after")
    assert machine.status == "RUNNING"
    machine.work("inside")
    assert machine.status == "COMPLETED"


def nested() -> Machine:
    inner = [fork("f2", [simple("a")], [simple("b")]), join("j2", "a", "b")]
    return Machine(
        flow(
            fork("f1", inner, [simple("c")]),
            join("j1", "j2", "c"),
            simple("d", input_parameters={"all": "${j1.output}", "b": "${j1.output.j2.b.v}"}),
        )
    ).start()


def test_s_356_a_join_within_a_branch() -> None:
    machine = nested()
    assert machine.list() == [
        "f1 COMPLETED", "f2 COMPLETED", "a SCHEDULED", "b SCHEDULED", "j2 IN_PROGRESS",
        "c SCHEDULED", "j1 IN_PROGRESS",
    ]  # fmt: skip
    machine.work("a", output={"v": 1})
    machine.work("b", output={"v": 2})
    assert machine.task("j2").status.value == "COMPLETED"
    machine.work("c")
    assert machine.task("d").input.value == {
        "all": {"j2": {"a": {"v": 1}, "b": {"v": 2}}},
        "b": 2,
    }


def test_one_member_of_a_join_is_read_without_the_others() -> None:
    definition = flow(
        fork("f", *PAIR), join("j", "a", "b"),
        simple("c", input_parameters={"v": "${j.output.b.v}"}),
    )  # fmt: skip
    machine = Machine(definition).start()
    machine.work("b", output={"v": 2})
    machine.needs.clear()
    machine.work("a", output={"v": 1})
    assert machine.task("c").input.value == {"v": 2}
    assert not any(isinstance(need, FetchAll) for need in machine.needs)


def test_completing_a_branch_fetches_the_task_and_its_join_only() -> None:
    count = 200
    definition = flow(
        fork("f", *[[simple(f"b{i}", "kind")] for i in range(count)]),
        join("j", *[f"b{i}" for i in range(count)]),
    )
    machine = Machine(definition).start()
    machine.grant("b7")
    machine.needs.clear()
    machine.report("b7", lease_epoch=1)
    fetched = [need for need in machine.needs if isinstance(need, FetchTasks)]
    assert len(fetched) == len(machine.needs) == 2
    assert sum(len(need.keys) + len(need.joins) for need in fetched) == 2
    change = machine.transitions[-1]
    assert (len(change.tasks), len(change.joins)) == (1, 1)


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        ("FAILED", "FAILED", "FAILED"),
        ("CANCELED", "FAILED", "FAILED"),
        ("CANCELED", "CANCELED", "CANCELED"),
        ("COMPLETED", "CANCELED", "CANCELED"),
        ("COMPLETED", "COMPLETED", "COMPLETED"),
    ],
)
def test_s_380_s_381_how_permissive_members_end_a_join(
    first: str, second: str, status: str
) -> None:
    definition = flow(
        fork("f", [simple("a", permissive=True)], [simple("b", permissive=True)]),
        join("j", "a", "b"),
    )
    kinds = {"a": task_def("a"), "b": task_def("b")}
    machine = Machine(definition, task_defs=kinds).start()
    machine.work("a", first, reason="one")
    machine.work("b", second, reason="two")
    assert machine.task("j").status.value == status
    if status != "COMPLETED":
        expected = "two" if first == "COMPLETED" else "one two"
        assert machine.task("j").reason == expected


def test_an_optional_join_forgives() -> None:
    definition = flow(
        fork("f", [simple("a", permissive=True)]), join("j", "a", optional=True), simple("c")
    )
    machine = Machine(definition, task_defs={"a": task_def("a")}).start()
    machine.work("a", "FAILED")
    assert machine.list()[-2:] == ["j COMPLETED_WITH_ERRORS", "c SCHEDULED"]
    machine.work("c")
    assert machine.status == "FAILED"  # S-230: the permissive task counts all the same


def test_s_385_the_last_attempt_counts() -> None:
    machine = Machine(
        flow(fork("f", *PAIR), join("j", "a", "b")), task_defs={"a": task_def("a", retry_count=1)}
    ).start()
    machine.work("b")
    machine.work("a", "FAILED", output={"bad": 1})
    assert machine.task("j").status.value == "IN_PROGRESS"
    machine.work("a", output={"good": 1})
    assert machine.join_output("j") == {"a": {"good": 1}}
    assert machine.status == "COMPLETED"


def test_a_join_that_is_ended_from_outside_counts_no_more() -> None:
    machine = Machine(flow(fork("f", *PAIR), join("j", "a", "b"), simple("c"))).start()
    machine.report("j")
    assert machine.list()[-1] == "c SCHEDULED"
    for ref in ("a", "b", "c"):
        machine.work(ref)
    assert machine.status == "COMPLETED"


def test_an_ended_workflow_shows_what_an_open_join_had_gathered() -> None:
    machine = Machine(flow(fork("f", *PAIR), join("j", "a", "b"))).start()
    machine.work("a", output={"v": 1})
    machine.report("b", "IN_PROGRESS")
    machine.send(Terminate(reason="user"))
    assert machine.output.value == {"a": {"v": 1}}
    machine = Machine(flow(fork("f", *PAIR), join("j", "a", "b"))).start()
    machine.work("a", output={"v": 1})
    machine.work("b", "FAILED_WITH_TERMINAL_ERROR", output={"why": 1})
    assert machine.output.value == {"a": {"v": 1}}  # as recorded: the join had not seen b


def too_much() -> Machine:
    machine = Machine(flow(fork("f", *PAIR), join("j", "a", "b"))).start()
    for ref in ("a", "b"):
        machine.work(ref, output={"v": "x" * (PAYLOAD_BYTES_LIMIT // 2 + 1)})
    return machine


def test_a_join_output_over_the_limit_fails_what_reads_it() -> None:
    machine = too_much()
    assert machine.status == "FAILED"
    assert machine.output.value == {}
    assert machine.header is not None
    assert (machine.header.reason or "").startswith(
        f"expected a JOIN output of at most {PAYLOAD_BYTES_LIMIT} bytes, found "
    )
    assert machine.task("j").status.value == "COMPLETED"


def test_a_terminate_does_not_depend_on_the_output() -> None:
    definition = flow(fork("f", *PAIR), join("j", "a", "b", "never"))
    machine = Machine(definition).start()
    for ref in ("a", "b"):
        machine.work(ref, output={"v": "x" * (PAYLOAD_BYTES_LIMIT // 2 + 1)})
    machine.send(Terminate())
    assert machine.status == "TERMINATED"
    assert machine.output.value == {}


def test_an_output_of_parameters_over_the_limit_fails_the_workflow() -> None:
    definition = flow(simple("a"), output_parameters={"x": "${a.output}", "y": "${a.output}"})
    machine = Machine(definition).start()
    machine.work("a", output={"v": "x" * (PAYLOAD_BYTES_LIMIT // 2)})
    assert machine.status == "FAILED"
    assert machine.output.value == {}


def test_a_task_that_reads_too_much_fails_with_the_sizes() -> None:
    definition = flow(
        fork("f", *PAIR), join("j", "a", "b"),
        simple("c", input_parameters={"all": "${j.output}"}),
    )  # fmt: skip
    machine = Machine(definition).start()
    for ref in ("a", "b"):
        machine.work(ref, output={"v": "x" * (PAYLOAD_BYTES_LIMIT // 2 + 1)})
    assert machine.status == "FAILED"
    assert machine.header is not None
    assert "expected a JOIN output of at most" in (machine.header.reason or "")


def test_joins_of_joins_are_assembled_without_recursion() -> None:
    """A chain of joins each naming the one before, longer than any call stack, and one circle."""
    count = 2000
    tasks = [fork("f", [simple("a")]), join("j0", "a")]
    for number in range(1, count):
        tasks += [fork(f"f{number}", [switch(f"s{number}", 1, {})]),
                  join(f"j{number}", f"j{number - 1}")]  # fmt: skip
    machine = Machine(flow(*tasks, op("TERMINATE", "t", input_parameters={
        "terminationStatus": "COMPLETED"})), whole=True).start()  # fmt: skip
    machine.work("a", output={"v": 1})
    machine.run_effects()
    assert machine.status == "COMPLETED"
    value = machine.join_output(f"j{count - 1}")
    for number in range(count - 2, -1, -1):
        value = value[f"j{number}"]
    assert value == {"a": {"v": 1}}


def test_joins_that_name_each_other_have_outputs_that_end() -> None:
    definition = flow(fork("f", [fork("g", [simple("a")]), join("k", "j")]), join("j", "k", "a"))
    machine = Machine(definition).start()
    machine.work("a", output={"v": 1})
    assert machine.status == "RUNNING"
    assert machine.join_output("j") == {"a": {"v": 1}}
    assert machine.join_output("k") == {"j": {"a": {"v": 1}}}


def test_the_joins_of_a_failed_child_fail_with_it() -> None:
    """As recorded of a real server (nested_fork_join_swf, terminal), S-386."""
    inner = [fork("f2", [sub("s", "c")], [simple("b")]), join("j2", "s", "b")]
    world = World(flow(fork("f1", inner, [simple("x")]), join("j1", "j2", "x")),
                  flow(simple("leaf"), name="c"))  # fmt: skip
    machine = world.start("w")
    child = world.machines[machine.task("s").sub_workflow_id or ""]
    child.work("leaf", "FAILED_WITH_TERMINAL_ERROR", output={"why": 1})
    world.settle()
    assert machine.list() == [
        "f1 COMPLETED", "f2 COMPLETED", "s FAILED", "b CANCELED", "j2 FAILED", "x CANCELED",
        "j1 CANCELED",
    ]  # fmt: skip
    assert machine.output.value == {"j2": {"s": {"subWorkflowId": child.id, "why": 1}}}
    assert machine.header is not None
    assert machine.header.failed_task_id == machine.task("s").id


def test_output_parameters_do_not_see_the_failing_member_of_an_open_join() -> None:
    """As recorded of a real server (fork_join_sync_mode, terminal)."""
    definition = flow(
        fork("f", *PAIR), join("j", "a", "b"),
        output_parameters={"a": "${j.output.a}", "own": "${a.output}"},
    )  # fmt: skip
    machine = Machine(definition).start()
    machine.work("a", "FAILED_WITH_TERMINAL_ERROR", output={"why": 1})
    assert machine.output.value == {"a": None, "own": {"why": 1}}


def test_a_join_that_was_ended_is_not_ended_again_by_its_child() -> None:
    inner = [fork("f2", [sub("s", "c")]), join("j2", "s")]
    machine = Machine(flow(fork("f1", inner, [simple("x")]), join("j1", "j2", "x"))).start()
    machine.report("j2")
    machine.report("s", "FAILED_WITH_TERMINAL_ERROR")
    assert machine.task("j2").status.value == "COMPLETED"
    assert machine.status == "FAILED"

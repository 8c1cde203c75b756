"""DO_WHILE: iterations, conditions, lists, what references mean, kept iterations, nested loops."""

from __future__ import annotations

from typing import Any

import pytest

from podium.engine.command import Retry
from podium.engine.transition import Evaluated
from podium.engine.validate import validate_workflow
from podium.model.execution import TaskStatus
from tests.engine.looping import LESS, Looping, loop, settled
from tests.engine.shapes import flow, fork, join, op, simple, switch, task_def


@pytest.mark.parametrize("whole", [True, False])
def test_s_394_s_398_the_body_runs_until_the_condition_is_false(*, whole: bool) -> None:
    machine = Looping(flow(loop(simple("a"), simple("b")), simple("c")), whole=whole).start()
    for number in (1, 2, 3):
        assert machine.task("l").output.value == {"iteration": number}
        machine.work(f"a__{number}", output={"at": number})
        machine.work(f"b__{number}")
    assert machine.list() == [
        "l COMPLETED", "a__1 COMPLETED", "b__1 COMPLETED", "a__2 COMPLETED", "b__2 COMPLETED",
        "a__3 COMPLETED", "b__3 COMPLETED", "c SCHEDULED",
    ]  # fmt: skip
    assert machine.join_output("l") == {
        "iteration": 3,
        "1": {"a": {"at": 1}, "b": {}},
        "2": {"a": {"at": 2}, "b": {}},
        "3": {"a": {"at": 3}, "b": {}},
    }
    machine.work("c")
    assert machine.status == "COMPLETED"


def test_s_409_a_reference_means_the_newest_iteration_inside_and_outside() -> None:
    reads = {"mine": "${a.output.at}", "later": "${b.output.at}", "n": "${l.output.iteration}"}
    body = [simple("a", input_parameters=reads), simple("b", input_parameters=reads)]
    machine = Looping(flow(loop(*body, n=2), simple("c", input_parameters=reads))).start()
    assert machine.task("a__1").input.value == {"mine": None, "later": None, "n": 1}
    machine.work("a__1", output={"at": "a1"})
    assert machine.task("b__1").input.value == {"mine": "a1", "later": None, "n": 1}
    machine.work("b__1", output={"at": "b1"})
    assert machine.task("a__2").input.value == {"mine": "a1", "later": "b1", "n": 2}
    machine.work("a__2", output={"at": "a2"})
    machine.work("b__2", output={"at": "b2"})
    assert machine.task("c").input.value == {"mine": "a2", "later": "b2", "n": 2}


def test_s_409_what_an_iteration_skipped_keeps_its_value_of_before() -> None:
    choice = switch("s", "${l.output.iteration}", {"1": [simple("once")]})
    reads = simple("c", input_parameters={"x": "${once.output.x}"})
    machine = Looping(flow(loop(choice, simple("a"), n=3), reads)).start()
    machine.work("once__1", output={"x": 7})
    for number in (1, 2, 3):
        machine.work(f"a__{number}")
    assert machine.task("c").input.value == {"x": 7}


def test_the_output_of_the_loop_is_read_as_a_whole_and_in_part() -> None:
    reads = {"all": "${l.output}", "one": "${l.output.2.a.at}", "gone": "${l.output.9}"}
    machine = Looping(flow(loop(simple("a"), n=2), simple("c", input_parameters=reads))).start()
    machine.work("a__1", output={"at": 1})
    machine.work("a__2", output={"at": 2})
    every = {"iteration": 2, "1": {"a": {"at": 1}}, "2": {"a": {"at": 2}}}
    assert machine.task("c").input.value == {"all": every, "one": 2, "gone": None}


@pytest.mark.parametrize(
    ("value", "again"),
    [(True, True), (False, False), (1, True), (0, False), (-1, False), (0.5, True), ("true", False),
     (None, False), ({}, False), ([1], False)],
)  # fmt: skip
def test_s_349_what_counts_as_true(value: Any, *, again: bool) -> None:
    machine = Looping(flow(loop(simple("a"))), conditions={LESS: lambda _: value}).start()
    machine.work("a__1")
    assert (machine.status == "RUNNING") is again


def test_s_399_the_condition_sees_parameters_the_loop_and_this_iterations_tasks() -> None:
    condition = "$.l['1']['a'] && $.a.at && $.b.at && $.n"
    seen: list[Any] = []
    body = [simple("a"), switch("s", "x", {"x": [simple("b")]}), simple("unread")]
    machine = Looping(
        flow(loop(*body, condition=condition, n="${workflow.input.n}")),
        conditions={condition: lambda value: seen.append(value) or len(seen) < 2},
    ).start({"n": 5})
    for number in (1, 2):
        machine.work(f"a__{number}", output={"at": number})
        machine.work(f"b__{number}", output={"at": -number})
        machine.work(f"unread__{number}", output={"x": 1})
    assert seen[0]["n"] == 5
    assert seen[0]["a"] == {"at": 1}
    assert seen[1]["a"] == {"at": 2}
    assert seen[1]["b"] == {"at": -2}
    assert "unread" not in seen[1]
    assert seen[1]["l"]["1"]["a"] == {"at": 1}
    assert seen[1]["l"]["2"]["unread"] == {"x": 1}
    assert machine.status == "COMPLETED"


def test_a_condition_that_reads_the_iteration_only_is_given_no_former_one() -> None:
    condition = """$.l.iteration < $.n && $.l["iteration"] && $['l']['iteration']"""
    seen: list[Any] = []
    conditions = {condition: seen.append}
    machine = Looping(flow(loop(simple("a"), condition=condition)), conditions=conditions).start()
    machine.work("a__1", output={"large": "x" * 1000})
    assert seen == [{"n": 3, "l": {"iteration": 1}}]


def test_s_401_a_condition_that_fails_fails_the_loop_for_good() -> None:
    machine = Looping(flow(loop(simple("a"))), conditions={LESS: lambda _: Evaluated(error="no")})
    machine.start()
    machine.work("a__1")
    assert machine.status == "FAILED"
    assert machine.task("l").status is TaskStatus.FAILED_WITH_TERMINAL_ERROR
    assert machine.task("l").reason == f"Unable to evaluate condition {LESS}, exception no"


def test_s_402_s_822_a_body_task_that_fails_ends_the_workflow() -> None:
    machine = Looping(flow(loop(simple("a")))).start()
    machine.work("a__1")
    machine.work("a__2", "FAILED")
    assert machine.status == "FAILED"
    assert machine.list() == ["l CANCELED", "a__1 COMPLETED", "a__2 FAILED"]
    assert machine.header is not None
    assert machine.header.failed_refs == ("a__2",)


def test_s_402_permissive_failures_fail_the_loop_at_the_end_of_their_iteration() -> None:
    body = [simple("a", permissive=True), simple("b")]
    machine = Looping(flow(loop(*body))).start()
    machine.work("a__1", "FAILED", reason="one")
    assert machine.status == "RUNNING"
    machine.work("b__1")
    assert machine.status == "FAILED"
    assert (machine.task("l").status, machine.task("l").reason) == (TaskStatus.FAILED, "one ")


def test_optional_failures_do_not_stop_the_loop_and_retries_are_waited_for() -> None:
    defs = {"a": task_def("a"), "b": task_def("b", retry_count=1)}
    body = [simple("a", optional=True), simple("b")]
    machine = Looping(flow(loop(*body, n=2)), task_defs=defs).start()
    machine.work("a__1", "FAILED")
    machine.work("b__1", "FAILED")
    assert machine.list()[-1] == "b__1 SCHEDULED"
    machine.work("b__1")
    machine.work("a__2")
    machine.work("b__2")
    assert machine.status == "COMPLETED"


def test_s_403_s_405_a_list_is_gone_through() -> None:
    reads = {"at": "${l.output.loopIndex}", "item": "${l.output.loopItem}"}
    always = "true"
    machine = Looping(
        flow(loop(simple("a", input_parameters=reads), condition=always,
                  items="${workflow.input.list}")),
        conditions={always: lambda _: True},
    ).start({"list": ["x", {"y": 1}]})  # fmt: skip
    assert machine.task("a__1").input.value == {"at": 0, "item": "x"}
    machine.work("a__1")
    assert machine.task("a__2").input.value == {"at": 1, "item": {"y": 1}}
    machine.work("a__2")
    assert machine.status == "COMPLETED"
    assert machine.task("l").output.value == {
        "iteration": 2, "loopIndex": 1, "loopItem": {"y": 1},
    }  # fmt: skip


@pytest.mark.parametrize(("given", "count"), [([], 0), (None, 0), ("one", 1), ({"a": 1}, 1)])
def test_s_403_s_404_lists_that_are_none(given: Any, count: int) -> None:
    machine = Looping(
        flow(loop(simple("a"), condition="true", given={"_items": "${workflow.input.x}"})),
        conditions={"true": lambda _: True},
    ).start({"x": given})
    for number in range(1, count + 1):
        machine.work(f"a__{number}")
    assert machine.status == "COMPLETED"
    assert machine.task("l").output.value["iteration"] == count


def test_s_406_s_407_the_list_is_evaluated_anew_and_the_condition_may_end_it() -> None:
    body = [simple("a"), op("SET_VARIABLE", "v", input_parameters={"list": "${a.output.list}"})]
    definition = flow(
        loop(*body, condition="$.loopIndex < 1", items="${workflow.variables.list}"),
        variables={"list": [1, 2, 3, 4]},
    )
    index: list[int] = []

    def condition(value: Any) -> bool:
        index.append(value["loopIndex"])
        return value["loopItem"] != 9

    machine = Looping(definition, conditions={"$.loopIndex < 1": condition}).start()
    machine.work("a__1", output={"list": [1, 9, 3]})
    machine.work("a__2", output={"list": [1, 9, 3]})
    assert machine.status == "COMPLETED"
    assert index == [0, 1]
    machine = Looping(definition, conditions={"$.loopIndex < 1": condition}).start()
    machine.work("a__1", output={"list": [1]})
    assert machine.status == "COMPLETED"


def test_s_408_only_the_last_iterations_are_kept() -> None:
    defs = {"a": task_def("a", retry_count=1)}
    body = [simple("a"), fork("f", [simple("b")], [simple("c")]), join("j", "b", "c")]
    machine = Looping(flow(loop(*body, n=5, given={"keepLastN": 2}), simple("end")),
                      task_defs=defs).start()  # fmt: skip
    for number in range(1, 6):
        machine.work(f"a__{number}", "FAILED")
        machine.work(f"a__{number}", output={"at": number})
        machine.work(f"b__{number}")
        machine.work(f"c__{number}", output={"c": 1})
    kept = {task.iteration[-1] for task in machine.tasks.values() if task.iteration}
    assert kept == {4, 5}
    assert set(machine.attempts) == {(machine.task(f"a__{number}").key, 0) for number in (4, 5)}
    assert machine.join_output("l").keys() == {"iteration", "4", "5"}
    assert machine.join_output("l")["5"]["j"] == {"c__5": {"c": 1}}
    machine.work("end")
    assert machine.status == "COMPLETED"


def test_records_per_iteration_do_not_grow_with_keep_last_n() -> None:
    machine = Looping(flow(loop(simple("a"), n=60, given={"keepLastN": 3}))).start()
    counts: list[tuple[int, ...]] = []
    for number in range(1, 60):
        before = len(machine.transitions)
        machine.work(f"a__{number}", output={"x": 1})
        done = machine.transitions[before:]
        counts.append(tuple(len(each.tasks) + len(each.removed) for each in done))
    assert set(counts[5:]) == {counts[5]}


def test_s_823_a_long_loop_of_instant_tasks_is_cut_and_goes_on() -> None:
    machine = Looping(flow(loop(op("NOOP", "a"), op("NOOP", "b"), n=700))).start()
    settled(machine)
    assert machine.status == "COMPLETED"
    assert machine.task("l").output.value == {"iteration": 700}
    assert len(machine.tasks) == 1 + 2 * 700
    assert max(len(each.tasks) for each in machine.transitions) <= 510


def test_a_loop_without_end_fails_at_the_limit_of_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podium.engine.schedule.TASKS_LIMIT", 1000)
    machine = Looping(flow(loop(op("NOOP", "a"), n=10**9, given={"keepLastN": 1}))).start()
    settled(machine)
    assert machine.status == "FAILED"
    assert machine.header is not None
    assert (machine.header.reason or "").startswith("expected at most 1000 tasks")


def test_a_timeout_of_the_loop_times_the_workflow_out() -> None:
    defs = {"l": task_def("l", timeout_seconds=10, timeout_policy="RETRY", retry_count=3)}
    machine = Looping(flow(loop(simple("a"))), task_defs=defs).start()
    machine.work("a__1")
    machine.due("l", "timeout")
    assert machine.status == "TIMED_OUT"
    assert machine.list() == ["l TIMED_OUT", "a__1 COMPLETED", "a__2 CANCELED"]


@pytest.mark.parametrize(
    ("task", "place"),
    [
        (loop(), "tasks[0].loopOver"),
        (loop(simple("a"), given={"keepLastN": 0}), "tasks[0].inputParameters.keepLastN"),
        (loop(simple("a"), given={"keepLastN": "2"}), "tasks[0].inputParameters.keepLastN"),
        (loop(simple("a", input_parameters={"x": "${gone.output}"})),
         "tasks[0].loopOver[0].inputParameters.x"),
        (loop(simple("a"), items="${gone.output}"), "tasks[0].items"),
        (loop(simple("l")), "tasks[0].loopOver[0].taskReferenceName"),
    ],
)  # fmt: skip
def test_s_036_what_a_loop_needs(task: Any, place: str) -> None:
    assert place in [problem.place for problem in validate_workflow(flow(task))]


def test_a_task_that_ends_and_is_pruned_in_one_commit_leaves_nothing_behind() -> None:
    """The first iteration waits for a worker, the others are over at once."""
    choice = op("SWITCH", "s", evaluator_type="value-param", expression="v",
                decision_cases={"1": [simple("a")]},
                input_parameters={"v": "${l.output.iteration}"})  # fmt: skip
    machine = Looping(flow(loop(choice, n=4, given={"keepLastN": 1}))).start()
    epoch = machine.grant("a__1").lease_epoch
    machine.report("a__1", lease_epoch=epoch)
    assert machine.list() == ["l COMPLETED", "s__4 COMPLETED"]


def test_s_394_an_iteration_of_a_loop_that_was_retried_has_all_its_retries() -> None:
    defs = {"a": task_def("a", retry_count=1), "b": task_def("b")}
    machine = Looping(flow(loop(simple("a"), simple("b"), n=2)), task_defs=defs).start()
    machine.work("a__1")
    machine.work("b__1", "FAILED")
    machine.send(Retry())
    machine.run_effects()
    machine.work("b__1")
    assert machine.task("l").retry_count == 1
    assert machine.task("a__2").retry_count == 0
    machine.work("a__2", "FAILED")
    assert machine.task("a__2").retry_count == 1
    machine.work("a__2")
    machine.work("b__2")
    assert machine.status == "COMPLETED"

"""Loops with forks, dynamic forks, children and loops in them, and loops in those."""

from __future__ import annotations

from typing import Any

from podium.model.execution import TaskStatus
from tests.engine.looping import LESS, Looping, loop, settled
from tests.engine.shapes import flow, fork, join, op, simple, sub, terminate


def test_s_374_forks_and_joins_in_a_loop() -> None:
    body = [fork("f", [simple("a")], [simple("b"), simple("c")]), join("j", "a", "c"), simple("d")]
    machine = Looping(flow(loop(*body, n=2))).start()
    for number in (1, 2):
        machine.work(f"a__{number}", output={"x": number})
        machine.work(f"b__{number}")
        assert machine.task(f"j__{number}").status is TaskStatus.IN_PROGRESS
        machine.work(f"c__{number}")
        assert machine.join_output(f"j__{number}") == {f"a__{number}": {"x": number}}
        machine.work(f"d__{number}")
    assert machine.status == "COMPLETED"


def test_a_branch_that_its_join_does_not_name_is_waited_for() -> None:
    body = [fork("f", [simple("a")], [simple("b")]), join("j", "a")]
    machine = Looping(flow(loop(*body, n=2))).start()
    machine.work("a__1")
    assert machine.task("l").output.value == {"iteration": 1}
    machine.work("b__1")
    assert machine.task("l").output.value == {"iteration": 2}


def test_dynamic_forks_in_a_loop_read_and_forget_their_branches() -> None:
    dynamic = op("FORK_JOIN_DYNAMIC", "f", dynamic_fork_tasks_param="dt",
                 dynamic_fork_tasks_input_param_name="di",
                 input_parameters={"dt": "${workflow.input.dt}", "di": {}})  # fmt: skip
    inner = {"name": "s", "taskReferenceName": "y", "type": "SWITCH",
             "evaluatorType": "value-param", "expression": "v", "inputParameters": {"v": "1"},
             "decisionCases": {"1": [{"name": "z", "taskReferenceName": "z"}]}}  # fmt: skip
    tasks = [{"name": "x", "taskReferenceName": "x"}, inner]
    reads = simple("r", input_parameters={"x": "${x.output.v}", "j": "${j.output}"})
    machine = Looping(
        flow(loop(dynamic, op("JOIN", "j"), reads, n=3, given={"keepLastN": 1})),
    ).start({"dt": tasks})
    for number in (1, 2, 3):
        machine.work(f"x__{number}", output={"v": number})
        machine.work(f"z__{number}")
        found: Any = machine.task(f"r__{number}").input.value
        assert found["x"] == number
        assert found["j"][f"x__{number}"] == {"v": number}
        machine.work(f"r__{number}")
    assert machine.status == "COMPLETED"
    assert {task.iteration for task in machine.tasks.values()} == {(), (3,)}
    assert len(machine.branches) == 2


def test_a_wide_fork_in_a_loop_is_created_in_portions_and_joined() -> None:
    given = {"forkTaskInputs": "${workflow.input.i}", "forkTaskName": "x", "forkTaskType": "NOOP"}
    dynamic = op("FORK_JOIN_DYNAMIC", "f", input_parameters=given)
    machine = Looping(flow(loop(dynamic, op("JOIN", "j"), n=2))).start({"i": [{}] * 700})
    settled(machine)
    assert machine.status == "COMPLETED"
    assert machine.task("l").output.value == {"iteration": 2}


def test_s_410_loops_within_loops() -> None:
    inner_condition = "$.i['iteration'] < 2"
    reads = {"a": "${a.output.at}", "i": "${i.output.iteration}", "l": "${l.output.iteration}"}
    inner = loop(simple("a", input_parameters=reads), ref="i", condition=inner_condition)
    definition = flow(loop(inner, simple("b"), n=2), simple("c", input_parameters=reads))
    machine = Looping(
        definition,
        conditions={
            LESS: lambda v: v["l"]["iteration"] < v["n"],
            inner_condition: lambda v: v["i"]["iteration"] < 2,
        },
    ).start()
    for outer in (1, 2):
        for number in (1, 2):
            found = machine.task(f"a__{outer}__{number}").input.value
            assert (found["i"], found["l"]) == (number, outer)
            machine.work(f"a__{outer}__{number}", output={"at": f"{outer}.{number}"})
        machine.work(f"b__{outer}")
    assert machine.task("c").input.value == {"a": "2.2", "i": 2, "l": 2}
    assert machine.join_output("l")["1"]["i"] == {
        "iteration": 2, "1": {"a": {"at": "1.1"}}, "2": {"a": {"at": "1.2"}},
    }  # fmt: skip
    machine.work("c")
    assert machine.status == "COMPLETED"


def test_inner_iterations_go_with_the_outer_one_that_is_not_kept() -> None:
    inner = loop(simple("a"), ref="i", condition="inner")
    machine = Looping(
        flow(loop(inner, n=3, given={"keepLastN": 1})),
        conditions={LESS: lambda v: v["l"]["iteration"] < 3,
                    "inner": lambda v: v["i"]["iteration"] < 2},
    ).start()  # fmt: skip
    for outer in (1, 2, 3):
        machine.work(f"a__{outer}__1")
        machine.work(f"a__{outer}__2")
    assert machine.status == "COMPLETED"
    assert {task.iteration[0] for task in machine.tasks.values() if task.iteration} == {3}


def test_two_loops_side_by_side() -> None:
    second = "$.m['iteration'] < 3"
    branches = [loop(simple("a"), n=2)], [loop(simple("b"), ref="m", condition=second)]
    machine = Looping(
        flow(fork("f", *branches), join("j", "l", "m")),
        conditions={LESS: lambda v: v["l"]["iteration"] < 2,
                    second: lambda v: v["m"]["iteration"] < 3},
    ).start()  # fmt: skip
    machine.work("a__1")
    machine.work("b__1")
    machine.work("b__2")
    machine.work("a__2")
    machine.work("b__3")
    assert machine.status == "COMPLETED"
    assert set(machine.join_output("j")) == {"l", "m"}


def test_s_373_a_loop_may_be_a_branch_of_a_dynamic_fork() -> None:
    element = {"name": "l", "taskReferenceName": "l", "type": "DO_WHILE", "loopCondition": LESS,
               "inputParameters": {"n": 2},
               "loopOver": [{"name": "a", "taskReferenceName": "a"},
                            {"name": "b", "taskReferenceName": "b",
                             "inputParameters": {"x": "${a.output.at}"}}]}  # fmt: skip
    dynamic = op("FORK_JOIN_DYNAMIC", "f", dynamic_fork_tasks_param="dt",
                 dynamic_fork_tasks_input_param_name="di",
                 input_parameters={"dt": "${workflow.input.dt}", "di": {}})  # fmt: skip
    machine = Looping(flow(dynamic, op("JOIN", "j"))).start({"dt": [element]})
    for number in (1, 2):
        machine.work(f"a__{number}", output={"at": number})
        assert machine.task(f"b__{number}").input.value == {"x": number}
        machine.work(f"b__{number}")
    assert machine.status == "COMPLETED"
    assert machine.join_output("j")["l"]["2"]["a"] == {"at": 2}


def test_a_terminate_in_a_loop_ends_the_workflow() -> None:
    machine = Looping(flow(loop(simple("a"), terminate("t", "COMPLETED")))).start()
    machine.work("a__1")
    assert machine.status == "COMPLETED"
    assert machine.list() == ["l CANCELED", "a__1 COMPLETED", "t__1 COMPLETED"]


def test_each_iteration_starts_a_child_of_its_own() -> None:
    machine = Looping(flow(loop(sub("s", "child"), n=2))).start()
    first = machine.task("s__1").sub_workflow_id
    machine.report("s__1")
    assert machine.task("s__2").sub_workflow_id not in (None, first)

"""Reference scenarios (section 13) that the engine's own tests do not play to their end."""

from __future__ import annotations

from typing import Any

import pytest

from podium.engine.command import Rerun, Retry, SkipTask
from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.engine.transition import Evaluated
from tests.engine.looping import LESS, Looping, loop
from tests.engine.machine import Machine
from tests.engine.shapes import flow, fork, join, op, simple, sub, task_def
from tests.engine.world import World


@pytest.mark.parametrize("done_first", [False, True])
def test_s_799_s_800_a_retry_after_a_workflow_timeout(*, done_first: bool) -> None:
    definition = flow(simple("t1"), simple("t2"), timeout_seconds=5, timeout_policy="TIME_OUT_WF")
    machine = Machine(definition).start()
    if done_first:
        machine.work("t1")
    else:
        machine.grant("t1")
    machine.due("", "workflow")
    assert machine.status == "TIMED_OUT"
    assert machine.header is not None
    assert machine.header.last_retried_ms == 0
    assert machine.task("t1").status.value == ("COMPLETED" if done_first else "CANCELED")
    machine.send(Retry())
    assert machine.status == "RUNNING"
    assert machine.header.last_retried_ms == machine.now_ms
    if done_first:
        assert machine.list()[0] == "t1 COMPLETED"
        assert machine.list()[-1] == "t2 SCHEDULED"
    else:
        assert machine.list() == ["t1 CANCELED", "t1 SCHEDULED"]


def test_s_804_a_task_is_skipped_before_it_is_reached() -> None:
    machine = Machine(flow(simple("t1"), simple("t2"), simple("t3"))).start()
    machine.send(SkipTask(ref="t2"))
    assert sorted(machine.list()) == ["t1 SCHEDULED", "t2 SKIPPED"]
    machine.work("t1")
    assert machine.list()[-1] == "t3 SCHEDULED"
    machine.work("t3")
    assert (machine.status, len(machine.list())) == ("COMPLETED", 3)


def test_s_806_a_rerun_of_a_completed_workflow() -> None:
    machine = Machine(flow(simple("t1"), simple("t2"))).start()
    machine.work("t1")
    machine.work("t2")
    first = machine.task("t1").id
    machine.send(Rerun(task_ids=(machine.task("t2").id,)))
    assert machine.list() == ["t1 COMPLETED", "t2 SCHEDULED"]
    machine.work("t2")
    machine.send(Rerun())
    assert machine.list() == ["t1 SCHEDULED"]
    assert machine.task("t1").id != first


def test_s_810_a_task_that_is_not_registered() -> None:
    machine = Machine(flow(simple("ref", "unknown"))).start()
    task = machine.task("ref")
    assert (task.def_name, task.task_type) == ("unknown", "unknown")
    assert machine.list() == ["ref SCHEDULED"]


def test_s_811_an_input_template_keeps_types() -> None:
    template = {
        "map": {"in": ["${workflow.input.list}", {"n": "${workflow.input.n}"}]},
        "whole": "${workflow.input.map}",
    }
    kind = task_def("t", input_template=template)
    machine = Machine(flow(simple("t")), task_defs={"t": kind})
    machine.start({"list": [1, "a"], "n": 42, "map": {"k": [True]}})
    assert machine.task("t").input.value == {
        "map": {"in": [[1, "a"], {"n": 42}]}, "whole": {"k": [True]},
    }  # fmt: skip


def test_s_815_a_permissive_fork_is_retried_with_its_join_in_place() -> None:
    definition = flow(
        fork("f", [simple("t1", permissive=True)], [simple("t2")]), join("j", "t1", "t2")
    )
    machine = Machine(definition, task_defs={"t1": task_def("t1")}).start()
    machine.work("t1", "FAILED")
    machine.work("t2")
    assert machine.list()[-1] == "j FAILED"
    before = machine.task("j").id
    machine.send(Retry())
    assert machine.list() == [
        "f COMPLETED", "t1 FAILED", "t2 COMPLETED", "j IN_PROGRESS", "t1 SCHEDULED",
    ]  # fmt: skip
    assert machine.task("j").id == before
    machine.work("t1")
    assert machine.status == "COMPLETED"


def test_s_816_a_child_is_rerun_beside_a_parent_that_completed() -> None:
    world = World(
        flow(
            fork("f", [sub("s1", "c", optional=True)], [sub("s2", "c", optional=True)]),
            join("j", "s1", "s2"),
        ),
        flow(simple("x"), name="c"),
    )
    machine = world.start("w")
    children = [world.machines[machine.task(ref).sub_workflow_id or ""] for ref in ("s1", "s2")]
    for child in children:
        child.work("x", "FAILED_WITH_TERMINAL_ERROR")
        world.settle()
    before = machine.list()
    assert machine.status == "COMPLETED"
    children[0].now_ms += 10
    children[0].send(Rerun())
    world.settle()
    assert children[0].status == "RUNNING"
    assert (machine.status, machine.list()) == ("COMPLETED", before)


class Scripted(Looping):
    """A loop whose body has programs as well."""

    def answer(self, need: Any) -> Any:
        if getattr(need, "program", LESS) != LESS:
            return Evaluated([1] if need.language == "jq" else 1)
        return super().answer(need)


def test_s_821_a_loop_of_programs_and_workers() -> None:
    script = op("LAMBDA", "x", input_parameters={"scriptExpression": "return 1"})
    jq = {"input_parameters": {"queryExpression": "."}}
    tasks = [script, op("JSON_JQ_TRANSFORM", "q1", **jq), simple("t1"),
             op("JSON_JQ_TRANSFORM", "q2", **jq), simple("t2")]  # fmt: skip
    kinds = {"t1": task_def("t1"), "t2": task_def("t2")}
    machine = Scripted(flow(loop(*tasks, n=2)), task_defs=kinds).start()
    first = ["x__1 COMPLETED", "q1__1 COMPLETED"]
    assert machine.list() == ["l IN_PROGRESS", *first, "t1__1 SCHEDULED"]
    machine.work("t1__1")
    machine.work("t2__1")
    assert machine.list()[6:] == ["x__2 COMPLETED", "q1__2 COMPLETED", "t1__2 SCHEDULED"]
    assert len(machine.list()) == 9


def test_s_832_a_join_output_over_the_limit_fails_the_workflow() -> None:
    machine = Machine(flow(fork("f", [simple("a")], [simple("b")]), join("j", "a", "b"))).start()
    for ref in ("a", "b"):
        machine.work(ref, output={"v": "x" * (PAYLOAD_BYTES_LIMIT // 2 + 1)})
    assert machine.status == "FAILED"
    assert machine.output.value == {}
    assert not machine.task("j").output


def test_s_827_three_levels_are_retried_from_above() -> None:
    world = World(
        flow(sub("s", "mid"), name="root"),
        flow(sub("m", "leaf"), name="mid"),
        flow(simple("a"), name="leaf"),
        task_defs={"a": task_def("a")},
    )
    root = world.start("root")
    old = dict(world.machines)
    mid = world.machines[root.task("s").sub_workflow_id or ""]
    leaf = world.machines[mid.task("m").sub_workflow_id or ""]
    leaf.work("a", "FAILED")
    world.settle()
    assert {each.status for each in old.values()} == {"FAILED"}
    world.now_ms += 10
    for each in old.values():
        each.now_ms += 10
    root.send(Retry())
    world.settle()
    assert (root.status, mid.status, leaf.status) == ("RUNNING", "FAILED", "FAILED")
    assert len(world.machines) == 5

"""A join's members stand in the loop that the join is in (S-383)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from podium.engine.problem import Problem
from podium.engine.validate import validate_workflow
from tests.engine.shapes import flow, fork, join, op, simple, switch

if TYPE_CHECKING:
    from podium.model.definition import WorkflowDef, WorkflowTask


def loop(ref: str, *tasks: WorkflowTask) -> WorkflowTask:
    return op("DO_WHILE", ref, loop_over=list(tasks), loop_condition="false")


FORK = fork("f", [simple("a")], [loop("l", simple("b"), simple("c"))])


@pytest.mark.parametrize(
    "definition",
    [
        flow(FORK, join("j", "a", "l")),
        flow(loop("o", FORK, join("j", "a", "l"))),
        flow(fork("f", [switch("s", 1, {"1": [simple("a")]})]), join("j", "a")),
        flow(loop("o", simple("a"), op("EXCLUSIVE_JOIN", "x", join_on=["a", "l"]), loop("l",
             simple("b")))),
        flow(op("FORK_JOIN_DYNAMIC", "f", dynamic_fork_join_tasks_param="k"), join("j", "b"),
             loop("l", simple("b"))),
        flow(op("FORK_JOIN_DYNAMIC", "f", dynamic_fork_join_tasks_param="k"), join("j"),
             op("EXCLUSIVE_JOIN", "x", join_on=["made"])),
    ],
)  # fmt: skip
def test_members_beside_the_join_are_accepted(definition: WorkflowDef) -> None:
    assert not validate_workflow(definition)


@pytest.mark.parametrize(
    ("definition", "place", "message"),
    [
        (flow(FORK, join("j", "a", "b")), "tasks[1].joinOn[1]",
         "expected a task outside of loops, as this join is, found b directly in the loop l"),
        (flow(simple("x"), loop("o", FORK, join("j", "x"))), "tasks[1].loopOver[1].joinOn[0]",
         "expected a task directly in the loop o, as this join is, found x outside of loops"),
        (flow(loop("o", FORK, join("j", "c"))), "tasks[0].loopOver[1].joinOn[0]",
         "expected a task directly in the loop o, as this join is, found c directly in the loop l"),
        (flow(loop("o", simple("x")), loop("p", op("EXCLUSIVE_JOIN", "e", join_on=["x"]))),
         "tasks[1].loopOver[0].joinOn[0]",
         "expected a task directly in the loop p, as this join is, found x directly in the loop o"),
        (flow(simple("x"), loop("o", op("EXCLUSIVE_JOIN", "e", join_on=["y"],
              default_exclusive_join_task=["x"]), simple("y"))),
         "tasks[1].loopOver[0].defaultExclusiveJoinTask[0]",
         "expected a task directly in the loop o, as this join is, found x outside of loops"),
        (flow(loop("o", op("EXCLUSIVE_JOIN", "e", join_on=["o"]))),
         "tasks[0].loopOver[0].joinOn[0]",
         "expected a task directly in the loop o, as this join is, found o outside of loops"),
        (flow(op("FORK_JOIN_DYNAMIC", "f", dynamic_fork_join_tasks_param="k"), join("j"),
              op("EXCLUSIVE_JOIN", "e", join_on=["made", "y"]), loop("o", simple("y"))),
         "tasks[2].joinOn[1]",
         "expected a task outside of loops, as this join is, found y directly in the loop o"),
    ],
)  # fmt: skip
def test_members_of_another_loop_are_refused(
    definition: WorkflowDef, place: str, message: str
) -> None:
    assert validate_workflow(definition) == [Problem(place, message)]

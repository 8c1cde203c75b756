"""What is generated holds every nesting, every flag and every end."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

from tests.reference.generator import DEPTH_MAX, KINDS, make_case
from tests.reference.test_nestings import by_model

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

SEEDS = range(100)
AROUND = ["SWITCH", "FORK_JOIN", "DO_WHILE"]


def inside(task: Json) -> Iterator[Json]:
    bodies = [*task.get("decisionCases", {}).values(), *task.get("forkTasks", [])]
    for body in [*bodies, task.get("defaultCase", []), task.get("loopOver", [])]:
        yield from body


def nestings(tasks: list[Json], around: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The kinds from the outermost to each task."""
    for task in tasks:
        path = (*around, task["type"])
        yield path
        yield from nestings(list(inside(task)), path)


def test_each_kind_is_in_each_other_up_to_the_depth() -> None:
    found = {
        path
        for seed in SEEDS
        for definition in make_case(seed).definitions
        for path in nestings(definition["tasks"])
    }
    pairs = {path[at : at + 2] for path in found for at in range(len(path) - 1)}
    assert pairs >= set(product(AROUND, [*KINDS, "JOIN"]))
    assert max(map(len, found)) == DEPTH_MAX + 1


def test_a_seed_gives_the_same_definitions_again() -> None:
    assert make_case(7) == make_case(7)
    assert make_case(7).definitions != make_case(8).definitions


def test_every_status_is_reached() -> None:
    runs = [run for seed in SEEDS for run in by_model(make_case(seed)).values()]
    assert {run["status"] for run in runs} == {"COMPLETED", "FAILED", "TERMINATED", "RUNNING"}
    tasks = [task for run in runs for task in run["tasks"]]
    assert {attempt for _, attempt, _ in tasks} == {0, 1, 2}
    assert {status for _, _, status in tasks} >= {
        "COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED", "FAILED_WITH_TERMINAL_ERROR", "CANCELED",
    }  # fmt: skip

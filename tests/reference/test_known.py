"""Where the engine is known to differ from the facts: the least definition of each difference.

The model follows the fact. The engine's test fails until the engine is changed; then its mark goes,
and with it the fact's entry in KNOWN (test_nestings.py) and its place in the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.reference.generator import Case
from tests.reference.test_nestings import KNOWN, by_engine, by_model

Json = dict[str, Any]
Tasks = list[tuple[str, int, str]]


@dataclass(frozen=True)
class Told:
    """One reference fails, everything else completes."""

    failing: str

    def rank(self, place: str, attempt: int) -> float:
        return 0.0

    def outcome(self, place: str, attempt: int) -> str:
        return "FAILED" if place == f"root/{self.failing}" else "COMPLETED"

    def output(self, place: str, attempt: int) -> Json:
        return {}


def op(kind: str, ref: str, **fields: Any) -> Json:
    name = "retried0" if kind == "SIMPLE" else ref
    return {"type": kind, "name": name, "taskReferenceName": ref, **fields}


INNER = [op("FORK_JOIN", "g", forkTasks=[[op("SIMPLE", "a", optional=True)]]),
         op("JOIN", "k", joinOn=["a"])]  # fmt: skip
JOINS = [op("FORK_JOIN", "f", forkTasks=[INNER]), op("JOIN", "j", joinOn=["k"])]
LOOP = op("DO_WHILE", "l", loopOver=[op("SIMPLE", "a")])
BEGINS = [op("FORK_JOIN", "f", forkTasks=[[LOOP], [op("SIMPLE", "b")]]),
          op("JOIN", "j", joinOn=["l", "b"])]  # fmt: skip
KEEPS = [op("DO_WHILE", "l", loopOver=[op("SIMPLE", "a")],
            inputParameters={"_items": [1, 2], "keepLastN": 1})]  # fmt: skip

CASES: dict[str, tuple[list[Json], str, Tasks]] = {
    "S-201": (BEGINS, "", [
        ("f", 0, "COMPLETED"), ("l", 0, "COMPLETED"), ("b", 0, "COMPLETED"),
        ("j", 0, "COMPLETED"), ("a__1", 0, "COMPLETED"),
    ]),
    "S-382": (JOINS, "a", [
        ("f", 0, "COMPLETED"), ("g", 0, "COMPLETED"), ("a", 0, "COMPLETED_WITH_ERRORS"),
        ("k", 0, "COMPLETED_WITH_ERRORS"), ("j", 0, "COMPLETED"),
    ]),
    "S-408": (KEEPS, "a__2", [("l", 0, "CANCELED"), ("a__2", 0, "FAILED")]),
}  # fmt: skip
"""Definition, what fails in it, and what the fact says of it."""


def case_of(fact: str) -> Case:
    tasks, failing, _ = CASES[fact]
    return Case(0, [{"name": "root", "version": 1, "tasks": tasks}], Told(failing))


def test_each_known_difference_has_a_definition() -> None:
    assert CASES.keys() == KNOWN.keys()


@pytest.mark.parametrize("fact", CASES)
def test_the_model_follows_the_fact(fact: str) -> None:
    assert by_model(case_of(fact), ())["root"]["tasks"] == CASES[fact][2]


@pytest.mark.parametrize(
    "fact", [pytest.param(each, marks=pytest.mark.xfail(reason=KNOWN[each])) for each in CASES]
)
def test_the_engine_follows_the_fact(fact: str) -> None:
    assert by_engine(case_of(fact))["root"]["tasks"] == CASES[fact][2]

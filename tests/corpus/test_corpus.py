"""Real definitions end to end: every one that can run, in three variants, over real gRPC.

The judge is what a real Conductor did (runs.json) where it was recorded, and the facts else; see
expectation.py. Which definitions cannot run yet, and why, is a list of its own (inventory.json).
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from tests.corpus.definitions import (
    KITCHEN_SINKS,
    OLD_KITCHEN_SINK,
    corpus_files,
    obstacles,
    read,
)
from tests.corpus.driver import VARIANTS, Conductor, Variant
from tests.corpus.expectation import (
    INVENTORY,
    RUNS,
    Expectation,
    known_facts,
    without_ids,
    without_nulls,
)
from tests.corpus.running import (
    EXPECTATIONS,
    comes_to_what_is_expected,
    each_case,
    knowing_all,
    run,
)
from tests.corpus.search_stub import search_stub
from tests.corpus.serving import closed_port, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNNABLE_LEAST = 27


@pytest.fixture(scope="module")
def conductor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conductor]:
    """A client of a server that knows every definition the expectations speak of."""
    with serving(tmp_path_factory.mktemp("corpus"), closed_port()) as address:
        yield from knowing_all(address)


@pytest.fixture(scope="module")
def searching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conductor]:
    """As `conductor`, of a server whose HTTP tasks find a search engine."""
    with serving(tmp_path_factory.mktemp("searching"), search_stub()) as address:
        yield from knowing_all(address)


@each_case
def test_a_definition_runs_as_expected(
    conductor: Conductor, searching: Conductor, expected: Expectation, variant: Variant
) -> None:
    client = searching if expected.search else conductor
    comes_to_what_is_expected(client, expected, variant)


@each_case
def test_an_expectation_is_the_recorded_run_or_better(
    expected: Expectation, variant: Variant
) -> None:
    # given the run of this definition with this input and these answers, if there is one
    recorded = read(RUNS).get(expected.run_key(variant))
    if expected.search or expected.answers or (recorded or {}).get("input") != expected.input:
        recorded = None
    assert (recorded is not None) == expected.recorded
    wanted = expected.variants[variant]
    if recorded is None:
        assert not wanted.better
        return

    # then it is the same, but for what is listed with a reason
    differs = {
        "status": wanted.status != recorded["status"],
        "tasks": sorted(wanted.tasks) != sorted(recorded["tasks"]),
        "output": without_nulls(wanted.output) != without_nulls(without_ids(recorded["output"])),
    }
    assert {key for key, different in differs.items() if different} == set(wanted.better)
    assert all(reason.startswith("S-") for reason in wanted.better.values())


def test_every_expectation_names_facts_that_exist() -> None:
    facts = known_facts()
    for expected in EXPECTATIONS.values():
        assert expected.facts, expected.name
        assert set(expected.facts) <= facts, expected.name


def test_every_definition_that_can_run_is_run_and_the_others_have_a_reason() -> None:
    # given all documents of the corpus
    known = {file: read(file) for file in corpus_files()}
    inventory: dict[str, str] = json.loads(INVENTORY.read_bytes())

    # when their operators are looked at
    found = {file: "; ".join(obstacles(file, known)) or "runs" for file in known}

    # then the inventory says the same, and what runs has its expectation
    sinks = dict.fromkeys([*KITCHEN_SINKS, OLD_KITCHEN_SINK], "runs")
    assert {**found, **sinks} == inventory
    runnable = {file for file, reason in inventory.items() if reason == "runs"}
    assert runnable == {each.definition for each in EXPECTATIONS.values()}
    assert len(runnable.difference(sinks)) >= RUNNABLE_LEAST

    # and no recorded run of it is left out
    stems = {PurePosixPath(file).stem for file in runnable}
    runs = {key for key in read(RUNS) if key.partition("/")[0] in stems}
    judged = [each for each in EXPECTATIONS.values() if each.recorded]
    assert runs == {each.run_key(variant) for each in judged for variant in VARIANTS}


def test_a_worker_that_answers_otherwise_is_noticed(conductor: Conductor) -> None:
    # given a definition whose output is its last worker's
    expected = EXPECTATIONS["simple_workflow_3_integration_test"]

    # when it is driven by another variant's script
    found = run(conductor, expected, "retry")

    # then it is not what the variant without a failure must come to
    assert found.tasks != expected.variants["ok"].tasks
    assert found.tasks == expected.variants["retry"].tasks

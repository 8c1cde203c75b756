"""The corpus again, on servers that cannot trust what they remember of an execution.

Once with the executor's cache off, and once with every command decided by two executors in turn on
one store: what a definition comes to must not depend on what is in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.corpus.driver import VARIANTS
from tests.corpus.running import EXPECTATIONS, comes_to_what_is_expected, each_case, knowing_all
from tests.corpus.search_stub import search_stub
from tests.corpus.serving import closed_port, last_words, module, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from tests.corpus.driver import Conductor, Variant
    from tests.corpus.expectation import Expectation

PROGRAMS = ("uncached", "alternating")
WITH_CHILDREN = "nested_fork_join_with_sub_workflow_integration_test"


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return module(request.param)


@pytest.fixture(scope="module")
def conductor(
    program: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Conductor]:
    with serving(tmp_path_factory.mktemp("corpus"), closed_port(), program) as address:
        yield from knowing_all(address)


@pytest.fixture(scope="module")
def searching(
    program: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Conductor]:
    """As `conductor`, of a server whose HTTP tasks find a search engine."""
    with serving(tmp_path_factory.mktemp("searching"), search_stub(), program) as address:
        yield from knowing_all(address)


@each_case
def test_a_definition_runs_as_expected_all_the_same(
    conductor: Conductor, searching: Conductor, expected: Expectation, variant: Variant
) -> None:
    client = searching if expected.search else conductor
    comes_to_what_is_expected(client, expected, variant)


def test_without_a_cache_each_decision_reads_the_store(tmp_path: Path) -> None:
    # given a server that would have kept an execution after each of its commits
    counted = run_one(tmp_path, "uncached")

    # then it looked for them in vain, again and again
    assert 0 < counted["refused"] < counted["missed"]


def test_two_executors_in_turn_find_what_they_remember_outdated(tmp_path: Path) -> None:
    # given two executors, each of which decided about half of the commands
    counted = run_one(tmp_path, "alternating")
    assert min(counted["decisions"]) * 3 > max(counted["decisions"])

    # then each was refused by the store, since the other was faster
    assert min(counted["conflicts"]) > 0


def run_one(folder: Path, program: str) -> dict[str, Any]:
    """Run a definition with children in all variants; answers what the server counted."""
    with serving(folder, closed_port(), module(program)) as address:
        for client in knowing_all(address):
            for variant in VARIANTS:
                comes_to_what_is_expected(client, EXPECTATIONS[WITH_CHILDREN], variant)
    return last_words(folder)

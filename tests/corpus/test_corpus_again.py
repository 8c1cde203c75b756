"""The corpus again, on servers that cannot trust what they remember of an execution.

Once with the executor's cache off, and once with every command decided by two executors in turn on
one store: what a definition comes to must not depend on what is in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.corpus.running import comes_to_what_is_expected, each_case, knowing_all
from tests.corpus.search_stub import search_stub
from tests.corpus.serving import closed_port, module, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.corpus.driver import Conductor, Variant
    from tests.corpus.expectation import Expectation

PROGRAMS = ("uncached", "alternating")
WITH_CHILDREN = "kitchensink"


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

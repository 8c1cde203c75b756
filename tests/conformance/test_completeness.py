"""What completeness.py promises: a whole run judges the named tests, a partial one does not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.conformance.facts import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

PLUGIN = """
from tests.conformance.completeness import Completeness

def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        named = {"S-001": "test_it.py::test_one", "S-002": "test_it.py::test_two"}
        config.pluginmanager.register(Completeness(named))
"""
GOOD = """
import pytest

def test_one(): pass

@pytest.mark.parametrize("n", [1, 2])
def test_two(n): pass

def test_unnamed(): pytest.skip("x")
"""
BARE = ("-p", "no:asyncio", "-p", "no:randomly", "-p", "no:timeout", "-p", "no:cacheprovider")
TITLE = "*facts without the test that shows them*"


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "server")]))
    for name in ("SKIP", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)
    pytester.makeini("[pytest]\ntestpaths = .")
    pytester.makeconftest(PLUGIN)

    def runner(text: str, *args: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=text)
        return pytester.runpytest_subprocess(*BARE, *args)

    return runner


@pytest.mark.parametrize("processes", [(), ("-n", "2")])
def test_a_whole_run_in_which_all_named_tests_pass_is_fine(run, processes: Sequence[str]) -> None:
    result = run(GOOD, *processes)
    assert result.ret == 0
    result.stdout.no_fnmatch_line(TITLE)


@pytest.mark.parametrize("processes", [(), ("-n", "2")])
@pytest.mark.parametrize(
    ("text", "found"),
    [
        (GOOD.replace("def test_one(): pass", "def test_one(): pytest.skip('x')"), "skipped"),
        (GOOD.replace("def test_one(): pass", ""), "not run"),
        (GOOD.replace("def test_one(): pass", "def test_one(absent): pass"), "failed"),
    ],
)
def test_a_named_test_that_did_not_pass_fails_the_run(
    run, processes: Sequence[str], text: str, found: str
) -> None:
    result = run(text, *processes)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [TITLE, f"S-001: expected test_it.py::test_one to pass, found {found}"]
    )


def test_one_case_that_is_skipped_fails_the_run(run) -> None:
    result = run(GOOD.replace("def test_two(n): pass", "def test_two(n): n > 1 or pytest.skip()"))
    assert result.ret == 1
    result.stdout.fnmatch_lines(["S-002: expected test_it.py::test_two to pass, found *skipped*"])


@pytest.mark.parametrize(
    "choice", [("-k", "two"), ("test_it.py",), ("--deselect", "test_it.py::test_one")]
)
def test_a_partial_run_is_not_judged(run, choice: Sequence[str]) -> None:
    result = run(GOOD.replace("def test_one(): pass", "def test_one(): pytest.skip()"), *choice)
    assert result.ret == 0
    result.stdout.no_fnmatch_line(TITLE)


def test_a_run_with_parts_left_out_is_not_judged(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKIP", "strace")
    assert run(GOOD.replace("def test_one(): pass", "")).ret == 0

"""What tests/parts.py promises: an absent part stops its tests, SKIP= leaves them out, counted."""

from collections.abc import Iterator

import pytest

from tests import parts

BARE = ("-p", "tests.parts", "-p", "no:asyncio", "-p", "no:randomly", "-p", "no:timeout")

ONE_TEST_NEEDS_STRACE = """
import pytest

@pytest.mark.part("strace")
def test_traced(): pass

def test_plain(): pass
"""


@pytest.fixture(autouse=True)
def no_strace(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without strace."""
    absent = parts.Part(("podium-no-such-program",), "apt-get install -y strace")
    monkeypatch.setitem(parts.PARTS, "strace", absent)
    monkeypatch.delenv("SKIP", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    parts.is_present.cache_clear()
    yield
    parts.is_present.cache_clear()  # the tests after this one ask the real machine


def test_absent_part_stops_its_test_with_the_line_that_installs_it(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(ONE_TEST_NEEDS_STRACE)

    result = pytester.runpytest_inprocess(*BARE)

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["apt-get install -y strace: expected a working strace*"])


def test_skip_leaves_the_part_out_and_the_last_line_counts_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(ONE_TEST_NEEDS_STRACE)
    monkeypatch.setenv("SKIP", "strace")

    result = pytester.runpytest_inprocess(*BARE)

    result.assert_outcomes(passed=1, skipped=1)
    assert "1 passed, 1 skipped" in result.outlines[-1]


def test_unknown_part_is_refused(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(ONE_TEST_NEEDS_STRACE)
    monkeypatch.setenv("SKIP", "strase")

    result = pytester.runpytest_inprocess(*BARE)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*expected names of *strace*, found *strase*"])

"""A whole run fails where a test that a fact names did not run and pass.

Whole = without paths, choices (-k, -m, --deselect, --ignore, --lf) or SKIP=, and not stopped before
its end. Any other run is a partial one, and not judged. With xdist the controller judges: the
outcomes of all processes come to it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import pytest

from tests.conformance.facts import HELD, verdicts
from tests.parts import left_out

if TYPE_CHECKING:
    from collections.abc import Mapping

CHOICES: Final = ("keyword", "markexpr", "deselect", "ignore", "ignore_glob", "lf", "stepwise")
RAN: Final = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


class Completeness:
    """A plugin. `named` = fact → its test, as `file::name`."""

    def __init__(self, named: Mapping[str, str]) -> None:
        self._named = named
        self._tests = frozenset(named.values())
        self._outcomes: dict[str, set[str]] = defaultdict(set)
        self._wrong: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of one test; setup and teardown count where they did not pass."""
        test = report.nodeid.partition("[")[0]
        if test in self._tests and (report.when == "call" or report.outcome != "passed"):
            self._outcomes[test].add(report.outcome)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus not in RAN or not is_whole(session):
            return
        for fact, test in self._named.items():
            found = self._outcomes.get(test, {"not run"})
            if found != {"passed"}:
                self._wrong.append(f"{fact}: expected {test} to pass, found {', '.join(found)}")
        if self._wrong:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._wrong:
            terminalreporter.section("facts without the test that shows them", red=True)
            for line in sorted(self._wrong):
                terminalreporter.line(line)


def is_whole(session: pytest.Session) -> bool:
    """Whether everything was asked for and nothing stopped the run."""
    config = session.config
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS or left_out():
        return False
    chosen = any(config.getoption(name, default=None) for name in CHOICES)
    return not (chosen or session.shouldfail or session.shouldstop)


def pytest_configure(config: pytest.Config) -> None:
    """In the process that hears of all outcomes."""
    if not hasattr(config, "workerinput"):
        held = {fact: each.test for fact, each in verdicts().items() if each.kind in HELD}
        config.pluginmanager.register(Completeness(held), "completeness of facts")

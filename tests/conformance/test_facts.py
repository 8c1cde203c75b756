"""Every fact has one verdict, every named test exists and runs, and most facts are held."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conformance.facts import (
    ENGINE,
    HELD,
    ROOT,
    SECTIONS,
    defined_tests,
    held_share,
    read,
    report,
    verdicts,
)

SEMANTICS = Path("/work/shared/contract/semantics.md")
HELD_LEAST = 0.90
"""Of sections 1-6, 9 and 13."""


def test_the_sections_follow_each_other() -> None:
    after = 1
    for section in SECTIONS:
        assert section.first == after
        after = section.last + 1
    assert after == 839


@pytest.mark.skipif(not SEMANTICS.is_file(), reason="the facts are not on this machine")
def test_the_sections_hold_the_numbers_of_the_facts() -> None:
    found: dict[int, list[str]] = {}
    section = 0
    for line in SEMANTICS.read_text(encoding="utf-8").splitlines():
        if title := re.match(r"## (\d+)\. ", line):
            section = int(title[1])
        if fact := re.match(r"(?:- |\| )(S-\d{3})\b", line):
            found.setdefault(section, []).append(fact[1])
    assert found == {each.number: each.facts for each in SECTIONS}


def test_every_fact_has_one_verdict_and_nothing_else_has() -> None:
    expected = [fact for section in SECTIONS for fact in section.facts]
    assert list(verdicts()) == expected


@pytest.mark.parametrize(
    "entry",
    [{}, {"kept": "t", "later": "x"}, {"better": "x"}, {"later": ""}, {"test": "t"}, {"odd": "x"}],
)
def test_an_entry_of_another_form_is_named(entry: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="S-001: expected one verdict"):
        read("S-001", entry)


def test_every_named_test_exists_where_tests_are_collected() -> None:
    wrong: dict[str, str] = {}
    for fact, verdict in verdicts().items():
        if verdict.kind not in HELD:
            continue
        file, _, name = verdict.test.partition("::")
        path = ROOT / file
        collected = file.startswith("tests/") and path.name.startswith("test_") and path.is_file()
        if not collected or name not in defined_tests(file):
            wrong[fact] = verdict.test
    assert not wrong


def test_most_facts_about_the_engine_are_held() -> None:
    assert held_share(ENGINE) >= HELD_LEAST, "\n".join(report())

"""The facts about Conductor with their verdicts (facts.toml), and counts of them: `make facts`.

The facts themselves are texts outside of this repository; here are their numbers, by section.
"""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
FACTS: Final = Path(__file__).with_name("facts.toml")
VERDICTS: Final = ("kept", "better", "later", "absent")
HELD: Final = ("kept", "better")


class Section(NamedTuple):
    """A section of the facts: the numbers that it holds, both ends included."""

    number: int
    title: str
    first: int
    last: int

    @property
    def facts(self) -> list[str]:
        return [f"S-{number:03}" for number in range(self.first, self.last + 1)]


SECTIONS: Final = (
    Section(1, "models, life cycles, operations", 1, 195),
    Section(2, "the decide loop", 196, 265),
    Section(3, "retries and timeouts", 266, 304),
    Section(4, "system tasks and operators", 305, 489),
    Section(5, "parameter expressions", 490, 528),
    Section(6, "queues and dispatch", 529, 570),
    Section(7, "events and listeners", 571, 611),
    Section(8, "sweeper, locks, administration", 612, 635),
    Section(9, "payload storage, size limits", 636, 658),
    Section(10, "the gRPC server", 659, 688),
    Section(11, "configuration properties", 689, 753),
    Section(12, "Redis persistence", 754, 793),
    Section(13, "reference scenarios", 794, 838),
)
ENGINE: Final = (1, 2, 3, 4, 5, 6, 9, 13)
"""Sections that say what an engine does; the others are about parts around one."""


class Verdict(NamedTuple):
    """What became of a fact. `text` = what Podium does, what is missing, or the reason."""

    kind: str
    text: str
    test: str


@cache
def verdicts() -> dict[str, Verdict]:
    """Every fact of facts.toml. Raises AssertionError naming an entry of another form."""
    entries: dict[str, dict[str, str]] = tomllib.loads(FACTS.read_text(encoding="utf-8"))["facts"]
    return {fact: read(fact, entry) for fact, entry in entries.items()}


def read(fact: str, entry: dict[str, str]) -> Verdict:
    """One entry."""
    match entry:
        case {"kept": str(test), **rest} if not rest:
            return Verdict("kept", "", test)
        case {"better": str(text), "test": str(test), **rest} if text and not rest:
            return Verdict("better", text, test)
        case {"later": str(text), **rest} if text and not rest:
            return Verdict("later", text, "")
        case {"absent": str(text), **rest} if text and not rest:
            return Verdict("absent", text, "")
        case _:
            raise AssertionError(f"{fact}: expected one verdict with what it needs, found {entry}")


@cache
def defined_tests(file: str) -> frozenset[str]:
    """Names of the tests that a file defines, without those that some machines skip."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"), filename=file)
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not any("skip" in ast.unparse(each) for each in node.decorator_list)
    )


def counts(section: Section) -> Counter[str]:
    """How many facts of a section have which verdict."""
    return Counter(verdicts()[fact].kind for fact in section.facts)


def held_share(numbers: tuple[int, ...]) -> float:
    """Kept or better, of all facts of these sections."""
    chosen = [section for section in SECTIONS if section.number in numbers]
    held = sum(counts(section)[kind] for section in chosen for kind in HELD)
    return held / sum(len(section.facts) for section in chosen)


def report() -> list[str]:
    """The counts as lines of a table."""
    lines = ["   section                          " + "".join(f"{each:>8}" for each in VERDICTS)]
    total: Counter[str] = Counter()
    for section in SECTIONS:
        found = counts(section)
        total += found
        numbers = "".join(f"{found[each]:>8}" for each in VERDICTS)
        lines.append(f"{section.number:>2} {section.title:<33}{numbers}")
    lines.append(f"   {'all':<33}" + "".join(f"{total[each]:>8}" for each in VERDICTS))
    named = ", ".join(str(number) for number in ENGINE)
    lines.append(f"kept or better in sections {named}: {held_share(ENGINE):.1%}")
    return lines


if __name__ == "__main__":
    print("\n".join(report()))

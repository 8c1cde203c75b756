"""The expectation files: what each definition must come to, and the facts it follows from.

One file in expectations/ is one definition with one input, in three variants. In outputs
{"$answer": REF} stands for what the scripted worker answered to REF; other keys beside it were
added by the server. Ids read ID. `better` names what differs from the recorded run, with the
reason; a "better" that differs in nothing is an error, as is a difference that is not listed.
Besides, a file may say `changed` (fields of the definition that were set before it ran), `answers`
(keys of every worker's output, to lead it another way) and `search` (something listens on the port
that the definition's HTTP task asks).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.corpus.definitions import CORPUS, definition_of, read
from tests.corpus.driver import VARIANTS, Variant, answer

FOLDER: Final = Path(__file__).parent / "expectations"
INVENTORY: Final = Path(__file__).parent / "inventory.json"
RUNS: Final = "runs.json"
ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FACT: Final = re.compile(r"- (S-\d{3}) ")
FACTS: Final = CORPUS.parent / "contract" / "semantics.md"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one variant must come to.

    Shape: `tasks` is [ref, type, status, iteration, retry count], in the order of scheduling.
    """

    status: str
    tasks: list[list[Any]]
    output: dict[str, Any]
    better: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """One file. `recorded`: a real Conductor's runs with this input are in runs.json."""

    name: str
    definition: str
    recorded: bool
    input: dict[str, Any]
    facts: list[str]
    variants: dict[Variant, Outcome]
    changed: dict[str, Any]
    answers: dict[str, Any]
    search: bool

    def document(self) -> dict[str, Any]:
        """The document that is run: the corpus's, with what is `changed`."""
        return {**read(self.definition), **self.changed}

    def run_key(self, variant: Variant) -> str:
        """Where runs.json has the recorded run."""
        workflow = definition_of(read(self.definition))["name"]
        return f"{Path(self.definition).stem}/{workflow}/{variant}"


def load_all() -> list[Expectation]:
    """All files, sorted by name."""
    return [load(path) for path in sorted(FOLDER.glob("*.json"))]


def load(path: Path) -> Expectation:
    document = json.loads(path.read_bytes())
    return Expectation(
        name=path.stem,
        definition=document["definition"],
        recorded=document["recorded"],
        input=document["input"],
        facts=document["facts"],
        variants={variant: outcome(document["variants"][variant]) for variant in VARIANTS},
        changed=document.get("changed", {}),
        answers=document.get("answers", {}),
        search=document.get("search", False),
    )


def outcome(document: dict[str, Any]) -> Outcome:
    return Outcome(
        status=document["status"],
        tasks=document["tasks"],
        output=unfold(document["output"]),
        better=document.get("better", {}),
    )


def unfold(value: Any) -> Any:
    """The value with every {"$answer": REF, ...} written out."""
    if isinstance(value, list):
        return [unfold(each) for each in value]
    if not isinstance(value, dict):
        return value
    fields = {key: unfold(each) for key, each in value.items() if key != "$answer"}
    return {**answer(value["$answer"]), **fields} if "$answer" in value else fields


def without_ids(value: Any) -> Any:
    """The value with each execution id as ID."""
    return json.loads(ID.sub("ID", json.dumps(value)))


def without_nulls(value: Any) -> Any:
    """The value without keys that hold null: the recorder's REST answers left them out."""
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def known_facts() -> frozenset[str]:
    """The numbers of all facts of semantics.md."""
    assert FACTS.is_file(), f"expected the facts in {FACTS}, found no file"
    return frozenset(FACT.findall(FACTS.read_text(encoding="utf-8")))

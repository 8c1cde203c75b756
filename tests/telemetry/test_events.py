"""Every log call of the server names its event, and docs/logs.md tells what each means."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / "server" / "podium"
DOCUMENT = ROOT / "docs" / "logs.md"
LEVELS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})


def calls() -> list[tuple[str, ast.Call]]:
    """Every call of a logger, with its place."""
    found: list[tuple[str, ast.Call]] = []
    for path in sorted(SERVER.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="LOG" | "LOGGER"), attr=attr)):
                    if attr in LEVELS:
                        found.append((f"{path.relative_to(SERVER)}:{node.lineno}", node))
                case _:
                    pass
    return found


def test_every_log_call_says_what_it_is_about_in_fields() -> None:
    bare = [place for place, call in calls() if "extra" not in {each.arg for each in call.keywords}]
    assert bare == []


def test_the_document_has_every_event_and_no_other() -> None:
    events = {
        event
        for path in SERVER.rglob("*.py")
        for event in re.findall(r'"event": "(\w+)"', path.read_text(encoding="utf-8"))
    }
    rows = re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(rows) == events | {"log"}
    assert len(rows) == len(set(rows))

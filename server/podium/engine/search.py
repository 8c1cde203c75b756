"""Paths that are no plain ones: filters, slices, choices, wildcards and descents in any number.

What they cost is not bounded by their text and the value, so the sandbox evaluates them. Here such
a path becomes a program for it, in the spelling that jsonpath-ng reads as JSONPath is meant, and
the roots that its document must hold. What only JSONPaths of that library can do is no search, nor
is a filter that it would take for another: each comparison begins with a path.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

from podium.engine.path import (
    FUNCTION,
    NAME,
    PATH_CHARS_LIMIT,
    QUOTED,
    STEPS_LIMIT,
    Call,
    FunctionName,
    Pick,
    Step,
    names_in,
    unquoted,
)

SEARCHES_LIMIT: Final = 100
"""Searches of one value."""
WHOLE: Final = ""
NUMBER: Final = r"-?[0-9]{1,9}+"
PLAIN: Final = r"[A-Za-z_][A-Za-z0-9_-]*+"
PART: Final = re.compile(
    rf"""
      \.(?P<call>{FUNCTION})\(\s*+\)
    | (?P<name>\.\.?{NAME})(?!\()
    | (?P<star>\.\.?\*|\.{{0,2}}\[\s*+\*\s*+\])
    | (?P<names>\.{{0,2}}\[\s*+{QUOTED}(?:\s*+,\s*+{QUOTED})*+\s*+\])
    | (?P<numbers>\.{{0,2}}\[\s*+{NUMBER}(?:\s*+,\s*+{NUMBER})*+\s*+\])
    | (?P<slice>\.{{0,2}}\[\s*+(?:{NUMBER})?\s*+:\s*+(?:{NUMBER})?\s*+\])
    | (?P<filter>\.{{0,2}}\[\s*+\?)
    """,
    re.VERBOSE | re.DOTALL,
)
TOKEN: Final = re.compile(
    rf"""
      (?P<root>\$\s*+(?:\.\s*+{PLAIN}|\[\s*+{QUOTED}\s*+\])(?:\.{PLAIN}|\[\s*+{QUOTED}\s*+\])?)
    | (?P<regex>=~\s*+/(?P<pattern>(?:[^/\\]|\\.)++)/(?P<flags>[imsx]*+)(?![a-zA-Z]))
    | (?P<quoted>{QUOTED})
    | (?P<open>\[)
    | (?P<close>\])
    | (?P<other>[^'"\[\]$=]++|=)
    """,
    re.VERBOSE | re.DOTALL,
)
"""What the text of a filter consists of."""
NO_PATH_FIRST: Final = re.compile(r"(?:^|\(|&&|\|\|)\s*+!?\s*+(?![@$(!])")
"""A place in a filter, its texts left out, where something other than a path begins."""
ROOT_NAME: Final = re.compile(rf"{QUOTED}|{PLAIN}", re.DOTALL)
TAKEN: Final = frozenset({"where", "wherenot", "true", "false", "null"})
"""Names that jsonpath-ng reads otherwise unless they are quoted."""


class Search(msgspec.Struct, frozen=True):
    """A path for the sandbox. It gives the list of all that is there (S-503)."""

    program: str
    """The path up to `tail`, from `$` on."""
    roots: tuple[tuple[str, str], ...]
    """What the document holds: names of roots, each with a field of it or WHOLE."""
    tail: tuple[Step, ...]
    """Names at once, a function: what is made of the list of results."""


class Part(msgspec.Struct, frozen=True):
    """One step: the names it names, if it names some, and how the program spells it."""

    names: tuple[str, ...]
    spelled: str
    deep: bool = False
    call: FunctionName | None = None
    roots: tuple[tuple[str, str], ...] = ()
    """Those that a filter reads."""


def parse_search(text: str) -> Search | None:
    """The search that `text` spells. None = no JSONPath, or one that names no root to begin at."""
    return known_search(text) if len(text) <= PATH_CHARS_LIMIT else None


@lru_cache(maxsize=8192)
def known_search(text: str) -> Search | None:
    """`parse_search` of a text of usual length, remembered."""
    stripped = text.strip()
    parts = parts_of(stripped[1:] if stripped.startswith("$") else f".{stripped}")
    root = named(parts[0]) if parts else None
    if parts is None or root is None or not 1 < len(parts) <= STEPS_LIMIT:
        return None
    roots = {(root, named(parts[1]) or WHOLE): None}
    tail: list[Step] = []
    if (call := parts[-1].call) is not None:
        tail = [Call(call)]
        parts.pop()
    if len(parts[-1].names) > 1 and not parts[-1].deep:
        tail = [Pick(parts.pop().names), *tail]
    if any(part.call for part in parts):
        return None
    roots.update({each: None for part in parts for each in part.roots})
    program = "".join(part.spelled for part in parts)
    return Search(f"${program}", tuple(roots), tuple(tail))


def named(part: Part) -> str | None:
    """The one name of a step down from the one before."""
    return part.names[0] if len(part.names) == 1 and not part.deep else None


def parts_of(text: str) -> list[Part] | None:
    """The steps of a path; None at the first thing that is none."""
    parts: list[Part] = []
    place = 0
    while place < len(text):
        match = PART.match(text, place)
        if match is None:
            return None
        place = match.end()
        if match.lastgroup == "filter":
            found = filter_at(text, place, deep=match[0].startswith(".."))
            if found is None:
                return None
            part, place = found
        else:
            part = part_of(match)
        parts.append(part)
    return parts


def part_of(match: re.Match[str]) -> Part:
    """A step that is no filter."""
    kind, found = match.lastgroup, match[match.lastindex or 0]
    if kind == "call":
        return Part((), "", call=msgspec.convert(found, FunctionName))
    deep = found.startswith("..")
    inner = found.lstrip(".")
    if kind in ("name", "names"):
        names = (inner,) if kind == "name" else names_in(inner)
        return Part(names, spelled_names(names, deep=deep), deep)
    dots = ".." if deep else ""
    bracketed = inner if inner.startswith("[") else f"[{inner}]"
    return Part((), dots + "".join(bracketed.split()), deep)


def spelled_names(names: tuple[str, ...], *, deep: bool) -> str:
    """A step to some names."""
    first = names[0]
    if len(names) == 1 and re.fullmatch(PLAIN, first) and first not in TAKEN:
        return f"{'..' if deep else '.'}{first}"
    return f"{'..' if deep else ''}[{','.join(spelled_text(name) for name in names)}]"


def spelled_text(text: str) -> str:
    """A text in quotes."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def filter_at(text: str, place: int, *, deep: bool) -> tuple[Part, int] | None:
    """The filter whose text begins at `place`, and where it ends; None where it is none."""
    spelled: list[str] = []
    blank: list[str] = []
    roots: list[tuple[str, str]] = []
    depth = 1
    while depth:
        match = TOKEN.match(text, place)
        if match is None:
            return None
        place = match.end()
        depth += {"open": 1, "close": -1}.get(match.lastgroup or "", 0)
        spelled.append(spelled_token(match))
        blank.append("" if match.lastgroup in ("quoted", "regex") else match[0])
        if match.lastgroup == "root":
            blank[-1] = "$"
            roots.append(root_of(match[0]))
    if NO_PATH_FIRST.search("".join(blank)[:-1]):
        return None
    program = f"{'..' if deep else ''}[?{''.join(spelled)}"
    return Part((), program, deep, roots=tuple(roots)), place


def spelled_token(match: re.Match[str]) -> str:
    """One token of a filter. In Jayway's `=~ /x/` the pattern is that of a whole text."""
    if match.lastgroup == "regex":
        flags, pattern = match["flags"], match["pattern"].replace("\\/", "/")
        return "=~ " + spelled_text(rf"\A(?{flags}:{pattern})\Z")
    return " ".join(match[0].splitlines()) if match.lastgroup == "other" else match[0]


def root_of(text: str) -> tuple[str, str]:
    """The root, and its field, that a `$` in a filter names."""
    found = [each if each[0] not in "'\"" else unquoted(each) for each in ROOT_NAME.findall(text)]
    return found[0], found[1] if len(found) > 1 else WHOLE

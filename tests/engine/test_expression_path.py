"""Any path over any document gives what a plain recursive reading of the grammar gives."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import orjson
from hypothesis import given
from hypothesis import strategies as st

from podium.engine.expression import compile_value
from podium.engine.path import parse_path, walk, walk_wide

if TYPE_CHECKING:
    from podium.model.payload import JsonValue

Move: TypeAlias = tuple[str, str | int]

NAMES_OF_CALLS = ["length", "min", "max", "sum", "avg", "stddev", "keys"]
NAMES = st.sampled_from(["a", "b", "c-d", "with space", "dot.ted", "x{y}", "q'\"\\", "é"])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)
MOVES = st.lists(
    st.tuples(st.just("name"), NAMES) | st.tuples(st.just("index"), st.integers(-3, 3)),
    max_size=4,
)
WIDE = st.just(("wild", "")) | st.tuples(st.just("scan"), st.sampled_from(["a", "b", "c-d"]))
CALLS = st.tuples(st.just("call"), st.sampled_from(NAMES_OF_CALLS))


@st.composite
def paths(draw: st.DrawFn) -> list[Move]:
    moves: list[Move] = list(draw(MOVES))
    if draw(st.booleans()):
        moves.insert(draw(st.integers(0, len(moves))), draw(WIDE))
    if draw(st.booleans()):
        moves.append(draw(CALLS))
    return moves


def spelled(moves: list[Move], *, double: bool) -> str:
    text = "root"
    for kind, what in moves:
        if kind == "name" and isinstance(what, str):
            text += quoted(what, double=double)
        elif kind == "index":
            text += f"[{what}]"
        else:
            text += {"wild": "[*]", "scan": f"..{what}", "call": f".{what}()"}[kind]
    return text


def quoted(name: str, *, double: bool) -> str:
    if name.replace("-", "").isalnum() and not double:
        return f".{name}"
    quote = '"' if double else "'"
    escaped = name.replace("\\", "\\\\").replace(quote, f"\\{quote}")
    return f"[{quote}{escaped}{quote}]"


def reference(value: JsonValue, moves: list[Move]) -> list[JsonValue]:
    """All values at the end of the moves, by recursion."""
    if not moves:
        return [value]
    return [end for step in taken(value, *moves[0]) for end in reference(step, moves[1:])]


def taken(value: JsonValue, kind: str, what: str | int) -> list[JsonValue]:
    inner = list(value.values()) if isinstance(value, dict) else value
    inside = inner if isinstance(inner, list) else []
    if kind == "wild":
        return inside
    if kind == "scan":
        own = taken(value, "name", what)
        return own + [found for each in inside for found in taken(each, kind, what)]
    if kind == "name" and isinstance(value, dict) and what in value:
        return [value[str(what)]]
    if kind == "index" and isinstance(value, list) and -len(value) <= int(what) < len(value):
        return [value[int(what)]]
    return []


def called(name: str, value: JsonValue) -> JsonValue:
    if name == "keys":
        return list(value) if isinstance(value, dict) else None
    if name == "length":
        return len(value) if isinstance(value, dict | list) else None
    if not isinstance(value, list):
        return None
    numbers = [
        float(each)
        for each in value
        if isinstance(each, int | float) and not isinstance(each, bool)
    ]
    if name in ("avg", "stddev") and numbers:
        mean = sum(numbers) / len(numbers)
        spread = sum((each - mean) * (each - mean) for each in numbers) / len(numbers)
        return mean if name == "avg" else math.sqrt(spread)
    return {"min": min, "max": max, "sum": sum}[name](numbers) if numbers else None


@given(document=DOCUMENTS, moves=paths(), double=st.booleans())
def test_a_path_reads_what_the_grammar_says(
    document: JsonValue, moves: list[Move], *, double: bool
) -> None:
    path = parse_path(spelled(moves, double=double))
    assert path is not None
    found = (walk if path.definite else walk_wide)(document, path.steps)

    plain = [move for move in moves if move[0] != "call"]
    ends = reference(document, plain)
    definite = all(kind not in ("wild", "scan") for kind, _ in plain)
    expected: JsonValue = (ends[0] if ends else None) if definite else ends
    if len(plain) < len(moves):
        expected = called(str(moves[-1][1]), expected)
    assert path.definite == definite
    assert orjson.dumps(found) == orjson.dumps(expected)


@given(st.text(alphabet="${}ab.[]'\"*()\\ 0-?@,:=~/&|!\n", max_size=40))
def test_any_text_compiles_and_text_without_expressions_stays(text: str) -> None:
    template = compile_value(text)
    if "${" not in text:
        assert template.literal
        assert template.evaluate.__self__ is template
    assert compile_value([text]).uses == template.uses
    parse_path(text)

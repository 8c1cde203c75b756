"""The search language: what is understood, and what is refused where."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.index.ordering import parse_order
from podium.index.parsing import CONDITIONS_MAX, DEPTH_MAX, QUERY_CHARS_MAX, parse_query
from podium.index.query import (
    WORKFLOW_FIELDS,
    Absent,
    Among,
    AnyOf,
    Compares,
    Condition,
    Equals,
    Every,
    Kind,
    Matches,
    Not,
    Order,
    StartsWith,
    Words,
)
from podium.index.unsound import QueryUnsound
from podium.index.words import parse_words

F = WORKFLOW_FIELDS
STATUS, NAME, START, VERSION = F["status"], F["workflowType"], F["startTime"], F["version"]
RUNNING = Equals(STATUS, "RUNNING")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", Every()),
        ("  ", Every()),
        ("status=RUNNING", RUNNING),
        ("status = RUNNING", RUNNING),
        ("status='RUNNING'", RUNNING),
        ('  ( status = "RUNNING" )  ', RUNNING),
        ("status IN (RUNNING)", RUNNING),
        ("status IN RUNNING", RUNNING),
        ("status IN(RUNNING,FAILED)", Among(STATUS, ("RUNNING", "FAILED"))),
        ("status IN ('RUNNING' , \"FAILED\")", Among(STATUS, ("RUNNING", "FAILED"))),
        ("status = RUNNING,FAILED", Among(STATUS, ("RUNNING", "FAILED"))),
        ("status != RUNNING", Not(RUNNING)),
        ("workflowType = my order", Equals(NAME, "my order")),
        ("workflowType = 'a, (b)'", Equals(NAME, "a, (b)")),
        (r"workflowType = 'it\'s \\'", Equals(NAME, r"it's " + "\\")),
        ("workflowType = O'Brien", Equals(NAME, "O'Brien")),
        ("workflowType = a*b*", Matches(NAME, ("a", "b", ""))),
        ("workflowType STARTS_WITH 'ab'", StartsWith(NAME, "ab")),
        ("workflowType = BRAND AND status=RUNNING", Every((Equals(NAME, "BRAND"), RUNNING))),
        ("workflowType = ORDER", Equals(NAME, "ORDER")),
        ("workflowName=x", Equals(NAME, "x")),
        ("startTime > 5", Compares(START, ">", 5)),
        ("startTime>=2026-01-01", Compares(START, ">=", 1_767_225_600_000)),
        ("startTime < 2026-01-01T01:00:00+01:00", Compares(START, "<", 1_767_225_600_000)),
        ("version = 3", Equals(VERSION, 3)),
        (
            "version BETWEEN 1 AND 3",
            Every((Compares(VERSION, ">=", 1), Compares(VERSION, "<=", 3))),
        ),
        ("endTime IS null", Absent(F["endTime"])),
        ("endTime IS NOT NULL", Not(Absent(F["endTime"]))),
        ('input = "a b"', Words("a b", field=F["input"])),
        ("output = ab*", Words("ab*", prefix=True, field=F["output"])),
        ("reasonForIncompletion = ''", Absent(F["reasonForIncompletion"])),
        ("classifier=workflow", Equals(F["classifier"], "workflow")),
    ],
)
def test_a_condition_is_understood(text: str, wanted: Condition) -> None:
    assert parse_query(text, F) == wanted


def test_and_and_or_are_alike_and_group_from_the_right() -> None:
    a, b, c, d = (Equals(NAME, each) for each in "abcd")
    for text, wanted in (
        ("{0} AND {1} AND {2}", Every((a, b, c))),
        ("{0} OR {1} OR {2}", AnyOf((a, b, c))),
        ("{0} AND {1} OR {2}", Every((a, AnyOf((b, c))))),
        ("{0} OR {1} AND {2}", AnyOf((a, Every((b, c))))),
        ("({0} OR {1}) AND {2}", Every((AnyOf((a, b)), c))),
        ("({0} AND {1}) OR ({2} AND {3})", AnyOf((Every((a, b)), Every((c, d))))),
    ):
        query = text.format(*(f"workflowType={each}" for each in "abcd"))
        assert parse_query(query, F) == wanted, query


def test_a_field_that_is_not_there_is_passed_over_on_wish() -> None:
    for text, wanted in (
        ("owner = x", Every()),
        ("owner = x AND status=RUNNING", RUNNING),
        ("status=RUNNING OR (owner > 7)", RUNNING),
        ("owner IN (a,b) AND (x = 1 OR y IS null)", Every()),
        ("modified BETWEEN 1 AND 2 AND status=RUNNING", RUNNING),
    ):
        assert parse_query(text, F, lenient=True) == wanted, text
        with pytest.raises(QueryUnsound, match="expected one of the fields workflowId, "):
            parse_query(text, F)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("status", "IN, BETWEEN, IS or STARTS_WITH after 'status', found the end at character 7"),
        ("= 3", "expected the name of a field, found '= 3' at character 1"),
        ("status =", "expected a value, found the end at character 9"),
        ("status = AND version=1", "expected a value, found 'AND version=1' at character 10"),
        ("status = A version = 1", "expected AND, OR or quotes within the text, found 'A version"),
        ("status = 'A' 'B'", "expected AND, OR or the end, found \"'B'\" at character 14"),
        ("status = 'A", "expected ' to end the text that begins at character 10, found the end"),
        ("status IN ()", "expected a value, found ')' at character 12"),
        ("status IN (A", "expected , or ), found the end at character 13"),
        ("status IN (A,)", "expected a value, found ')' at character 14"),
        ("status = (A)", "expected a value, found '(A)' at character 10"),
        ("(status = A", "expected AND, OR or ), found the end at character 12"),
        ("status = A)", "expected AND, OR or the end, found ')' at character 11"),
        ("status = A AND", "expected the name of a field, found the end at character 15"),
        ("status = A or version = 1", "expected AND, OR or quotes within the text"),
        ("version = one", "expected a whole number for version, found 'one' at character 11"),
        ("version = 1.5", "expected a whole number for version, found '1.5'"),
        ("version = 99999999999999999999", "expected a whole number for version"),
        ("startTime > yesterday", "expected epoch ms or ISO 8601 for startTime, found 'yesterday'"),
        ("startTime > ''", "expected epoch ms or ISO 8601 for startTime"),
        ("version BETWEEN 1", "expected AND between the two values of BETWEEN, found the end"),
        ("version BETWEEN 1 OR 2", "expected AND between the two values of BETWEEN, found 'OR 2'"),
        ("endTime IS nil", "expected null or not null after IS, found 'nil' at character 12"),
        ("input > x", "expected =, != or IN with input, which > cannot compare, found 'x'"),
        ("classifier < x", "expected =, != or IN with classifier, which < cannot compare"),
        ("version STARTS_WITH 1", "which STARTS_WITH cannot compare"),
        ("input = '...'", "expected at least one letter or digit, found \"'...'\" at character 9"),
        (f"status = {'x' * 1001}", "expected a value of at most 1000 characters"),
        ("x" * (QUERY_CHARS_MAX + 1), "expected at most 65536 characters, found 65537"),
        ("(" * (DEPTH_MAX + 1), "expected at most 50 brackets within brackets, found '(' at"),
        (" AND ".join(["version=1"] * (CONDITIONS_MAX + 1)), "expected at most 200 conditions"),
        (f"workflowType IN ({','.join(['a*'] * 300)})", "expected at most 200 conditions"),
        (f"workflowType IN ({','.join(['a'] * 5001)})", "expected at most 5000 values"),
        (" AND version=1 OR ".join(["version=1"] * 40), "expected at most 50 changes from AND to"),
    ],
)  # fmt: skip
def test_what_is_no_query_is_refused_at_its_place(text: str, expected: str) -> None:
    with pytest.raises(QueryUnsound) as refusal:
        parse_query(text, F, place="query")
    assert refusal.value.message.startswith("query: ")
    assert expected in refusal.value.message


def test_words() -> None:
    for text, wanted in (
        ("", Every()),
        (" * ", Every()),
        ("lamp", Words("lamp")),
        ("lam*", Words("lam*", prefix=True)),
        ('"red lamp"', Words("red lamp")),
        ('"red lam"*', Words("red lam", prefix=True)),
        ("red - lamp", Every((Words("red"), Words("lamp")))),
        ('red "', Words("red")),
    ):
        assert parse_words(text) == wanted, text
    for text in ("!", "x " * 65, "x" * 1001):
        with pytest.raises(QueryUnsound, match=r"free_text: expected "):
            parse_words(text)


def test_orders() -> None:
    for text, wanted in (
        ("", ()),
        ("startTime:DESC", (Order(START, descending=True),)),
        ("status:ASC|startTime:DESC", (Order(STATUS), Order(START, descending=True))),
        ("status", (Order(STATUS),)),
        ("|", ()),
    ):
        assert parse_order(text, F) == wanted, text
    assert parse_order("nothing:ASC|input:DESC|status", F, lenient=True) == (Order(STATUS),)
    for text in ("status:UP", "status:asc", "status:ASC:", "nothing:ASC", "input", "status|" * 17):
        with pytest.raises(QueryUnsound, match="sort: expected "):
            parse_order(text, F)


# Text of a query that states a condition, and the condition: every tree has a text.

VALUES = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="*\0"), min_size=1, max_size=8
)


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def conditions() -> st.SearchStrategy[tuple[str, Condition]]:
    texts = st.sampled_from([each for each in F.values() if each.kind is Kind.TEXT])
    numbers = st.sampled_from([F["version"], F["startTime"], F["executionTime"]])
    whole = st.integers(-(2**63) + 1, 2**63 - 1)
    sides = st.sampled_from(("<", "<=", ">", ">="))
    leaves = st.one_of(
        st.builds(lambda f, v: (f"{f.name} = {quoted(v)}", Equals(f, v)), texts, VALUES),
        st.builds(
            lambda f, v: (f"{f.name} STARTS_WITH {quoted(v)}", StartsWith(f, v)), texts, VALUES
        ),
        st.builds(
            lambda f, v: (
                f"{f.name} IN ({', '.join(map(quoted, v))})",
                Among(f, tuple(v)),
            ),
            texts,
            st.lists(VALUES, min_size=2, max_size=4),
        ),
        st.builds(lambda f, s, v: (f"{f.name}{s}{v}", Compares(f, s, v)), numbers, sides, whole),
        st.builds(lambda f: (f"{f.name} IS null", Absent(f)), numbers),
    )

    def joined(
        joint: str, kind: type[Every] | type[AnyOf], parts: list[tuple[str, Condition]]
    ) -> tuple[str, Condition]:
        text = f" {joint} ".join(f"({text})" for text, _ in parts)
        flat: tuple[Condition, ...] = tuple(each for _, each in parts)
        last = flat[-1]
        if isinstance(last, kind):
            flat = (*flat[:-1], *last.conditions)
        return text, kind(flat)

    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(joined, st.just("AND"), st.just(Every), st.lists(inner, min_size=2)),
            st.builds(joined, st.just("OR"), st.just(AnyOf), st.lists(inner, min_size=2)),
        ),
        max_leaves=8,
    )


@settings(max_examples=200)
@given(conditions())
def test_every_condition_has_a_text(pair: tuple[str, Condition]) -> None:
    text, condition = pair
    assert parse_query(text, F) == condition


PIECES = st.sampled_from(
    ["status", "startTime", "input", "nothing", "=", "!=", "<", ">=", "IN", "BETWEEN", "IS",
     "STARTS_WITH", "AND", "OR", "null", "not", "(", ")", ",", "'", '"', "\\", "*", "5", "x",
     " ", "2026-01-01", "\0", "é", "--", ";", "%"]
)  # fmt: skip


@settings(max_examples=500)
@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=20).map("".join)), st.booleans())
def test_garbage_is_understood_or_refused(text: str, lenient: bool) -> None:  # noqa: FBT001
    try:
        parse_query(text, F, lenient=lenient)
        parse_words(text)
        parse_order(text, F, lenient=lenient)
    except QueryUnsound as refusal:
        assert "expected " in refusal.message  # noqa: PT017 - others are none
        assert ", found " in refusal.message  # noqa: PT017

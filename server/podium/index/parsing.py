"""The search language: a text becomes conditions, once for every backend.

    query     = term [("AND" | "OR") query]        right-associative, both alike, as upstream
    term      = "(" query ")" | field condition
    condition = ("=" | "!=" | "<" | "<=" | ">" | ">=") value | "IN" list | "STARTS_WITH" value
              | "BETWEEN" value "AND" value | "IS" ["NOT"] "NULL"
    list      = "(" value {"," value} ")" | value {"," value}
    value     = "text" | 'text' (backslash escapes) | bare text up to AND, OR, a comma or a bracket

It accepts what both of Conductor's dialects do (rest.md §4.2, §4.3). With `=` a `*` stands for any
text. Times are epoch ms or ISO 8601. Everything that cannot be understood is refused, with its
place; a field that does not exist is refused or passed over, as the caller wishes, since user
interfaces of Conductor name some that are not there.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from podium.index.query import (
    ALIASES,
    Absent,
    Among,
    AnyOf,
    Compares,
    Condition,
    Equals,
    Every,
    Field,
    Kind,
    Matches,
    Not,
    StartsWith,
    Words,
)
from podium.index.unsound import VALUE_CHARS_MAX, QueryUnsound, shown
from podium.index.words import has_word

if TYPE_CHECKING:
    from collections.abc import Mapping

QUERY_CHARS_MAX: Final = 64 * 1024
VALUES_MAX: Final = 5_000
CONDITIONS_MAX: Final = 200
DEPTH_MAX: Final = 50
"""Brackets within brackets, and changes from AND to OR and back within one."""
NUMBER_MAX: Final = 2**63 - 1

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OPERATOR: Final = re.compile(r"!=|<=|>=|=|<|>|(?:IN|BETWEEN|IS|STARTS_WITH)\b")
NULL: Final = re.compile(r"(?:(not)\s+)?null\b", re.IGNORECASE)
JOINED: Final = re.compile(r"(AND|OR)\b")
AND: Final = re.compile(r"AND\b")
BARE_END: Final = re.compile(r"\s+(?:AND|OR)\b|[(),]|\s*\Z")
MISSING_JOINT: Final = re.compile(r"\s.*[=<>\"']")
"""Where a bare text looks like two conditions."""
SPACE: Final = re.compile(r"\s*")
WHOLE: Final = re.compile(r"-?[0-9]{1,30}\Z")

SIDES: Final[Mapping[str, Literal["<", "<=", ">", ">="]]] = {
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}
OPERATORS: Final = "=, !=, <, <=, >, >=, IN, BETWEEN, IS or STARTS_WITH"


class Value(NamedTuple):
    """A value as written, and where."""

    text: str
    place: int
    quoted: bool


def parse_query(
    text: str, fields: Mapping[str, Field], *, place: str = "query", lenient: bool = False
) -> Condition:
    """The condition that a text states; blank = every document. Raises QueryUnsound."""
    if len(text) > QUERY_CHARS_MAX:
        raise QueryUnsound(
            f"{place}: expected at most {QUERY_CHARS_MAX} characters, found {len(text)}"
        )
    return Parser(text, fields, place=place, lenient=lenient).whole()


class Parser:
    """Reads one text from left to right."""

    def __init__(
        self, text: str, fields: Mapping[str, Field], *, place: str, lenient: bool
    ) -> None:
        self._text = text
        self._fields = fields
        self._place = place
        self._lenient = lenient
        self._at = 0
        self._values = 0
        self._conditions = 0

    def whole(self) -> Condition:
        self._skip()
        if self._at == len(self._text):
            return Every()
        found = self._query(0)
        if self._at < len(self._text):
            raise self._unsound("AND, OR or the end")
        return Every() if found is None else found

    def _query(self, depth: int) -> Condition | None:
        """None = nothing is asked: its fields are passed over."""
        terms, joints = [self._term(depth)], list[str]()
        while (joint := self._take(JOINED)) is not None:
            joints.append(joint[1])
            terms.append(self._term(depth))
        if sum(one != next_one for one, next_one in pairwise(joints)) > DEPTH_MAX:
            raise self._unsound(f"at most {DEPTH_MAX} changes from AND to OR and back")
        found = terms.pop()
        while terms:
            found = _joined(joints.pop(), terms.pop(), found)
        return found

    def _term(self, depth: int) -> Condition | None:
        self._skip()
        if not self._text.startswith("(", self._at):
            return self._condition()
        if depth == DEPTH_MAX:
            raise self._unsound(f"at most {DEPTH_MAX} brackets within brackets")
        self._at += 1
        found = self._query(depth + 1)
        if not self._text.startswith(")", self._at):
            raise self._unsound("AND, OR or )")
        self._at += 1
        self._skip()
        return found

    def _condition(self) -> Condition | None:
        begin = self._at
        self._count()
        name = self._take(NAME)
        if name is None:
            raise self._unsound("the name of a field")
        field = self._fields.get(ALIASES.get(name[0], name[0]))
        if field is None and not self._lenient:
            self._at = begin
            raise self._unsound(f"one of the fields {', '.join(self._fields)}")
        operator = self._take(OPERATOR)
        if operator is None:
            raise self._unsound(f"{OPERATORS} after {shown(name[0])}")
        known = field or Field(name[0], Kind.TEXT)
        found = self._stated(known, operator[0])
        return None if field is None else found

    def _stated(self, field: Field, operator: str) -> Condition:
        if operator == "IS":
            found = self._take(NULL)
            if found is None:
                raise self._unsound("null or not null after IS")
            return Not(Absent(field)) if found[1] else Absent(field)
        if operator == "IN":
            return _one_of([self._equal(field, each) for each in self._list()])
        if operator == "BETWEEN":
            return self._between(field)
        if operator in ("=", "!="):
            values = self._equated()
            found = _one_of([self._equal(field, each) for each in values])
            return found if operator == "=" else Not(found)
        value = self._value()
        if operator == "STARTS_WITH":
            self._require(field, "STARTS_WITH", value, Kind.TEXT, Kind.WORDS)
            if field.kind is Kind.WORDS:
                return self._words(field, Value(f"{value.text}*", value.place, value.quoted))
            return StartsWith(field, value.text)
        return self._compared(field, operator, value)

    def _between(self, field: Field) -> Condition:
        low = self._value()
        if self._take(AND) is None:
            raise self._unsound("AND between the two values of BETWEEN")
        high = self._value()
        return Every((self._compared(field, ">=", low), self._compared(field, "<=", high)))

    def _compared(self, field: Field, operator: str, value: Value) -> Condition:
        self._require(field, operator, value, Kind.TEXT, Kind.TIME, Kind.NUMBER)
        return Compares(field, SIDES[operator], self._read(field, value))

    def _require(self, field: Field, operator: str, value: Value, *kinds: Kind) -> None:
        if field.kind not in kinds:
            self._at = value.place
            raise self._unsound(f"=, != or IN with {field.name}, which {operator} cannot compare")

    def _count(self) -> None:
        self._conditions += 1
        if self._conditions > CONDITIONS_MAX:
            raise self._unsound(f"at most {CONDITIONS_MAX} conditions")

    def _equal(self, field: Field, value: Value) -> Condition:
        """Patterns and words count as conditions of their own: each is looked for apart."""
        if field.kind is Kind.WORDS:
            return self._words(field, value) if value.text else Absent(field)
        if field.kind is Kind.TEXT and "*" in value.text:
            self._count()
            return Matches(field, tuple(value.text.split("*")))
        return Equals(field, self._read(field, value))

    def _words(self, field: Field, value: Value) -> Condition:
        self._count()
        prefix = value.text.endswith("*")
        if not has_word(value.text):
            self._at = value.place
            raise self._unsound("at least one letter or digit")
        return Words(value.text, prefix=prefix, field=field)

    def _read(self, field: Field, value: Value) -> str | int:
        """The value as the field holds it."""
        if field.kind in (Kind.TEXT, Kind.FIXED):
            return value.text
        text = value.text.strip()
        number = int(text) if WHOLE.match(text) else None
        if number is None and field.kind is Kind.TIME:
            number = _instant_ms(text)
        if number is None or abs(number) > NUMBER_MAX:
            self._at = value.place
            wanted = "epoch ms or ISO 8601" if field.kind is Kind.TIME else "a whole number"
            raise self._unsound(f"{wanted} for {field.name}")
        return number

    # Values

    def _equated(self) -> list[Value]:
        """One value; several where bare ones are listed, as the SQL dialect has it."""
        first = self._value()
        return [first] if first.quoted else [first, *self._rest()]

    def _list(self) -> list[Value]:
        bracket = self._text.startswith("(", self._at)
        if bracket:
            self._at += 1
        values = [self._value(), *self._rest()]
        if bracket:
            if not self._text.startswith(")", self._at):
                raise self._unsound(", or )")
            self._at += 1
            self._skip()
        return values

    def _rest(self) -> list[Value]:
        values: list[Value] = []
        while self._text.startswith(",", self._at):
            self._at += 1
            values.append(self._value())
        return values

    def _value(self) -> Value:
        self._skip()
        self._values += 1
        if self._values > VALUES_MAX:
            raise self._unsound(f"at most {VALUES_MAX} values")
        begin = self._at
        quote = self._text[begin : begin + 1]
        value = self._quoted(quote) if quote in ("'", '"') else self._bare()
        if len(value.text) > VALUE_CHARS_MAX:
            self._at = begin
            raise self._unsound(f"a value of at most {VALUE_CHARS_MAX} characters")
        self._skip()
        return value

    def _quoted(self, quote: str) -> Value:
        begin, parts = self._at, list[str]()
        at = begin + 1
        while at < len(self._text):
            char = self._text[at]
            if char == quote:
                self._at = at + 1
                return Value("".join(parts), begin, quoted=True)
            if char == "\\" and at + 1 < len(self._text):
                at += 1
            parts.append(self._text[at])
            at += 1
        self._at = len(self._text)
        raise self._unsound(f"{quote} to end the text that begins at character {begin + 1}")

    def _bare(self) -> Value:
        begin = self._at
        end = BARE_END.search(self._text, begin)
        assert end is not None, begin  # the end of the text is one
        text = self._text[begin : end.start()]
        if not text or JOINED.match(text):
            raise self._unsound("a value")
        if MISSING_JOINT.search(text):
            raise self._unsound("AND, OR or quotes within the text")
        self._at = end.start()
        return Value(text, begin, quoted=False)

    # Steps

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """What stands here, if it fits; what follows begins behind the space."""
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
            self._skip()
        return found

    def _skip(self) -> None:
        found = SPACE.match(self._text, self._at)
        assert found is not None
        self._at = found.end()

    def _unsound(self, expected: str) -> QueryUnsound:
        rest = self._text[self._at :]
        found = shown(rest) if rest else "the end"
        return QueryUnsound(
            f"{self._place}: expected {expected}, found {found} at character {self._at + 1}"
        )


def _joined(joint: str, left: Condition | None, right: Condition | None) -> Condition | None:
    """Both sides; a chain of one kind stays flat, however long it is."""
    if left is None or right is None:
        return right if left is None else left
    kind = Every if joint == "AND" else AnyOf
    return kind((left, *(right.conditions if isinstance(right, kind) else (right,))))


def _one_of(conditions: list[Condition]) -> Condition:
    """Any of them; values of one field that are compared as they are go together."""
    if len(conditions) == 1:
        return conditions[0]
    plain = [each for each in conditions if isinstance(each, Equals)]
    rest = [each for each in conditions if not isinstance(each, Equals)]
    if plain:
        among = Among(plain[0].field, tuple(each.value for each in plain))
        rest.insert(0, among)
    return rest[0] if len(rest) == 1 else AnyOf(tuple(rest))


def _instant_ms(text: str) -> int | None:
    """Without a zone in UTC."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return int(instant.timestamp() * 1000)

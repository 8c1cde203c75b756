"""Whether a document has the form of a definition: every value of a wrong kind, with its place.

msgspec stops at the first one, and an author wants to see them all. Fields that nobody knows are
told apart: they are ignored (S-264), and are most often a slip of the pen.
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import TYPE_CHECKING, Final, Literal, Union, get_args, get_origin

import msgspec

from podium.engine.problem import Problem, shown
from podium.engine.validate_references import key_place
from podium.model.definition import Record

if TYPE_CHECKING:
    from podium.model.payload import JsonValue

UNIONS: Final = (Union, UnionType)
KINDS: Final[dict[object, str]] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


class Form(msgspec.Struct, frozen=True):
    """What was found in a document, in its order."""

    problems: list[Problem]
    unknown: list[Problem]


# A kind is a type as a field names it: a class, a list[…], a dict[…], a Literal, X | None.
def form_of(document: JsonValue, kind: type[Record]) -> Form:
    """`document` without nulls, and of bounded depth: the walk follows it."""
    form = Form([], [])
    _walk(form, "", document, kind)
    return form


def _walk(form: Form, place: str, value: JsonValue, kind: object) -> None:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in UNIONS:
        (kind,) = [each for each in arguments if each is not NoneType]
        _walk(form, place, value, kind)
    elif (record := _record(kind)) is not None and isinstance(value, dict):
        _walk_record(form, place, value, record)
    elif origin is list and isinstance(value, list):
        for index, each in enumerate(value):
            _walk(form, f"{place}[{index}]", each, arguments[0])
    elif origin is dict and isinstance(value, dict):
        for key, each in value.items():
            _walk(form, place + key_place(key), each, arguments[1])
    elif not _fits(value, kind):
        form.problems.append(Problem(place, f"expected {_expected(kind)}, found {_found(value)}"))


def _walk_record(form: Form, place: str, value: dict[str, JsonValue], kind: type[Record]) -> None:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    prefix = f"{place}." if place else ""
    for name, field in fields.items():
        if name in value:
            _walk(form, f"{prefix}{name}", value[name], field.type)
        elif field.required:
            form.problems.append(Problem(f"{prefix}{name}", "expected a name, found none"))
    for name in value:
        if name not in fields:
            unknown = f"expected a field of {kind.__name__}, found {shown(name)}, which is ignored"
            form.unknown.append(Problem(place or kind.__name__, unknown))


def _record(kind: object) -> type[Record] | None:
    return kind if isinstance(kind, type) and issubclass(kind, Record) else None


def _fits(value: JsonValue, kind: object) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _expected(kind: object) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if _record(kind) is not None:
        return KINDS[dict]
    return KINDS[get_origin(kind) or kind]


def _found(value: JsonValue) -> str:
    """The value, or of a large one its kind."""
    if isinstance(value, dict | list):
        return KINDS[type(value)]
    return shown(repr(value))

"""JSON Schema in the sandbox: what fits, what does not, what is no schema, and bombs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
import pytest

from podium.engine.transition import Evaluate, Evaluated
from tests.sandbox.test_programs import run, sandbox

if TYPE_CHECKING:
    from podium.sandbox.pool import Sandbox

PERSON: Final = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "tags": {"type": "array", "items": {"type": "integer"}},
    },
    "additionalProperties": False,
}


async def check(within: Sandbox, schema: Any, document: Any) -> Evaluated:
    return await run(within, "jsonschema", orjson.dumps(schema).decode(), document)


async def fault(within: Sandbox, schema: Any) -> str:
    return await within.fault("jsonschema", orjson.dumps(schema).decode())


@pytest.mark.parametrize(
    ("document", "problems"),
    [
        ({"name": "Ada", "tags": [1, 2]}, []),
        ({}, [["$", '"name" is a required property']]),
        ({"name": "A"}, [["$.name", "the value is shorter than 2 characters"]]),
        (
            {"name": 1, "tags": [1, "x", True]},
            [
                ["$.name", 'the value is not of type "string"'],
                ["$.tags[1]", 'the value is not of type "integer"'],
                ["$.tags[2]", 'the value is not of type "integer"'],
            ],
        ),
        ("x", [["$", 'the value is not of type "object"']]),
    ],
)
async def test_a_document_gives_the_places_that_do_not_fit(document: Any, problems: Any) -> None:
    async with sandbox() as within:
        assert await check(within, PERSON, document) == Evaluated(problems)


@pytest.mark.parametrize(
    ("draft", "schema", "document"),
    [
        ("http://json-schema.org/draft-04/schema#", {"minimum": 3, "exclusiveMinimum": True}, 3),
        ("http://json-schema.org/draft-06/schema#", {"const": 1}, 2),
        ("http://json-schema.org/draft-07/schema#", {"if": {"minimum": 3}, "then": False}, 3),
        ("https://json-schema.org/draft/2019-09/schema", {"dependentRequired": {"a": ["b"]}}, None),
        ("https://json-schema.org/draft/2020-12/schema", {"prefixItems": [False]}, [1]),
    ],
)
async def test_the_drafts_are_told_by_their_name(draft: str, schema: Any, document: Any) -> None:
    async with sandbox() as within:
        given = {"a": 1} if document is None else document
        answer = await check(within, {"$schema": draft, **schema}, given)
        assert answer.error == ""
        assert answer.value != []


async def test_a_schema_may_be_true_or_false() -> None:
    async with sandbox() as within:
        assert await check(within, True, 3) == Evaluated([])
        assert await check(within, False, 3) == Evaluated(
            [["$", "False schema does not allow the value"]]
        )


async def test_no_value_of_the_document_is_told() -> None:
    schema = {
        "properties": {
            "a": {"type": "integer"}, "b": {"maxLength": 3}, "c": {"enum": ["x"]},
            "d": {"pattern": "^y"}, "e": {"anyOf": [{"const": 1}, {"const": 2}]},
            "f": {"format": "uuid"}, "g": {"not": {"type": "string"}},
        }
    }  # fmt: skip
    async with sandbox() as within:
        answer = await check(within, schema, dict.fromkeys("abcdefg", "hunter22"))
        found: Any = answer.value
        assert [place for place, _ in found] == ["$.a", "$.b", "$.c", "$.d", "$.e", "$.g"]
        assert "hunter" not in str(found)


async def test_ten_problems_at_most_are_told() -> None:
    async with sandbox() as within:
        answer = await check(within, {"items": {"type": "string"}}, [1] * 1_000)
        found: Any = answer.value
        assert len(found) == 10
        assert found[9] == ["$[9]", 'the value is not of type "string"']


async def test_places_and_messages_are_cut() -> None:
    async with sandbox() as within:
        schema = {"additionalProperties": {"required": ["y" * 2_000]}}
        answer = await check(within, schema, {"x" * 2_000: {}})
        found: Any = answer.value
        [[place, message]] = found
        assert len(place) == len(message) == 501


BAD: Final[list[tuple[Any, str]]] = [
    ([], "$: the value is not of types"),
    (5, "$: the value is not of types"),
    ("text", "$: the value is not of types"),
    ({"type": "objekt"}, "$.type: the value is not valid"),
    ({"properties": {"a": {"minLength": -1}}}, "$.properties.a.minLength: "),
    ({"pattern": "("}, '$.pattern: the value is not a "regex"'),
    ({"pattern": "((a{1,100}){1,100}){1,100}"}, "$.pattern: "),
    ({"required": "a"}, "$.required: "),
    ({"$ref": "#/gone"}, "Pointer '/gone' does not exist"),
    ({"$ref": "other.json"}, "'other.json'"),
    ({"$ref": "file:///etc/passwd"}, "Retrieval is disabled, cannot fetch file:///etc/passwd"),
    ({"$ref": "http://127.0.0.1:1/s"}, "Retrieval is disabled, cannot fetch http://127.0.0.1:1/s"),
    ({"$ref": "https://json-schema.org/draft-07/schema"}, "Retrieval is disabled"),
    ({"$schema": "file:///etc/passwd"}, "Unknown meta-schema"),
    ({"$id": "http://example.com/a", "$ref": "b"}, "cannot fetch http://example.com/b"),
]


@pytest.mark.parametrize(("schema", "words"), BAD)
async def test_what_is_no_schema_says_so_by_place(schema: Any, words: str) -> None:
    async with sandbox() as within:
        found = await fault(within, schema)
        assert found.startswith("expected a JSON Schema, found at $")
        assert words in found
        assert await check(within, schema, {}) == Evaluated(error=found)
        assert within.kills == 0


@pytest.mark.parametrize("text", ["", "{", '{"a": 1} 2', "\udcff", '"\\ud800"'])
async def test_what_is_no_json_is_no_schema(text: str) -> None:
    async with sandbox() as within:
        assert await within.fault("jsonschema", text.encode(errors="replace").decode())
        assert within.kills == 0


def doubling(levels: int) -> Any:
    """A schema that is looked at 2 ** levels times."""
    definitions: dict[str, Any] = {"d0": {"type": "string"}}
    for level in range(1, levels):
        definitions[f"d{level}"] = {"allOf": [{"$ref": f"#/$defs/d{level - 1}"}] * 2}
    return {"$defs": definitions, "$ref": f"#/$defs/d{levels - 1}"}


def nested(levels: int) -> Any:
    document: Any = {}
    for _ in range(levels):
        document = {"a": document}
    return document


DEEP: Final = "expected a JSON Schema, found at $: Invalid string: recursion limit exceeded"


HARMLESS: Final[list[tuple[Any, Any]]] = [
    ({"pattern": "^(a+)+$"}, "a" * 50_000 + "b"),
    ({"pattern": "^(a+)+\\1$"}, "a" * 60 + "b"),
    ({"pattern": "(?=a)^(a|aa)+(?=c)$"}, "a" * 4_000 + "b"),
    ({"$ref": "#"}, 1),
    ({"allOf": [{"$ref": "#"}]}, 1),
    ({"not": {"$ref": "#"}}, 1),
    ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, 1),
    ({"$dynamicAnchor": "n", "allOf": [{"$dynamicRef": "#n"}]}, 1),
    ({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}, nested(30)),
    ({"anyOf": [{"type": "string"}, {"properties": {"a": {"$ref": "#"}}}]}, nested(200)),
    ({"uniqueItems": True}, [[each] for each in range(20_000)]),
    ({"enum": list(range(50_000))}, "x"),
]  # fmt: skip
"""Loops and bombs that end by themselves."""

BOMBS: Final[list[tuple[Any, Any]]] = [
    (doubling(30), "x"),
    (doubling(30), 1),
    ({**doubling(28), "not": {"items": False}}, "x"),
]


async def test_loops_and_patterns_end_by_themselves() -> None:
    async with sandbox() as within:
        for schema, document in HARMLESS:
            answer = await check(within, schema, document)
            assert within.kills == 0, schema
            assert isinstance(answer.value, list) or answer.error, answer


@pytest.mark.parametrize("levels", [100, 300, 5_000])
async def test_a_schema_of_many_levels_is_taken_or_refused(levels: int) -> None:
    async with sandbox() as within:
        found = await within.fault("jsonschema", '{"not": ' * levels + "{}" + "}" * levels)
        assert found == "" if levels == 100 else found.startswith(DEEP)
        assert within.kills == 0


async def test_a_bomb_fails_its_own_check_only() -> None:
    async with sandbox() as within:
        for schema, document in BOMBS:
            answer = await check(within, schema, document)
            assert answer.error.startswith("expected a program "), answer
            assert await check(within, PERSON, {"name": "Ada"}) == Evaluated([])
        assert 0 < within.kills <= len(BOMBS)


async def test_a_big_document_is_checked_and_tells_its_first_problem() -> None:
    async with sandbox() as within:
        schema = {"items": {"type": "integer"}}
        assert await check(within, schema, [0] * 500_000) == Evaluated([])
        found = await check(within, schema, [0] * 400_000 + ["x"] * 100_000)
        assert found == Evaluated([["$[400000]", 'the value is not of type "integer"']])
        assert within.kills == 0


async def test_a_document_with_text_that_is_none_is_no_crash() -> None:
    async with sandbox() as within:
        need = Evaluate("jsonschema", '{"maxLength": 1}', b'"\\ud800abc"')
        answer = await within.evaluate(need)
        assert answer.error.startswith("expected a document that can be checked, found: ")
        assert within.kills == 0


async def test_more_schemas_than_are_kept_are_checked() -> None:
    async with sandbox() as within:
        for number in range(200):
            schema = {"const": number, "description": "x" * (number * 200)}
            assert await check(within, schema, number) == Evaluated([])
            assert (await check(within, schema, -1)).value != []
        assert within.kills == 0

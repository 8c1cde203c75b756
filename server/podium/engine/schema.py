"""Schemas of definitions: which of them are enforced, as programs of the sandbox (S-046)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from podium.engine.problem import Problem, check_depth, shown
from podium.engine.script import Script

if TYPE_CHECKING:
    from collections.abc import Iterator

    from podium.model.definition import TaskDef, WorkflowDef
    from podium.model.payload import JsonValue

JSON: Final = "JSON"
SCHEMA_DEPTH_LIMIT: Final = 120
"""Levels of JSON in a schema: the validator reads 127."""


class Checks(msgspec.Struct, frozen=True):
    """The schemas of one definition that are enforced, as JSON text; "" = none."""

    input: str
    output: str


def checks_of(definition: TaskDef | WorkflowDef | None) -> Checks | None:
    """None where nothing is enforced."""
    if definition is None or not definition.enforce_schema:
        return None
    checks = Checks(text_of(definition.input_schema), text_of(definition.output_schema))
    return checks if checks.input or checks.output else None


def text_of(schema: JsonValue) -> str:
    """The JSON Schema of a SchemaDef; "" where it holds none."""
    if not isinstance(schema, dict) or schema.get("type") != JSON or schema.get("data") is None:
        return ""
    return msgspec.json.encode(schema["data"]).decode()


def schemas_in(definition: TaskDef | WorkflowDef | None) -> Iterator[tuple[str, Script]]:
    """The enforced schemas of a definition, without those of its tasks, each with its place."""
    checks = checks_of(definition)
    if checks is None:
        return
    for name, text in (("inputSchema", checks.input), ("outputSchema", checks.output)):
        if text:
            yield f"{name}.data", Script("jsonschema", text)


def schema_problems(prefix: str, definition: TaskDef | WorkflowDef) -> Iterator[Problem]:
    """What is wrong with them before anybody reads them as schemas."""
    for name, schema in named(definition):
        yield from check_depth(f"{prefix}{name}", schema, SCHEMA_DEPTH_LIMIT)


def schema_warnings(prefix: str, definition: TaskDef | WorkflowDef) -> Iterator[Problem]:
    """Schemas that are to be enforced, and cannot be."""
    if not definition.enforce_schema:
        return
    for name, schema in named(definition):
        if schema is None or text_of(schema):
            continue
        kind = schema.get("type") if isinstance(schema, dict) else schema
        found = "no data" if kind == JSON else shown(kind)
        yield Problem(
            f"{prefix}{name}",
            f"expected a schema of type JSON with its data, found {found}: nothing is checked",
        )


def named(definition: TaskDef | WorkflowDef) -> tuple[tuple[str, JsonValue], ...]:
    """Both schemas with their fields' names."""
    return (("inputSchema", definition.input_schema), ("outputSchema", definition.output_schema))

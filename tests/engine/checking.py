"""An execution whose schemas are judged in Python: they know `required` and `properties`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from podium.engine.transition import Evaluate, Evaluated
from tests.engine.machine import Machine
from tests.engine.shapes import flow, task_def

if TYPE_CHECKING:
    from podium.model.definition import TaskDef

FAILED = "FAILED_WITH_TERMINAL_ERROR"
NEEDS_N: Any = {"required": ["n"]}
BROKEN: Any = {"broken": True}
LATE: Any = {"late": True}
BROKEN_TEXT = "expected a program within its memory, found one that ended its process"
LATE_TEXT = "expected a program that ends within 500 ms, found one that goes on"


class Checking(Machine):
    """`lates` = how often a schema that is LATE is not judged in time."""

    lates = 1_000

    def answer(self, need: Any) -> Any:
        if not isinstance(need, Evaluate) or need.language != "jsonschema":
            return super().answer(need)
        schema = orjson.loads(need.program)
        if schema == BROKEN:
            return Evaluated(error=BROKEN_TEXT)
        if schema == LATE and self.lates:
            self.lates -= 1
            return Evaluated(error=LATE_TEXT, retriable=True)
        return Evaluated(problems(schema, orjson.loads(need.input), "$"))

    @property
    def checks(self) -> list[Evaluate]:
        """What was asked of the sandbox."""
        return [need for need in self.needs if isinstance(need, Evaluate)]


def problems(schema: Any, document: Any, place: str) -> list[Any]:
    found: list[Any] = [
        [place, f'"{name}" is a required property']
        for name in schema.get("required", [])
        if name not in document
    ]
    for name, inner in schema.get("properties", {}).items():
        if name in document:
            found += problems(inner, document[name], f"{place}.{name}")
    return found


def schema(data: Any, kind: str = "JSON") -> Any:
    return {"name": "s", "version": 1, "type": kind, "data": data}


def missing(what: str, *names: str, place: str = "$") -> str:
    told = "; ".join(f'{place}: "{name}" is a required property' for name in names)
    return f"{what}: expected one that fits its schema, found {told}"


def enforced(name: str, takes: Any = None, gives: Any = None, **fields: Any) -> TaskDef:
    return task_def(
        name,
        input_schema=None if takes is None else schema(takes),
        output_schema=None if gives is None else schema(gives),
        enforce_schema=True,
        **fields,
    )


def machine_of(*tasks: Any, defs: Any = (), **fields: Any) -> Checking:
    return Checking(flow(*tasks, **fields), task_defs={each.name: each for each in defs})

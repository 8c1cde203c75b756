"""Scripts as definitions write them: names of their languages, where they stand, their form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from podium.engine.transition import Language

if TYPE_CHECKING:
    from collections.abc import Iterator

    from podium.model.definition import WorkflowTask

JAVASCRIPT: Final = "javascript"
VALUE_PARAM: Final = "value-param"
SCRIPTS: Final = frozenset({JAVASCRIPT, "graaljs"})
"""Evaluators whose expression is JavaScript (S-329)."""
EVALUATORS: Final = (JAVASCRIPT, "graaljs", VALUE_PARAM)
"""All evaluators that are served, as messages list them."""


def body(script: str) -> str:
    """The program that runs `script` as the body of a function; its line numbers stay."""
    return f"(function () {{{script}\n}})()"


class Script(msgspec.Struct, frozen=True):
    """A program of a definition, in the form in which it runs."""

    language: Language
    program: str


def scripts_in(task: WorkflowTask) -> Iterator[tuple[str, Script]]:
    """The programs of one task that are known before it runs, each with its place in the task."""
    template = task.task_definition.input_template if task.task_definition else {}
    given = {**template, **task.input_parameters}
    match task.type:
        case "SWITCH" if task.evaluator_type in SCRIPTS:
            yield "expression", Script("javascript", task.expression or "")
        case "DECISION" if task.case_expression and task.case_expression.strip():
            yield "caseExpression", Script("javascript", task.case_expression)
        case "INLINE" if given.get("evaluatorType", JAVASCRIPT) in SCRIPTS:
            yield from literal("expression", given.get("expression"), "javascript")
        case "DO_WHILE":
            yield "loopCondition", Script("javascript", task.loop_condition or "")
        case "LAMBDA":
            yield from literal("scriptExpression", given.get("scriptExpression"), "javascript")
        case "JSON_JQ_TRANSFORM":
            yield from literal("queryExpression", given.get("queryExpression"), "jq")
        case _:
            pass


def literal(name: str, value: object, language: Language) -> Iterator[tuple[str, Script]]:
    """A program among the parameters, where no expression puts it together first."""
    if isinstance(value, str) and "${" not in value:
        program = body(value) if name == "scriptExpression" else value
        yield f"inputParameters.{name}", Script(language, program)

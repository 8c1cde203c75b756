"""INLINE and LAMBDA: a script makes a value of the task's input (S-474 to S-478).

Both see the whole input as `$`. INLINE's value is that of its last statement; LAMBDA's script is
the body of a function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.engine.operators.instant import (
    evaluated_for,
    failed_telling,
    instant,
    parameters,
    text_of,
    with_output,
)
from podium.engine.script import JAVASCRIPT, SCRIPTS, VALUE_PARAM, body
from podium.engine.transition import Evaluate
from podium.model.execution import TaskStatus

if TYPE_CHECKING:
    from podium.engine.graph import Place
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord
    from podium.model.payload import JsonObject

EVALUATOR_TYPE: Final = "evaluatorType"
EXPRESSION: Final = "expression"
SCRIPT_EXPRESSION: Final = "scriptExpression"
TERMINAL: Final = TaskStatus.FAILED_WITH_TERMINAL_ERROR


def inline_inputs(draft: State, place: Place, task: TaskRecord) -> Asking[JsonObject]:
    """The parameters; a script is JavaScript where nothing else is said."""
    value = yield from parameters(draft, place, task)
    return value if EVALUATOR_TYPE in value else {EVALUATOR_TYPE: JAVASCRIPT, **value}


def work_inline(draft: State, task: TaskRecord, value: JsonObject) -> Asking[TaskRecord]:
    """S-474 to S-476: a script that is wrong stays wrong, so its task is not tried again."""
    kind, expression = text_of(value.get(EVALUATOR_TYPE)), text_of(value.get(EXPRESSION))
    if kind not in SCRIPTS and kind != VALUE_PARAM:
        reason = f"Unknown evaluator '{value.get(EVALUATOR_TYPE)}' in INLINE task."
        return failed_telling(draft, task, reason, TERMINAL)
    if not expression:
        return failed_telling(draft, task, missing(EXPRESSION, "Inline"), TERMINAL)
    if kind == VALUE_PARAM:
        return with_output(draft, task, {"result": value.get(expression)})
    need = Evaluate("javascript", expression, b"", program_path=(EXPRESSION,))
    found = yield from evaluated_for(draft, task, need, value)
    if found.error:
        status = TaskStatus.FAILED if found.retriable else TERMINAL
        return failed_telling(draft, task, found.error, status)
    return with_output(draft, task, {"result": found.value})


def work_lambda(draft: State, task: TaskRecord, value: JsonObject) -> Asking[TaskRecord]:
    """S-478: any failure may be tried again."""
    script = text_of(value.get(SCRIPT_EXPRESSION))
    if not script:
        return failed_telling(draft, task, missing(SCRIPT_EXPRESSION, "Lambda"))
    need = Evaluate("javascript", body(script), b"", program_path=(SCRIPT_EXPRESSION,))
    found = yield from evaluated_for(draft, task, need, value)
    if found.error:
        return failed_telling(draft, task, found.error)
    return with_output(draft, task, {"result": found.value})


def missing(name: str, kind: str) -> str:
    """Text of an absent script."""
    return (
        f"Empty '{name}' in {kind} task's input parameters. A non-empty String value must be"
        " provided."
    )


INLINE: Final = instant("INLINE", work_inline, inline_inputs)
LAMBDA: Final = instant("LAMBDA", work_lambda)

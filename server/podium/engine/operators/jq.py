"""JSON_JQ_TRANSFORM: a jq program makes values of the task's whole input (S-479, S-480)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.engine.operators.instant import (
    evaluated_for,
    failed,
    failed_telling,
    instant,
    text_of,
    with_output,
)
from podium.engine.transition import Evaluate

if TYPE_CHECKING:
    from podium.engine.state import Asking, State
    from podium.model.execution import TaskRecord
    from podium.model.payload import JsonObject

QUERY: Final = "queryExpression"


def work(draft: State, task: TaskRecord, value: JsonObject) -> Asking[TaskRecord]:
    """All values, and the first of them; a failure may be tried again."""
    query = text_of(value.get(QUERY))
    if not query:
        return failed(draft, task, f"Missing '{QUERY}' in input parameters")
    need = Evaluate("jq", query, b"", program_path=(QUERY,))
    found = yield from evaluated_for(draft, task, need, value)
    if found.error:
        return failed_telling(draft, task, found.error)
    results = found.value
    assert isinstance(results, list), f"expected a list of jq's values, found {results!r:.200}"
    first = results[0] if results else None
    return with_output(draft, task, {"result": first, "resultList": results})


JQ: Final = instant("JSON_JQ_TRANSFORM", work)

"""Values that a definition wants hidden from who reads its executions (`maskedFields`).

A name hides the value of every entry of that name, at any depth of inputs, outputs and variables.
What runs is not touched: workers, expressions, children and failure workflows get the values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from podium.model.payload import Payload

if TYPE_CHECKING:
    from collections.abc import Collection

    from podium.app.view import ExecutionView, TaskView
    from podium.model.execution import HistoryRow
    from podium.model.payload import JsonValue

MASK: Final = "***"


def masked(view: ExecutionView) -> ExecutionView:
    """The execution as it may be shown."""
    names = view.graph.definition.masked_fields
    if not names:
        return view
    hidden = frozenset(names)
    return replace(
        view,
        input=masked_payload(view.input, hidden),
        output=masked_payload(view.output, hidden),
        variables=masked_payload(view.variables, hidden),
        tasks=tuple(masked_task(task, hidden) for task in view.tasks),
    )


def masked_task(view: TaskView, names: Collection[str]) -> TaskView:
    """One attempt as it may be shown."""
    if not names:
        return view
    record = replace(view.record, input=masked_payload(view.record.input, names))
    return replace(view, record=record, output=masked_payload(view.output, names))


def masked_row(row: HistoryRow, names: Collection[str]) -> HistoryRow:
    """The events of a commit as they may be shown."""
    if not names or not row.events:
        return row
    return replace(
        row,
        events=tuple(
            replace(event, payload=masked_payload(event.payload, names)) for event in row.events
        ),
    )


def masked_payload(payload: Payload, names: Collection[str]) -> Payload:
    """A copy in which no value stands under these names; the payload itself where none did."""
    top: list[JsonValue] = [payload.value]
    waiting: list[list[JsonValue] | dict[str, JsonValue]] = [top]
    found = False
    while waiting:
        outer = waiting.pop()
        for key, value in list(enumerate(outer) if isinstance(outer, list) else outer.items()):
            if isinstance(outer, dict) and key in names:
                outer[key] = MASK  # pyright: ignore[reportArgumentType] - its own key
                found = True
            elif isinstance(value, dict | list):
                inner = value.copy()
                outer[key] = inner  # pyright: ignore[reportArgumentType, reportCallIssue]
                waiting.append(inner)
    value = top[0]
    assert isinstance(value, dict), value
    return Payload.of(value) if found else payload

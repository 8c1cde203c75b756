"""Values that a definition wants hidden from who reads its executions (`maskedFields`).

A name hides the value of every entry of that name, at any depth of inputs, outputs and variables.
What runs is not touched: workers, expressions, children and failure workflows get the values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from podium.model.masking import masked_payload

if TYPE_CHECKING:
    from collections.abc import Collection

    from podium.app.view import ExecutionView, TaskView
    from podium.model.execution import HistoryRow


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

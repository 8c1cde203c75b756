"""A batch of updates as a handful of statements (sqlite_schema.py says why they are few)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from podium.index.sqlite_rows import task_row, workflow_row
from podium.index.sqlite_schema import (
    DROP_IDS,
    DROP_KEYS,
    DROP_TASKS,
    DROP_WORKFLOWS,
    PUT_TASK_TEXTS,
    PUT_TASKS,
    PUT_WORKFLOW_TEXTS,
    PUT_WORKFLOWS,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from podium.index.document import TaskDocument, Update, WorkflowDocument


class Batch:
    """Rows by statement; each execution stands in one update only."""

    def __init__(self) -> None:
        self.gone: list[object] = []
        self.whole: list[object] = []
        self.keys: list[object] = []
        self.ids: list[object] = []
        self.workflows: list[object] = []
        self.workflow_texts: list[object] = []
        self.tasks: list[object] = []
        self.task_texts: list[object] = []

    def take(self, update: Update) -> None:
        workflow = update.workflow
        if workflow is None:
            self.gone.append(update.workflow_id)
            return
        if update.whole:
            self.whole.append(workflow.id)
        self.keys += [[workflow.id, workflow.commit, key] for key in update.removed_keys]
        self.ids += [[task_id, workflow.commit] for task_id in update.removed_ids]
        self.workflows.append(workflow_row(workflow))
        self.workflow_texts.append(
            [
                workflow.id,
                workflow.commit,
                _head_of_workflow(workflow),
                workflow.reason,
                workflow.input,
                workflow.output,
            ]
        )
        for task in update.tasks:
            self.tasks.append(task_row(task, workflow.id, workflow.commit))
            self.task_texts.append(
                [
                    task.id,
                    workflow.commit,
                    _head_of_task(task),
                    task.reason,
                    task.input,
                    task.output,
                ]
            )


def write(connection: sqlite3.Connection, updates: Sequence[Update]) -> None:
    """Within the caller's transaction."""
    start = 0
    while start < len(updates):
        start = _write_some(connection, updates, start)


def _write_some(connection: sqlite3.Connection, updates: Sequence[Update], start: int) -> int:
    """From `start` up to the second update of one execution; answers where the rest begins."""
    batch, seen = Batch(), set[str]()
    end = start
    while end < len(updates) and updates[end].workflow_id not in seen:
        seen.add(updates[end].workflow_id)
        batch.take(updates[end])
        end += 1
    _run(connection, DROP_TASKS, [*batch.gone, *batch.whole])
    _run(connection, DROP_WORKFLOWS, batch.gone)
    _run(connection, DROP_KEYS, batch.keys)
    _run(connection, DROP_IDS, batch.ids)
    _run(connection, (PUT_WORKFLOWS,), batch.workflows)
    _run(connection, (PUT_WORKFLOW_TEXTS,), batch.workflow_texts)
    _run(connection, (PUT_TASKS,), batch.tasks)
    _run(connection, (PUT_TASK_TEXTS,), batch.task_texts)
    return end


def _run(connection: sqlite3.Connection, statements: Sequence[str], rows: list[object]) -> None:
    if rows:
        given = orjson.dumps(rows).decode()
        for statement in statements:
            connection.execute(statement, (given,))


def _head_of_workflow(document: WorkflowDocument) -> str:
    """What free text finds beside reason, input and output; nothing that changes often.

    No ids: they are many words that nobody shares, and a query looks for them as such.
    """
    return " ".join(
        (
            document.name,
            document.correlation_id,
            document.created_by,
            document.event,
            document.idempotency_key,
            *document.failed_refs,
        )
    )


def _head_of_task(document: TaskDocument) -> str:
    return " ".join((document.task_type, document.def_name, document.ref, document.domain))

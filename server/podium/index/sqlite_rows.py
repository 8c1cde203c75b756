"""Rows of the sqlite index back into documents."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

from podium.index.document import TaskDocument, WorkflowDocument
from podium.index.port import TaskHit
from podium.index.sqlite_schema import TASK_COLUMNS, WORKFLOW_COLUMNS

Row: TypeAlias = tuple[Any, ...]  # pyright: ignore[reportExplicitAny] - the columns have types

NAMES: Final = msgspec.json.Decoder(tuple[str, ...])
DOMAINS: Final = msgspec.json.Decoder(dict[str, str])
REFS_BETWEEN: Final = ","
"""Conductor's summaries show the references as one text."""


def _of(alias: str, columns: tuple[str, ...]) -> str:
    return ", ".join(f"{alias}.{each}" for each in columns)


def _show_workflow(texts: str, join: str) -> str:
    return (
        f"SELECT {_of('w', WORKFLOW_COLUMNS)}, {texts} FROM json_each(?) j"
        f" CROSS JOIN workflow w ON w.n = j.value {join} ORDER BY j.key"
    )


SHOW_WORKFLOW: Final = {
    True: _show_workflow("x.input, x.output", "JOIN workflow_text x ON x.rowid = w.n"),
    False: _show_workflow("NULL, NULL", ""),
}
"""By whether texts are wanted."""
TASK_OWN: Final = tuple(each for each in TASK_COLUMNS if each not in ("w", "commit_no"))
SHOW_TASK: Final = (
    f"SELECT {_of('t', TASK_OWN)}, x.input, x.output, w.id, w.name,"
    " w.correlation_id, w.priority FROM json_each(?) j CROSS JOIN task t ON t.n = j.value"
    " JOIN workflow w ON w.n = t.w JOIN task_text x ON x.rowid = t.n ORDER BY j.key"
)


def workflow_row(document: WorkflowDocument) -> list[object]:
    """Values of WORKFLOW_COLUMNS."""
    return [
        document.id,
        document.commit,
        document.name,
        document.version,
        document.status,
        document.correlation_id,
        document.parent_id,
        document.start_ms,
        document.update_ms,
        document.end_ms,
        document.priority,
        document.created_by,
        document.event,
        document.idempotency_key,
        document.reason,
        REFS_BETWEEN.join(document.failed_refs),
        msgspec.json.encode(document.failed_names).decode() if document.failed_names else "[]",
        msgspec.json.encode(document.task_to_domain).decode() if document.task_to_domain else "{}",
        document.archived,
    ]


def workflow_of(row: Row) -> WorkflowDocument:
    """From WORKFLOW_COLUMNS, input, output."""
    return WorkflowDocument(
        id=row[0],
        commit=row[1],
        name=row[2],
        version=row[3],
        status=row[4],
        correlation_id=row[5],
        parent_id=row[6],
        start_ms=row[7],
        update_ms=row[8],
        end_ms=row[9],
        priority=row[10],
        created_by=row[11],
        event=row[12],
        idempotency_key=row[13],
        reason=row[14],
        failed_refs=tuple(row[15].split(REFS_BETWEEN)) if row[15] else (),
        failed_names=NAMES.decode(row[16]),
        task_to_domain=DOMAINS.decode(row[17]),
        archived=bool(row[18]),
        input=row[19],
        output=row[20],
    )


def task_row(document: TaskDocument, workflow_id: str, commit: int) -> list[object]:
    """Values of TASK_COLUMNS."""
    return [
        document.id,
        workflow_id,
        commit,
        document.key,
        document.task_type,
        document.def_name,
        document.ref,
        document.status,
        document.scheduled_ms,
        document.start_ms,
        document.update_ms,
        document.end_ms,
        document.reason,
        document.domain,
        document.former,
    ]


def hit_of(row: Row) -> TaskHit:
    """From TASK_OWN, input, output, and four columns of the workflow."""
    return TaskHit(
        task=TaskDocument(
            id=row[0],
            key=row[1],
            task_type=row[2],
            def_name=row[3],
            ref=row[4],
            status=row[5],
            scheduled_ms=row[6],
            start_ms=row[7],
            update_ms=row[8],
            end_ms=row[9],
            reason=row[10],
            domain=row[11],
            former=bool(row[12]),
            input=row[13],
            output=row[14],
        ),
        workflow_id=row[15],
        workflow_name=row[16],
        correlation_id=row[17],
        priority=row[18],
    )

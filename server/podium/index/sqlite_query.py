"""Queries of the sqlite index: conditions into SQL, with every value a parameter.

Words become quoted phrases of FTS5, so none of its own syntax comes from a client. Names in the SQL
are those of the tables below and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, assert_never

from podium.index.query import (
    CLASSIFIER,
    Absent,
    Among,
    AnyOf,
    Compares,
    Equals,
    Every,
    Kind,
    Matches,
    Not,
    StartsWith,
    Words,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from podium.index.query import Condition, Field, Query

Value: TypeAlias = str | int
LAST_CHAR: Final = "\U0010ffff"
NEVER: Final = "0"
ALWAYS: Final = "1"


class Sql(NamedTuple):
    """A piece of SQL and its parameters."""

    text: str
    values: list[Value]


class Table(NamedTuple):
    """A kind of documents: what its fields are in SQL."""

    source: str
    number: str
    """Row number, which its texts have too."""
    texts: str
    id: str
    start: str
    columns: Mapping[str, str]


WORKFLOWS: Final = Table(
    source="workflow w",
    number="w.n",
    texts="workflow_text",
    id="w.id",
    start="w.start_ms",
    columns={
        "workflowId": "w.id",
        "correlationId": "w.correlation_id",
        "workflowType": "w.name",
        "version": "w.version",
        "status": "w.status",
        "parentWorkflowId": "w.parent_id",
        "event": "w.event",
        "createdBy": "w.created_by",
        "idempotencyKey": "w.idempotency_key",
        "failedReferenceTaskNames": "w.failed_refs",
        "reasonForIncompletion": "w.reason",
        "startTime": "w.start_ms",
        "updateTime": "w.update_ms",
        "endTime": "w.end_ms",
        "priority": "w.priority",
        "archived": "w.archived",
        "executionTime": "(CASE WHEN w.end_ms > 0 THEN w.end_ms - w.start_ms ELSE 0 END)",
    },
)
TASKS: Final = Table(
    source="task t JOIN workflow w ON w.n = t.w",
    number="t.n",
    texts="task_text",
    id="t.id",
    start="t.start_ms",
    columns={
        "taskId": "t.id",
        "workflowId": "w.id",
        "workflowType": "w.name",
        "correlationId": "w.correlation_id",
        "workflowPriority": "w.priority",
        "taskType": "t.task_type",
        "taskDefName": "t.def_name",
        "referenceTaskName": "t.ref",
        "status": "t.status",
        "domain": "t.domain",
        "reasonForIncompletion": "t.reason",
        "scheduledTime": "t.scheduled_ms",
        "startTime": "t.start_ms",
        "updateTime": "t.update_ms",
        "endTime": "t.end_ms",
        "executionTime": "(CASE WHEN t.end_ms > 0 AND t.start_ms > 0"
        " THEN t.end_ms - t.start_ms ELSE 0 END)",
        "queueWaitTime": "(CASE WHEN t.start_ms > 0 AND t.scheduled_ms > 0"
        " THEN t.start_ms - t.scheduled_ms ELSE 0 END)",
    },
)
TEXT_COLUMNS: Final = {
    "input": "input",
    "output": "output",
    "reasonForIncompletion": "reason",
}
NO_TEXT: Final = "('', '{}')"


def where(query: Query, table: Table) -> Sql:
    """The condition of a query, behind WHERE."""
    found = condition(query.where, table)
    if query.behind is None:
        return found
    place = f"({table.start}, {table.id}) < (?, ?)"
    return Sql(f"{found.text} AND {place}", [*found.values, *query.behind])


def order(query: Query, table: Table) -> str:
    """What stands behind ORDER BY."""
    if not query.order:
        return f"{table.start} DESC, {table.id} DESC"
    by = [
        f"{table.columns[each.field.name]} {'DESC' if each.descending else 'ASC'}"
        for each in query.order
    ]
    return ", ".join([*by, f"{table.id} ASC"])


def grouped_order(query: Query, table: Table) -> str:
    """As `order`, of groups of rows: the first of each counts; ties go by workflow id."""
    if not query.order:
        return f"MAX({table.start}) DESC, w.id DESC"
    by = [
        f"MAX({table.columns[each.field.name]}) DESC"
        if each.descending
        else f"MIN({table.columns[each.field.name]}) ASC"
        for each in query.order
    ]
    return ", ".join([*by, "w.id ASC"])


def condition(one: Condition, table: Table) -> Sql:
    """One condition. Its depth is bounded by whoever read it."""
    match one:
        case Every():
            return _joined(one.conditions, table, " AND ", ALWAYS)
        case AnyOf():
            return _joined(one.conditions, table, " OR ", NEVER)
        case Not():
            inner = condition(one.condition, table)
            return Sql(f"NOT {inner.text}", inner.values)
        case Words():
            return _words(one, table)
        case Absent():
            return _absent(one.field, table)
        case Equals() | Among() | Compares() | Matches() | StartsWith():
            return _of_field(one, table)
        case _:
            assert_never(one)


def _joined(conditions: Sequence[Condition], table: Table, joint: str, none: str) -> Sql:
    if not conditions:
        return Sql(none, [])
    parts = [condition(each, table) for each in conditions]
    text = joint.join(part.text for part in parts)
    return Sql(f"({text})", [value for part in parts for value in part.values])


def _of_field(one: Equals | Among | Compares | Matches | StartsWith, table: Table) -> Sql:
    field = one.field
    if field.kind is Kind.FIXED:
        return _fixed(one)
    column = table.columns[field.name]
    match one:
        case Equals():
            # The index of a column that is often empty leaves the empty ones out.
            full = f" AND {column} <> ''" if one.value and field.kind is Kind.TEXT else ""
            return Sql(f"({column} = ?{full})", [one.value])
        case Among():
            full = f" AND {column} <> ''" if all(one.values) and field.kind is Kind.TEXT else ""
            marks = ", ".join("?" * len(one.values))
            return Sql(f"({column} IN ({marks}){full})", list(one.values))
        case Compares():
            there = f" AND {column} > 0" if field.kind is Kind.TIME else ""
            return Sql(f"({column} {one.side} ?{there})", [one.value])
        case Matches():
            return Sql(f"{column} LIKE ? ESCAPE '\\'", ["%".join(map(_like, one.parts))])
        case StartsWith():
            return Sql(
                f"({column} >= ? AND {column} < ?)", [one.prefix, f"{one.prefix}{LAST_CHAR}"]
            )
        case _:
            assert_never(one)


def _fixed(one: Equals | Among | Compares | Matches | StartsWith) -> Sql:
    values = one.values if isinstance(one, Among) else (getattr(one, "value", ""),)
    return Sql(ALWAYS if CLASSIFIER in values else NEVER, [])


def _absent(field: Field, table: Table) -> Sql:
    column = table.columns.get(field.name)
    if field.kind is Kind.FIXED:
        return Sql(NEVER, [])
    if column is None:
        text = TEXT_COLUMNS[field.name]
        rows = f"SELECT rowid FROM {table.texts} WHERE {text} IN {NO_TEXT}"
        return Sql(f"{table.number} IN ({rows})", [])
    empty = "0" if field.kind in (Kind.TIME, Kind.NUMBER) else "''"
    return Sql(f"{column} = {empty}", [])


def _words(one: Words, table: Table) -> Sql:
    phrase = '"' + one.text.replace('"', '""').replace("\0", " ") + '"'
    if one.prefix:
        phrase += "*"
    if one.field is not None:
        phrase = f"{TEXT_COLUMNS[one.field.name]} : {phrase}"
    rows = f"SELECT rowid FROM {table.texts} WHERE {table.texts} MATCH ?"
    found = f"{table.number} IN ({rows})"
    if one.field is not None or one.prefix:
        return Sql(found, [phrase])
    return Sql(f"({found} OR {table.id} = ?)", [phrase, one.text])


def _like(part: str) -> str:
    for special in ("\\", "%", "_"):
        part = part.replace(special, f"\\{special}")
    return part
